from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.misconfigured_callback import _explains, _lowered, misconfigured_callback
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_fit, make_history, make_served, proof_of
from tests.runs import make_run

FALLING = np.linspace(0.7, 0.5, 12)
STILL = np.full(12, 0.5)
RISING = np.linspace(0.5, 0.9, 12)
# What patience=3 gives: after epochs 3, 6 and 9, counted from 0.
STEPS = np.repeat([1e-3, 5e-4, 2.5e-4, 1.25e-4], [4, 3, 3, 2])
RUN = make_run()
CURVES = make_history(loss=FALLING, accuracy=STILL, val_loss=FALLING, val_accuracy=RISING)


def watching(monitor: str, mode: str = "auto", curves: History = CURVES) -> tuple[Finding, ...]:
    return findings(
        misconfigured_callback, run=RUN, history=curves, fit=make_fit(callbacks={"monitor": monitor, "mode": mode})
    )


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
    (finding,) = findings(misconfigured_callback, run=RUN, history=replace(CURVES, learning_rate=STEPS))
    assert "lowered by ×0.5 at epoch 5" in finding.message
    assert finding.evidence["monitor"] == "accuracy"
    assert proof_of(finding).grade is Grade.B


def test_a_rate_lowered_without_validation_rows() -> None:
    curves = replace(make_history(loss=FALLING, accuracy=STILL), learning_rate=STEPS)
    (finding,) = findings(misconfigured_callback, run=RUN, history=curves)
    assert finding.evidence["monitor"] == "accuracy"


def test_quiet_about_a_monitor_where_no_curve_was_logged() -> None:
    assert watching("val_acc", curves=make_history()) == ()


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
        (np.repeat([1e-3, 5e-4, 2.5e-4], 4), {}),
        (np.geomspace(1e-3, 1e-4, 12), {}),
        (np.full(12, 1e-3), {}),
        (np.array([*STEPS[:7], *STEPS[:5]]), {}),
        (np.repeat([1e-3, 5e-4], [4, 8]), {}),
    ],
    ids=[
        "a step schedule",
        "nothing stands still",
        "a loss at its plateau",
        "every 4 epochs",
        "decay",
        "a constant rate",
        "restarts",
        "once",
    ],
)
def test_quiet_about_schedules(rates: np.ndarray, changes: dict[str, Any]) -> None:
    curves = make_history(**{"loss": FALLING, "accuracy": STILL, "val_loss": FALLING, **changes})
    assert findings(misconfigured_callback, run=RUN, history=replace(curves, learning_rate=rates)) == ()


def test_a_noisy_loss_that_no_patience_explains_does_not_excuse_it() -> None:
    noisy = np.array([0.9, 0.6, 0.7, 0.5, 0.8, 0.4, 0.7, 0.6, 0.3, 0.5, 0.6, 0.2])
    curves = make_history(loss=FALLING, accuracy=STILL, val_loss=noisy, val_accuracy=RISING)
    (finding,) = findings(misconfigured_callback, run=RUN, history=replace(curves, learning_rate=STEPS))
    assert finding.evidence["monitor"] == "accuracy"


@pytest.mark.parametrize("patience", [2, 3, 5])
@pytest.mark.slow
def test_the_replay_is_what_keras_does(patience: int) -> None:
    import keras

    curve = np.random.default_rng(patience).uniform(0.4, 0.7, 40)
    callback = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=patience, min_lr=0.0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse")
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(curve):
        rates.append(float(model.optimizer.learning_rate.numpy()))
        callback.on_epoch_end(epoch, {"val_loss": value})
    drops = np.flatnonzero(np.diff(rates) < 0)
    assert _lowered(curve, patience, 1e-4)[: len(drops)] == drops.tolist()
    assert _explains(curve, drops, 1e-4)


# fit() ended after 4 of 20 epochs, each better than the one before.
BETTER = {
    "loss": np.array([1.2, 1.0, 0.9, 0.85]),
    "val_loss": np.array([1.1, 1.0, 0.95, 0.9]),
    "accuracy": np.array([0.3, 0.4, 0.5, 0.6]),
    "val_accuracy": np.array([0.35, 0.4, 0.45, 0.55]),
}
TRUTH = np.arange(100) % 2


def ended(status: str = "FINISHED", *, wanted: int = 20, right: bool = False, **changes: Any) -> tuple[Finding, ...]:
    outputs = np.where(TRUTH == 1, 0.9, 0.1) if right else np.full(100, 0.5)
    return findings(
        misconfigured_callback,
        run=make_run(status=status),
        history=make_history(**{**BETTER, **changes}),
        fit=make_fit(epochs=wanted),
        served=make_served(outputs, TRUTH),
    )


def test_a_training_that_ended_while_everything_became_better() -> None:
    (finding,) = ended()
    assert finding.level is Severity.WARN
    assert "fit() ended after 4 of 20 epochs" in finding.message
    assert "reads val_accuracy the wrong way round" in finding.message
    assert proof_of(finding).grade is Grade.B


def test_a_net_that_learnt_and_was_stopped_is_an_info() -> None:
    (finding,) = ended(right=True)
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    "changes",
    [
        {"wanted": 4},
        {"val_loss": np.array([1.1, 0.9, 0.95, 1.0])},
        {"val_loss": np.array([1.1, 1.0, 0.9, 0.9])},
        {"accuracy": np.array([0.3, 0.4, 0.6, 0.5])},
        {"status": "KILLED"},
        {"loss": BETTER["loss"][:1]},
    ],
    ids=["ran to its end", "patience", "standstill", "a worse accuracy", "killed", "curves of other lengths"],
)
def test_quiet_where_a_callback_that_reads_rightly_could_have_stopped(changes: dict[str, Any]) -> None:
    assert ended(**changes) == ()
