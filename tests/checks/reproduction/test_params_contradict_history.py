from dataclasses import replace

import pytest

from mlflow_clfaudit.checks.reproduction.params_contradict_history import params_contradict_history
from mlflow_clfaudit.evidence.history import RowCounts
from mlflow_clfaudit.evidence.weights import OptimizerState
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_fit, make_history

HISTORY = make_history(loss=[1.0, 0.8, 0.7])
ROWS = RowCounts(653, 164, "the logged dataset")


def test_fires_on_epochs_given_by_position() -> None:
    (finding,) = findings(params_contradict_history, fit=make_fit(epochs=1), history=HISTORY)
    assert finding.level is Severity.INFO
    assert "3 epochs" in finding.message


def test_fires_on_steps_that_no_epoch_has() -> None:
    given = {"fit": make_fit(epochs=3, batch_size=10), "history": HISTORY, "row_counts": ROWS}
    (finding,) = findings(params_contradict_history, **given, optimizer_state=OptimizerState(100, ()))
    assert "100 steps" in finding.message


@pytest.mark.parametrize("steps", [198, 132, None], ids=["three epochs", "two, restored", "unknown"])
def test_quiet(steps: int | None) -> None:
    given = {"fit": make_fit(epochs=3, batch_size=10), "history": HISTORY, "row_counts": ROWS}
    assert findings(params_contradict_history, **given, optimizer_state=OptimizerState(steps, ())) == ()


def test_quiet_without_params() -> None:
    assert findings(params_contradict_history, fit=make_fit(), history=HISTORY) == ()
    assert findings(params_contradict_history, fit=make_fit(epochs=10), history=HISTORY) == ()


def test_quiet_on_curves_of_several_fits() -> None:
    history = replace(HISTORY, fits=2)
    assert findings(params_contradict_history, fit=make_fit(epochs=1), history=history) == ()
