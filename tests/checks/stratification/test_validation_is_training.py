import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.validation_is_training import validation_is_training
from mlflow_clfaudit.evidence.inputs import RowHashes, hash_rows
from mlflow_clfaudit.evidence.run import Dataset
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import findings, make_history, outcome
from tests.runs import make_run

ROWS = np.random.default_rng(0).normal(size=(200, 4))
HISTORY = make_history(loss=[1.0, 0.5], val_loss=[1.0, 0.5])


def hashes(validation: np.ndarray, train: np.ndarray = ROWS) -> RowHashes:
    return RowHashes({"train": hash_rows(train), "validation": hash_rows(validation)})


@pytest.mark.parametrize(
    "validation", [ROWS, ROWS[::-1], ROWS[:190]], ids=["the same", "reordered", "nearly all of them"]
)
def test_fires(validation: np.ndarray) -> None:
    (finding,) = findings(validation_is_training, run=make_run(), row_hashes=hashes(validation), history=HISTORY)
    assert finding.level is Severity.ERROR
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A


def test_equal_digests_are_a_suspicion() -> None:
    run = make_run(datasets=(Dataset("d", "train", "abc", "code"), Dataset("d", "eval", "abc", "code")))
    (finding,) = findings(validation_is_training, run=run, history=HISTORY)
    assert finding.proof is not None
    assert finding.proof.grade is Grade.C


def test_a_last_fit_on_all_rows_is_information() -> None:
    history = make_history(loss=[1.0, 0.5])
    (finding,) = findings(validation_is_training, run=make_run(), row_hashes=hashes(ROWS), history=history)
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    "given",
    [
        hashes(ROWS + 1),
        hashes(np.concatenate([ROWS, ROWS[:1] + 1])),
        hashes(ROWS[:40]),
        hashes(np.zeros((20, 4)), np.zeros((200, 4))),
    ],
    ids=["other rows", "all but one", "some of them", "constant rows"],
)
def test_quiet(given: RowHashes) -> None:
    assert findings(validation_is_training, run=make_run(), row_hashes=given, history=HISTORY) == ()


def test_quiet_on_datasets_with_other_digests() -> None:
    run = make_run(datasets=(Dataset("d", "train", "abc", "code"), Dataset("d", "eval", "abd", "code")))
    assert findings(validation_is_training, run=run, history=HISTORY) == ()


def test_skipped_without_inputs_and_datasets() -> None:
    assert outcome(validation_is_training, run=make_run()).status is Status.SKIPPED
