from dataclasses import replace

import numpy as np
import pytest

import mlflow_clfaudit.checks.stratification.test_used_for_validation as module
from mlflow_clfaudit.evidence.inputs import RowHashes, hash_rows
from mlflow_clfaudit.evidence.reproduction import Reproduction
from mlflow_clfaudit.evidence.run import Dataset
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import findings, make_fit, make_history, outcome
from tests.runs import make_run

CHECK = module.test_used_for_validation
ROWS = np.random.default_rng(0).normal(size=(50, 4))
SAME = RowHashes({"validation": hash_rows(ROWS), "test": hash_rows(ROWS[::-1])})
OTHER = RowHashes({"validation": hash_rows(ROWS), "test": hash_rows(ROWS + 1)})
HISTORY = replace(make_history(loss=[1.0, 0.5], val_loss=[1.0, 0.6]), learning_rate=np.array([1e-3, 1e-4]))


@pytest.mark.parametrize(
    "given",
    [
        {"fit": make_fit(callbacks={"monitor": "val_loss"})},
        {"fit": make_fit(epochs=30), "history": make_history(loss=[1.0, 0.5], val_loss=[1.0, 0.6])},
        {"run": make_run(metrics={"stopped_epoch": [7.0]})},
        {"history": HISTORY},
        {
            "history": make_history(loss=[1.0, 0.5], val_loss=[0.6, 0.9]),
            "reproduction": Reproduction("validation", 50, 0.6, {}, np.array([0.6, 0.9])),
        },
    ],
    ids=["monitor", "stopped before its epochs", "early stopping", "learning rate", "weights of an earlier epoch"],
)
def test_a_choice_by_the_test_set_is_a_warning(given: dict[str, object]) -> None:
    (finding,) = findings(CHECK, **{"run": make_run(), "fit": make_fit(), "row_hashes": SAME} | given)
    assert finding.level is Severity.WARN
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A


@pytest.mark.parametrize(
    "given", [{}, {"history": make_history(loss=[1.0, 0.5], val_loss=[1.0, 0.6])}], ids=["no curves", "every epoch"]
)
def test_without_a_choice_it_is_information(given: dict[str, object]) -> None:
    (finding,) = findings(CHECK, run=make_run(), fit=make_fit(epochs=2), row_hashes=SAME, **given)
    assert finding.level is Severity.INFO


def test_equal_digests_are_enough() -> None:
    run = make_run(datasets=(Dataset("d", "eval", "abc", "code"), Dataset("d", "test", "abc", "code")))
    (finding,) = findings(CHECK, run=run, fit=make_fit(callbacks={"monitor": "val_loss"}))
    assert finding.proof is not None
    assert finding.proof.grade is Grade.C


@pytest.mark.parametrize(
    "given",
    [
        {"row_hashes": OTHER},
        {"row_hashes": RowHashes({"validation": hash_rows(ROWS)})},
        {"run": make_run(datasets=(Dataset("d", "train", "abc", "code"), Dataset("d", "eval", "abc", "code")))},
    ],
    ids=["other rows", "no test set", "train and eval"],
)
def test_quiet(given: dict[str, object]) -> None:
    given = {"run": make_run(), "fit": make_fit(callbacks={"monitor": "val_loss"}), "row_hashes": OTHER} | given
    assert findings(CHECK, **given) == ()


def test_skipped_without_inputs_and_datasets() -> None:
    assert outcome(CHECK, run=make_run(), fit=make_fit()).status is Status.SKIPPED
