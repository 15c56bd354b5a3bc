import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.compiled import Compiled
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.reproduction import reproduction
from tests.kit import make_history

SEEN = np.arange(60) % 3
HISTORY = make_history(loss=[1.0, 0.5], val_loss=[0.8, 0.4])


class Net:
    """A stand-in for a compiled net whose loss is .4 on the labels that fit() saw, and more on others."""

    inputs = ()
    output_shape = (None, 3)

    def __init__(self, seen: np.ndarray) -> None:
        self.seen = seen

    def test_on_batch(self, inputs: np.ndarray, labels: np.ndarray, **options: object) -> dict[str, float]:
        del inputs, options
        if labels.shape != self.seen.shape:
            raise ValueError("shapes")
        return {"loss": 0.4 + float(np.mean(np.abs(labels - self.seen)))}


def rows(labels: np.ndarray, split: str = "validation", **fields: bool) -> dict[str, Rows]:
    return {split: Rows(split, np.zeros((60, 2)), LabelSet(labels), held_out=True, **fields)}


@pytest.mark.parametrize(
    ("seen", "logged"),
    [
        (SEEN, SEEN),
        (SEEN, SEEN + 1),
        (SEEN, np.array(["ant", "bee", "cat"])[SEEN]),
        (np.eye(3)[SEEN], SEEN),
        (np.eye(3)[SEEN], np.array(["ant", "bee", "cat"])[SEEN]),
        (np.eye(3)[SEEN], np.eye(3)[SEEN]),
    ],
    ids=["as logged", "from 1", "text", "indicators of codes", "indicators of text", "indicators"],
)
def test_labels_are_tried_in_the_forms_that_fit_may_have_seen(seen: np.ndarray, logged: np.ndarray) -> None:
    found = reproduction(Compiled(Net(seen), "CPU"), rows(logged), HISTORY)
    assert found.is_exact
    assert found.epoch == 1


def test_other_labels_contradict() -> None:
    found = reproduction(Compiled(Net(SEEN), "CPU"), rows((SEEN + 1) % 3), HISTORY)
    assert found.contradicts


def test_test_rows_stand_in_where_they_were_the_validation_data() -> None:
    both = rows((SEEN + 1) % 3) | rows(SEEN, "test")
    assert reproduction(Compiled(Net(SEEN), "CPU"), both, HISTORY).split == "test"
    assert reproduction(Compiled(Net(SEEN), "CPU"), rows(SEEN) | rows(SEEN, "test"), HISTORY).split == "validation"


@pytest.mark.parametrize(
    ("given", "history"),
    [
        (rows(SEEN, "train"), HISTORY),
        (rows(SEEN, sampled=True), HISTORY),
        (rows(SEEN), make_history(loss=[1.0])),
        (rows(SEEN), make_history(loss=[1.0], val_loss=[float("nan")])),
        (rows(np.zeros((60, 5))), HISTORY),
    ],
    ids=["no held-out rows", "a sample of them", "no curve", "no finite loss", "labels that the loss does not take"],
)
def test_missing_where_nothing_can_be_compared(given: dict[str, Rows], history: object) -> None:
    with pytest.raises(Missing):
        reproduction(Compiled(Net(SEEN), "CPU"), given, history)
