import pytest

from mlflow_clfaudit.checks.training_dynamics.non_finite_loss import non_finite_loss
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_history

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        ({"loss": [0.7, 0.6, NAN, NAN]}, "The training loss is NaN from epoch 3 of 4."),
        ({"loss": [INFINITE]}, "The training loss is infinite from epoch 1 of 1."),
        ({"loss": [0.7, 0.6], "val_loss": [0.7, NAN]}, "The validation loss is NaN from epoch 2 of 2."),
    ],
)
def test_fires(curves: dict[str, list[float]], said: str) -> None:
    (finding,) = findings(non_finite_loss, history=make_history(**curves))
    assert finding.message == said
    assert finding.level is Severity.SYMPTOM


@pytest.mark.parametrize(
    "curves", [{"loss": [0.7, 1e30]}, {"accuracy": [NAN, 0.5]}, {"loss": []}], ids=["huge", "accuracy only", "empty"]
)
def test_quiet(curves: dict[str, list[float]]) -> None:
    assert findings(non_finite_loss, history=make_history(**curves)) == ()
