"""Trains copies of the logged model for a few epochs with one thing changed. The run and its files are never touched.

One compiled copy serves every training that keeps the architecture: weights, optimizer state and learning rate are
reset in place, so that the cost of compiling is paid once. The global random state of the process is left as it was.
"""

from __future__ import annotations

import contextlib
import random
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.budget import Budget, Clock
from mlflow_clfaudit.evidence.edits import EDITS, begin, glorot, standardised
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.keras_backend import COMPILE_OPTIONS, import_keras
from mlflow_clfaudit.evidence.network import Network, as_model_input, with_one_output
from mlflow_clfaudit.evidence.recipe import class_weight_of, loss_of, optimizer_of, rate_of, targets_of
from mlflow_clfaudit.evidence.served import Served, Trial
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.evidence.trainings import Change, Continued, Contrast

MAX_STEPS = 500
OUTPUT_ROWS = 1_024
# A training loss below this share of the best constant's loss says all that a longer training would.
CLEAR = 0.05
SEED = 20_240_229


@dataclass
class _Compiled:
    """A compiled copy with the values that its variables and its optimizer's began with."""

    model: Any
    weights: list[np.ndarray]
    optimizer: list[np.ndarray]


class Retrainer:
    """Runs counterfactual trainings on `trial`, each one once.

    Raises:
        Missing: from `run`, where the loss or the optimizer is not known, the model cannot be edited so, or the
            budget is used up.
    """

    def __init__(
        self,
        network: Network,
        trial: Trial,
        spec: Spec,
        head: Head,
        fit: FitArguments,
        budget: Budget,
        history: History | None = None,
    ) -> None:
        self.network, self.trial, self.spec, self.head = network, trial, spec, head
        self.fit, self.budget = fit, budget
        self.logged_epochs = (history.epochs if history else fit.epochs) or 30
        self._done: dict[Change, Continued] = {}
        self._compiled: dict[str, _Compiled] = {}
        # What the slowest training so far had time for: the later ones get no more.
        self._steps = MAX_STEPS

    def run(self, change: Change) -> Continued:
        """What the judged rows say after training with `change`."""
        if change not in self._done:
            keras = import_keras(self.spec.backend, "auto")
            with self.budget.spend() as seconds, steady_random(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    self._done[change] = self._train(keras, change, seconds)
                except Missing:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever a stranger's model and rows raise
                    raise Missing(f"the training failed: {type(error).__name__}") from None
        return self._done[change]

    def contrast(self, control: Change, changed: Change) -> Contrast:
        return Contrast(self.run(control), self.run(changed))

    def _train(self, keras: Any, change: Change, seconds: float) -> Continued:
        started = time.perf_counter()
        trial = standardised(self.trial, self.spec) if change.scaled else self.trial
        ready = self._ready(keras, change)
        ready.model.optimizer.learning_rate = self._rate() * change.factor
        epochs, losses = self._fit(ready.model, trial.fit, self._epochs(change), seconds / 3)
        outputs = outputs_of(keras, ready.model, trial.judge)
        if outputs.ndim != 2 or outputs.shape != trial.judge.outputs.shape:
            raise Missing("the edited model's outputs have another shape")
        return Continued(
            change=change.words,
            factor=change.factor,
            epochs=epochs,
            before=self.trial.judge,
            after=replace(self.trial.judge, outputs=np.nan_to_num(outputs), logits=None, features=None, inputs=None),
            loss_before=losses[0],
            loss_after=losses[-1],
            seconds=time.perf_counter() - started,
        )

    def _epochs(self, change: Change) -> int:
        """How long to train: new weights learn nothing in the few steps that a tenth of a short training has."""
        steps = max(self.trial.fit.rows // (self.fit.batch_size or 32), 1)
        least = min(max(change.least_epochs, -(-change.least_steps // steps)), self.logged_epochs)
        return max(3, least, round(self.logged_epochs * change.share))

    def _ready(self, keras: Any, change: Change) -> _Compiled:
        """A compiled copy with its weights and optimizer state where the change begins."""
        if change.edit not in self._compiled:
            self._compiled[change.edit] = self._compile(keras, change.edit)
        ready = self._compiled[change.edit]
        _assign(ready.model.variables, ready.weights)
        _assign(ready.model.optimizer.variables, ready.optimizer)
        if change.start == "anew":
            begin(ready.model, [_array(value) for value in _fresh(ready.model).variables])
        elif change.start == "glorot":
            begin(ready.model, glorot([_array(value) for value in ready.model.variables], SEED))
        return ready

    def _compile(self, keras: Any, edit: str) -> _Compiled:
        model = with_one_output(keras, self.network.reload(), self.head)
        if edit:
            model = EDITS[edit](keras, model, self.head)
        model.compile(
            optimizer=optimizer_of(keras, self.spec, self.fit, self._rate()),
            loss=loss_of(keras, self.head),
            **COMPILE_OPTIONS.get(self.network.backend, {}),
        )
        if not model.trainable_variables:
            raise Missing("no weight of the model is trainable")
        model.optimizer.build(model.trainable_variables)
        return _Compiled(
            model,
            [_array(variable) for variable in model.variables],
            [_array(variable) for variable in model.optimizer.variables],
        )

    def _fit(self, model: Any, served: Served, epochs: int, seconds: float) -> tuple[float, list[float]]:
        """Epochs trained and the mean loss of each; stops at the time limit or when the loss has said enough."""
        inputs = as_model_input(model, served.inputs)
        targets = targets_of(served, self.head)
        size = min(self.fit.batch_size or 32, served.rows)
        length = served.rows // size
        limit = min(self._steps, epochs * length)
        enough = CLEAR * _constant_loss(served, self.head)
        shuffled = np.random.default_rng(SEED)
        weight = class_weight_of(self.fit)
        losses: list[float] = []
        steps = 0
        clock = Clock()
        while steps < limit:
            # Some versions of Keras give a batch's own loss, some the mean since this reset: their means are close.
            batches: list[float] = []
            model.reset_metrics()
            for batch, wanted in shuffled_batches(inputs, targets, size, shuffled):
                logs = model.train_on_batch(batch, wanted, class_weight=weight, return_dict=True)
                batches.append(float(logs["loss"]))
                steps += 1
                if clock.seconds > seconds:
                    limit = self._steps = steps
                if steps >= limit or not np.isfinite(batches[-1]):
                    break
            losses.append(float(np.mean(batches)))
            if not np.isfinite(losses[-1]) or losses[-1] < enough:
                break
        return steps / length, losses

    def _rate(self) -> float:
        return rate_of(self.spec, self.fit)


def _fresh(model: Any) -> Any:
    try:
        return model.__class__.from_config(model.get_config())
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        raise Missing(f"the model cannot be built anew: {type(error).__name__}") from None


@contextlib.contextmanager
def steady_random(seed: int = SEED) -> Iterator[None]:
    """Keras draws the seeds of initialisers and dropout from Python's generator: seeded inside, put back after."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def outputs_of(keras: Any, model: Any, served: Served) -> np.ndarray:
    """The model's outputs (N, C), computed eagerly: tracing a prediction would take longer than making it."""
    inputs = as_model_input(model, served.inputs)
    parts = []
    for start in range(0, served.rows, OUTPUT_ROWS):
        rows = slice(start, start + OUTPUT_ROWS)
        batch = [array[rows] for array in inputs] if isinstance(inputs, list) else inputs[rows]
        parts.append(keras.ops.convert_to_numpy(model(batch, training=False)))
    return np.asarray(np.concatenate(parts))


def _array(variable: Any) -> np.ndarray:
    return np.array(variable.numpy() if hasattr(variable, "numpy") else variable)


def _assign(variables: Any, values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def shuffled_batches(
    inputs: Any, targets: np.ndarray, size: int, random: np.random.Generator
) -> Iterator[tuple[Any, np.ndarray]]:
    """One epoch of whole batches in a new order; `inputs` are an array or a list of arrays, of as many rows."""
    order = random.permutation(len(targets))
    for start in range(0, len(targets) - size + 1, size):
        chosen = np.sort(order[start : start + size])
        yield [array[chosen] for array in inputs] if isinstance(inputs, list) else inputs[chosen], targets[chosen]


def _constant_loss(served: Served, head: Head) -> float:
    """The loss of the best constant prediction, 0 where it is not known: nothing then ends a training early."""
    if head.loss is None or not (head.loss.is_cross_entropy or head.loss.is_regression):
        return 0.0
    shares = served.shares
    if head.loss.is_regression:
        return float(np.sum(shares * (1 - shares)) / (2 if served.width == 1 else served.width))
    return float(-np.sum(shares[shares > 0] * np.log(shares[shares > 0])))
