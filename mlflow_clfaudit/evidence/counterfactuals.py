"""Short trainings of copies of the logged model: what would have happened at another learning rate, or on scaled inputs.

The logged weights and files are never touched. All of them together stay within the budget.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.forward import (
    Network,
    Served,
    Trial,
    as_model_input,
    forward,
    import_keras,
)
from mlflow_clfaudit.evidence.history import FitArguments, History
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.types import Tier

FACTORS = (1.0, 10.0, 100.0)
DEFAULT_RATES = {"adam": 1e-3, "nadam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3, "sgd": 1e-2, "adagrad": 1e-3}


class Budget:
    """Seconds that counterfactuals may still use, shared by all of one audit."""

    def __init__(self, seconds: float = 20.0) -> None:
        self.seconds = seconds

    @contextlib.contextmanager
    def spend(self) -> Iterator[float]:
        if self.seconds <= 0:
            raise Missing("the time for counterfactuals is used up", "--budget SECONDS")
        started = time.perf_counter()
        try:
            yield self.seconds
        finally:
            self.seconds -= time.perf_counter() - started


@dataclass(frozen=True)
class Continued:
    """One counterfactual training: what was changed, for how many epochs, and what the held-out rows say after it.

    The losses are those of its first and its last epoch on the training rows.
    """

    change: str
    factor: float
    epochs: int
    before: Served
    after: Served
    loss_before: float
    loss_after: float

    @property
    def information_gain(self) -> float:
        return (self.after.information or 0.0) - (self.before.information or 0.0)

    @property
    def gain(self) -> float:
        return self.after.balanced_accuracy - self.before.balanced_accuracy


@provides(tier=Tier.PROBE)
def learning_rate_trials(
    network: Network, trial: Trial, spec: Spec, head: Head, fit: FitArguments, budget: Budget, history: History | None = None
) -> tuple[Continued, ...]:
    """Training continued from the saved weights for a tenth of the logged epochs at the logged rate ×1, ×10, ×100."""
    epochs = max(3, round((history.epochs if history else fit.epochs or 30) / 10))
    done: list[Continued] = []
    for factor in FACTORS:
        try:
            done.append(train_on(network, trial, spec, head, fit, budget, factor=factor, epochs=epochs))
        except Missing:
            if not done:
                raise
    return tuple(done)


@provides(tier=Tier.PROBE)
def scaled_trials(
    network: Network, trial: Trial, spec: Spec, head: Head, fit: FitArguments, budget: Budget, history: History | None = None
) -> tuple[Continued, Continued]:
    """The same model trained anew for a tenth of the epochs, on the inputs as they are and on standardised ones."""
    epochs = int(np.clip(round((history.epochs if history else 30) / 10), 3, 10))
    raw = train_on(network, trial, spec, head, fit, budget, epochs=epochs, fresh=True, change="inputs as they are")
    scaled = train_on(
        network, standardised(trial), spec, head, fit, budget, epochs=epochs, fresh=True, change="standardised inputs"
    )
    return raw, scaled


def standardised(trial: Trial) -> Trial:
    """The same rows with every input column at mean 0 and deviation 1, as the training rows measure them."""

    def scale(array: np.ndarray, reference: np.ndarray) -> np.ndarray:
        axes = tuple(range(reference.ndim - 1)) if reference.ndim > 2 else 0
        mean = reference.mean(axis=axes, dtype=np.float64)
        deviation = reference.std(axis=axes, dtype=np.float64)
        return np.asarray((array - mean) / np.where(deviation > 0, deviation, 1.0), dtype=np.float32)

    fit, judge = trial.fit.inputs, trial.judge.inputs
    if isinstance(fit, dict):
        scaled_fit: Any = {name: scale(array, array) for name, array in fit.items()}
        scaled_judge: Any = {name: scale(array, fit[name]) for name, array in judge.items()}
    else:
        scaled_fit, scaled_judge = scale(np.asarray(fit), np.asarray(fit)), scale(np.asarray(judge), np.asarray(fit))
    return Trial(replace(trial.fit, inputs=scaled_fit), replace(trial.judge, inputs=scaled_judge))


def train_on(
    network: Network,
    trial: Trial,
    spec: Spec,
    head: Head,
    fit: FitArguments,
    budget: Budget,
    *,
    factor: float = 1.0,
    epochs: int = 3,
    fresh: bool = False,
    change: str = "",
    seed: int = 0,
) -> Continued:
    """Train a copy on `trial.fit` with the logged loss and optimizer at `factor` times the logged learning rate.

    Raises:
        Missing: the loss or the optimizer is not known, or the budget is used up.
    """
    keras = import_keras(spec.backend, "auto")
    with budget.spend() as seconds:
        keras.utils.set_random_seed(seed)
        model = network.reload()
        if len(model.outputs) != 1:
            raise Missing("counterfactual training of a model with several outputs is not done")
        if fresh:
            model = keras.models.clone_model(model)
        model.compile(optimizer=_optimizer(keras, spec, fit, factor), loss=_loss(keras, head))
        targets = _targets(trial.fit, head)
        stop = _stopper(keras, seconds / 3)
        logged = model.fit(
            _inputs(model, trial.fit),
            targets,
            epochs=epochs,
            batch_size=fit.batch_size or 32,
            class_weight={int(key): float(value) for key, value in fit.class_weight.items()}  # type: ignore[call-overload]
            if fit.class_weight and all(isinstance(key, int) for key in fit.class_weight)
            else None,
            verbose=0,
            callbacks=[stop],
        )
        losses = logged.history.get("loss") or [float("nan")]
        _, _, outputs = forward(replace(network, model=model, tapped=None), trial.judge.inputs)
    if outputs.ndim != 2:
        raise Missing("outputs of several positions a row")
    if not np.all(np.isfinite(outputs)):
        outputs = np.nan_to_num(outputs)
    return Continued(
        change=change or f"learning rate ×{factor:g}",
        factor=factor,
        epochs=epochs,
        before=trial.judge,
        after=replace(trial.judge, outputs=outputs, logits=None, features=None),
        loss_before=float(losses[0]),
        loss_after=float(losses[-1]),
    )


def initial_learning_rate(spec: Spec, fit: FitArguments) -> float | None:
    """The rate that training began with: the logged one, since the saved one is the last."""
    if fit.learning_rate is not None:
        return fit.learning_rate
    return spec.optimizer.learning_rate if spec.optimizer else None


def _optimizer(keras: Any, spec: Spec, fit: FitArguments, factor: float) -> Any:
    name = (fit.optimizer or (spec.optimizer.name if spec.optimizer else "")).lower()
    options = dict(spec.optimizer.options) if spec.optimizer and spec.optimizer.name in ("", name) else {}
    kept = {key: value for key, value in options.items() if key not in ("name", "learning_rate", "loss_scale_factor")}
    rate = initial_learning_rate(spec, fit) or DEFAULT_RATES.get(name)
    if not name or rate is None:
        raise Missing("the optimizer is not known", "mlflow.keras.autolog() logs it")
    try:
        maker = keras.optimizers.get(name).__class__
        return maker(learning_rate=rate * factor, **kept)
    except (ValueError, TypeError) as error:
        raise Missing(f"the optimizer {name} is not one of Keras's: {str(error).splitlines()[0][:80]}") from None


def _loss(keras: Any, head: Head) -> Any:
    if head.loss is None or not head.loss.known:
        raise Missing("the loss is not one of Keras's own")
    try:
        return keras.losses.deserialize(
            {"class_name": _class_name(keras, head.loss.name), "config": {**head.loss.options, "name": head.loss.name}}
        )
    except (ValueError, TypeError, AttributeError):
        return keras.losses.get(head.loss.name)


def _class_name(keras: Any, name: str) -> str:
    camel = "".join(part.capitalize() for part in name.split("_"))
    return {"KlDivergence": "KLDivergence"}.get(camel, camel)


def _targets(served: Served, head: Head) -> np.ndarray:
    """The training targets as the loss wants them."""
    truth = served.truth
    if served.width == 1:
        signed = head.loss is not None and head.threshold == 0.0 and not head.loss.is_cross_entropy
        return (2 * truth - 1 if signed else truth).astype(np.float32)[:, None]
    if head.loss is not None and head.loss.name.startswith("sparse"):
        return truth
    return np.eye(served.width, dtype=np.float32)[truth]


def _inputs(model: Any, served: Served) -> Any:
    return as_model_input(model, served.inputs)


def _stopper(keras: Any, seconds: float) -> Any:
    class Stopper(keras.callbacks.Callback):  # type: ignore[misc]
        """Ends the training when its share of the budget is used up."""

        def on_train_begin(self, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if time.perf_counter() - self.started > seconds:
                self.model.stop_training = True

    return Stopper()
