import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.no_validation_data import no_validation_data
from mlflow_clfaudit.evidence.run import Dataset
from mlflow_clfaudit.types import Severity, Status
from tests.kit import findings, make_fit, make_history, make_labels, outcome
from tests.runs import make_run

HISTORY = make_history(loss=[1.0, 0.5], accuracy=[0.5, 0.9])


def test_fires() -> None:
    labels = make_labels(np.arange(50) % 2)
    (finding,) = findings(no_validation_data, history=HISTORY, fit=make_fit(), run=make_run(), labels=labels)
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    "given",
    [
        {"history": make_history(loss=[1.0], val_loss=[1.0])},
        {"fit": make_fit(validation_split=0.2)},
        {"labels": make_labels(np.arange(50) % 2, test=np.arange(50) % 2)},
        {"run": make_run(datasets=(Dataset("d", "eval", "0", "code"),))},
        {"run": make_run(metrics={"test_accuracy": [0.9]})},
    ],
    ids=["curve", "split", "test labels", "dataset", "test score"],
)
def test_quiet(given: dict[str, object]) -> None:
    given = {"history": HISTORY, "fit": make_fit(), "run": make_run()} | given
    assert findings(no_validation_data, **given) == ()


def test_skipped_without_curves() -> None:
    assert outcome(no_validation_data, fit=make_fit(), run=make_run()).status is Status.SKIPPED
