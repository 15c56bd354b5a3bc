import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.majority_accuracy import majority_accuracy
from mlflow_clfaudit.types import Severity, Status
from tests.checks.stratification.test_single_class_validation import MAJORITY, SEED_004
from tests.kit import findings, make_history, make_labels, make_served, outcome
from tests.runs import make_run

TRUTH_002 = np.repeat([0, 1], [362, 608])


def test_fires_on_seed_002() -> None:
    (finding,) = findings(majority_accuracy, served=make_served(np.ones(970), TRUTH_002))
    assert finding.level is Severity.SYMPTOM
    assert "608 of 970" in finding.message
    assert finding.evidence["p_value"] == pytest.approx(0.51, abs=0.01)


def test_seed_004_is_read_from_its_curves_alone() -> None:
    (finding,) = findings(majority_accuracy, run=make_run(metrics=SEED_004, params={"validation_split": "0.2"}))
    assert "603 of 653 rows" in finding.message


def test_labels_and_curves_are_enough() -> None:
    labels = make_labels(np.repeat([1, 0], [50, 603]), np.zeros(164, int))
    history = make_history(loss=[0.08] * 6, accuracy=[MAJORITY] * 6, val_accuracy=[1.0] * 6)
    (finding,) = findings(majority_accuracy, labels=labels, history=history)
    assert "the share of the largest class among the 653 train rows" in finding.message


@pytest.mark.parametrize(
    "served",
    [
        make_served(np.where(TRUTH_002 == 1, 0.9, np.arange(970) % 2), TRUTH_002),
        make_served(np.zeros(100), np.zeros(100, int)),
        make_served(np.ones(10), np.tile([0, 1], 5)),
        make_served(np.tile([0.9, 0.1], 100), np.repeat([0, 1], 100)),
    ],
    ids=["better", "one class", "ten rows", "as bad but not constant"],
)
def test_quiet_on_other_predictions(served: object) -> None:
    assert findings(majority_accuracy, served=served) == ()


def test_quiet_on_an_accuracy_that_moves() -> None:
    labels = make_labels(np.repeat([1, 0], [50, 603]), np.repeat([1, 0], [10, 154]))
    history = make_history(loss=[0.5] * 4, accuracy=[0.9, 0.93, 0.95, 0.97], val_accuracy=[0.94, 0.95, 0.96, 0.97])
    assert findings(majority_accuracy, labels=labels, history=history) == ()


@pytest.mark.parametrize("labels", [None, make_labels(np.repeat([1, 0], [5, 10]))], ids=["no labels", "15 rows"])
def test_quiet_where_only_curves_that_move_are_known(labels: object) -> None:
    history = make_history(loss=[0.5] * 4, accuracy=[2 / 3] * 4)
    given = {"history": history} | ({} if labels is None else {"labels": labels})
    assert findings(majority_accuracy, **given) == ()


def test_skipped_without_model_and_curves() -> None:
    assert outcome(majority_accuracy).status is Status.SKIPPED
