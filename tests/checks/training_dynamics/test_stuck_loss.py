import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.stuck_loss import stuck_loss
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_history

FLAT = np.full(20, 0.6931)
LABELS = LabelSet(np.tile([0, 1, 1], 100))


@pytest.mark.parametrize("losses", [FLAT, np.full(20, 9.6838), FLAT + np.linspace(0, 5e-4, 20)])
def test_fires_when_the_loss_does_not_move(losses: np.ndarray) -> None:
    (finding,) = findings(stuck_loss, history=make_history(loss=losses))
    assert finding.level is Severity.SYMPTOM
    assert "in 20 epochs" in finding.message


def test_an_accuracy_at_the_class_share_does_not_excuse_it() -> None:
    assert findings(stuck_loss, history=make_history(loss=FLAT, accuracy=np.full(20, 0.667)), train_labels=LABELS)


@pytest.mark.parametrize(
    "curves",
    [
        {"loss": np.linspace(0.69, 0.64, 20)},
        {"loss": np.full(20, 0.01)},
        {"loss": np.full(4, 0.6931)},
        {"loss": FLAT, "accuracy": np.full(20, 0.95)},
        {"loss": FLAT, "accuracy": np.full(20, 0.8)},
        {"loss": np.full(20, np.nan)},
        {"accuracy": np.full(20, 0.5)},
    ],
    ids=["creeps", "learnt", "too short", "accurate", "above the class share", "NaN", "no loss"],
)
def test_quiet(curves: dict[str, np.ndarray]) -> None:
    assert findings(stuck_loss, history=make_history(**curves), train_labels=LABELS) == ()
