import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.loss_accuracy_divergence import loss_accuracy_divergence
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_history

FALLING = np.geomspace(0.65, 0.04, 20)


def test_fires_when_accuracy_stands_still() -> None:
    history = make_history(loss=FALLING, accuracy=np.full(20, 0.627))
    (finding,) = findings(loss_accuracy_divergence, history=history)
    assert finding.level is Severity.SYMPTOM
    assert "accuracy stays at 0.6270" in finding.message


def test_fires_when_accuracy_falls_with_the_loss() -> None:
    history = make_history(loss=FALLING, accuracy=np.linspace(0.86, 0.65, 20))
    (finding,) = findings(loss_accuracy_divergence, history=history)
    assert finding.evidence["correlation"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "curves",
    [
        {"loss": FALLING, "accuracy": 1 - FALLING / 2},
        {"loss": FALLING, "accuracy": np.full(20, 1.0)},
        {"loss": FALLING[::-1], "accuracy": np.full(20, 0.6)},
        {"loss": np.linspace(0.69, 0.64, 20), "accuracy": np.full(20, 0.5)},
        {"loss": FALLING[:5], "accuracy": np.full(5, 0.6)},
        {"loss": FALLING},
        {"loss": FALLING, "accuracy": np.concatenate([[0.99, 0.99], np.linspace(0.6, 0.65, 18)])},
        {"loss": FALLING, "accuracy": 0.8 + 0.005 * np.sin(np.arange(20))},
        {"loss": 1 - FALLING, "accuracy": np.full(20, 0.6), "val_loss": FALLING, "val_accuracy": np.full(20, 0.6)},
    ],
    ids=[
        "healthy",
        "at its ceiling",
        "rising loss",
        "barely learnt",
        "short",
        "no accuracy",
        "lucky first epochs",
        "noise",
        "validation",
    ],
)
def test_quiet(curves: dict[str, np.ndarray]) -> None:
    assert findings(loss_accuracy_divergence, history=make_history(**curves)) == ()
