from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.misconfigured_callback import misconfigured_callback
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_fit, make_history, proof_of

FALLING = np.linspace(0.7, 0.5, 12)
STILL = np.full(12, 0.5)
RISING = np.linspace(0.5, 0.9, 12)
STEPS = np.repeat([1e-3, 5e-4, 2.5e-4], 4)
CURVES = make_history(loss=FALLING, accuracy=STILL, val_loss=FALLING, val_accuracy=RISING)


def watching(monitor: str, mode: str = "auto", curves: History = CURVES) -> tuple[Finding, ...]:
    return findings(misconfigured_callback, history=curves, fit=make_fit(callbacks={"monitor": monitor, "mode": mode}))


@pytest.mark.parametrize(
    ("monitor", "mode", "said", "fix"),
    [
        ("val_acc", "auto", "which this run does not have", 'monitor="val_loss"'),
        ("val_loss", "max", "the wrong way round: mode='max'", 'mode="min"'),
        ("val_accuracy", "min", "the wrong way round: mode='min'", 'mode="max"'),
        ("accuracy", "max", "stood at 0.5000 in all 12 epochs", 'monitor="val_loss"'),
    ],
)
def test_what_the_callback_watches_cannot_guide_it(monitor: str, mode: str, said: str, fix: str) -> None:
    (finding,) = watching(monitor, mode)
    assert finding.level is Severity.WARN
    assert said in finding.message
    assert finding.fix == fix
    assert proof_of(finding).grade is Grade.A


def test_a_rate_lowered_while_the_losses_fell() -> None:
    (finding,) = findings(misconfigured_callback, history=replace(CURVES, learning_rate=STEPS))
    assert "lowered by ×0.5 at epoch 5" in finding.message
    assert finding.evidence["monitor"] == "accuracy"
    assert proof_of(finding).grade is Grade.C


@pytest.mark.parametrize(("monitor", "mode"), [("val_loss", "auto"), ("val_loss", "min"), ("val_accuracy", "max")])
def test_quiet_about_a_monitor_that_moves(monitor: str, mode: str) -> None:
    assert watching(monitor, mode) == ()


def test_quiet_about_an_accuracy_that_is_perfect_or_short() -> None:
    assert watching("accuracy", curves=make_history(loss=FALLING, accuracy=np.ones(12))) == ()
    assert watching("accuracy", curves=make_history(loss=FALLING[:3], accuracy=STILL[:3])) == ()


@pytest.mark.parametrize(
    ("rates", "changes"),
    [
        (STEPS, {"accuracy": np.full(12, 0.99)}),
        (STEPS, {"accuracy": RISING}),
        (STEPS, {"val_loss": np.linspace(0.5, 0.7, 12)}),
        (np.geomspace(1e-3, 1e-4, 12), {}),
        (np.full(12, 1e-3), {}),
        (np.array([*STEPS[:8], *STEPS[:4]]), {}),
    ],
    ids=["a step schedule", "nothing stands still", "a loss at its plateau", "decay", "a constant rate", "restarts"],
)
def test_quiet_about_schedules(rates: np.ndarray, changes: dict[str, Any]) -> None:
    curves = make_history(**{"loss": FALLING, "accuracy": STILL, "val_loss": FALLING, **changes})
    assert findings(misconfigured_callback, history=replace(curves, learning_rate=rates)) == ()
