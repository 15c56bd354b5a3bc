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
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.edits import EDITS, begin, glorot, standardised
from mlflow_clfaudit.evidence.forward import (
    COMPILE_OPTIONS,
    Network,
    Served,
    Trial,
    as_model_input,
    import_keras,
    with_one_output,
)
from mlflow_clfaudit.evidence.history import FitArguments, History
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.types import Grade, Proof

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence.counterfactuals import Budget

MAX_STEPS = 500
OUTPUT_ROWS = 1_024
DEFAULT_RATES = {"adam": 1e-3, "nadam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3, "sgd": 1e-2, "adagrad": 1e-3}
# A training loss below this share of the best constant's loss says all that a longer training would.
CLEAR = 0.05
SEED = 20_240_229


class Clock:
    """Seconds since it was made, those in which the process did nothing counted for a third."""

    def __init__(self) -> None:
        self._wall, self._work = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        wall = time.perf_counter() - self._wall
        return max(min(wall, time.process_time() - self._work), wall / 3)


@dataclass(frozen=True)
class Change:
    """What a counterfactual training does differently.

    `start` is where the weights begin: "saved" as logged, "anew" as the logged initialisers draw them, "glorot" with
    every trainable kernel drawn from Glorot's distribution. `edit` names a change of the architecture, one of
    `EDITS`; an edited network whose shapes differ begins anew. `share` is of the logged epochs; of a short training
    that many epochs and steps at least, as far as the logged one had them.
    """

    words: str
    factor: float = 1.0
    start: str = "saved"
    scaled: bool = False
    edit: str = ""
    share: float = 0.1
    least_epochs: int = 3
    least_steps: int = 0


@dataclass(frozen=True)
class Continued:
    """One counterfactual training: what was changed, for how many epochs, and what the judged rows say after it.

    The losses are the means over its first and its last epoch on the training rows.
    """

    change: str
    factor: float
    epochs: float
    before: Served
    after: Served
    loss_before: float
    loss_after: float
    seconds: float = 0.0

    @property
    def duration(self) -> str:
        """The epochs in words: 5 epochs, 1 epoch, 0.4 epochs."""
        number = f"{self.epochs:.0f}" if self.epochs >= 1 else f"{self.epochs:.1f}"
        return f"{number} epoch" if number == "1" else f"{number} epochs"

    @property
    def information_gain(self) -> float:
        return (self.after.information or 0.0) - (self.before.information or 0.0)

    @property
    def gain(self) -> float:
        return self.after.balanced_accuracy - self.before.balanced_accuracy

    @property
    def p_value(self) -> float:
        """That the decisions after the training beat those before it, on the same rows."""
        return measures.accuracy_p_value(self.after.truth, self.before.decision, self.after.decision)

    @property
    def information_p_value(self) -> float:
        """That the probabilities after the training say more than those before it."""
        return _information_p_value(self.before, self.after)

    def informs(self, *, information_gain: float = 0.1, significance: float = 0.01) -> bool:
        """Whether the probabilities surely say more after the training, whatever the decisions."""
        return self.information_gain >= information_gain and self.information_p_value < significance

    def information_proof(self, how: str) -> Proof:
        """What `informs` rests on, as the proof of a finding."""
        before, after = self.before.skill, self.after.skill
        return Proof(Grade.B, how, "U", before, after, self.after.rows, self.information_p_value)

    def agrees_with(self, losses: np.ndarray | None, *, above: float = 1.5, below: float = 0.75) -> bool:
        """Whether the first epoch's loss is what the logged training losses (E,) ended with.

        If not, fit() saw other rows, labels or another loss, and this training says nothing about that one. A loss
        that still fell by a fifth in an epoch may begin lower; a net without loss has nothing to compare.
        """
        if losses is None or len(losses) == 0 or not np.isfinite(losses[-1]) or self.factor != 1.0:
            return True
        last = float(losses[-1])
        falling = len(losses) == 1 or losses[-2] > 1.2 * last
        return (
            last >= 0
            and self.loss_before <= above * last + 0.02
            and (falling or self.loss_before >= below * last - 0.02)
        )

    @property
    def summary(self) -> dict[str, float | str | None]:
        """The training in JSON-safe numbers, for a finding's evidence."""
        after = self.after.information
        return {
            "change": self.change,
            "epochs": round(self.epochs, 1),
            "balanced_accuracy": round(self.after.balanced_accuracy, 4),
            "information": None if after is None else round(after, 4),
        }


@dataclass(frozen=True)
class Contrast:
    """Two trainings that differ in one thing: as logged, and changed. Their gains are of the changed one."""

    control: Continued
    changed: Continued

    @property
    def gain(self) -> float:
        return self.changed.after.balanced_accuracy - self.control.after.balanced_accuracy

    @property
    def information_gain(self) -> float:
        """The gain in U; in chance-corrected balanced accuracy where the outputs are no probabilities."""
        return self.changed.after.skill - self.control.after.skill

    @property
    def p_value(self) -> float:
        return measures.accuracy_p_value(
            self.changed.after.truth, self.control.after.decision, self.changed.after.decision
        )

    @property
    def information_p_value(self) -> float:
        return _information_p_value(self.control.after, self.changed.after)

    def informs(self, *, information_gain: float = 0.1, significance: float = 0.01) -> bool:
        """Whether the changed training's probabilities surely say more than the control's and than the logged net's.

        On few rows this shows what their decisions, which differ in a handful of rows, do not.
        """
        enough = self.information_gain >= information_gain and self.information_p_value < significance
        return enough and self.changed.informs(information_gain=information_gain, significance=significance)

    def information_proof(self, how: str) -> Proof:
        """What `informs` rests on, as the proof of a finding."""
        p_value = max(self.information_p_value, self.changed.information_p_value)
        return replace(self.changed.information_proof(how), before=self.control.after.skill, p_value=p_value)


def _information_p_value(before: Served, after: Served) -> float:
    """1 where the outputs are no probabilities."""
    if before.probabilities is None or after.probabilities is None:
        return 1.0
    return measures.information_p_value(after.truth, before.probabilities, after.probabilities)


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


def rate_of(spec: Spec, fit: FitArguments) -> float:
    """The learning rate that training began with; Keras's default of the optimizer where none was logged."""
    rate = initial_learning_rate(spec, fit)
    name = (fit.optimizer or (spec.optimizer.name if spec.optimizer else "")).lower()
    rate = rate or DEFAULT_RATES.get(name)
    if not name or rate is None:
        raise Missing("the optimizer is not known", "mlflow.keras.autolog() logs it")
    return rate


def initial_learning_rate(spec: Spec, fit: FitArguments) -> float | None:
    """The rate that training began with: the logged one, since the saved one is the last."""
    if fit.learning_rate is not None:
        return fit.learning_rate
    return spec.optimizer.learning_rate if spec.optimizer else None


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


def optimizer_of(keras: Any, spec: Spec, fit: FitArguments, rate: float) -> Any:
    """An optimizer as the run had it, at that rate; Missing where it is not one of Keras's."""
    name = (fit.optimizer or (spec.optimizer.name if spec.optimizer else "")).lower()
    options = dict(spec.optimizer.options) if spec.optimizer and spec.optimizer.name == name else {}
    kept = {key: value for key, value in options.items() if key not in ("name", "learning_rate")}
    try:
        return keras.optimizers.get(name).__class__(learning_rate=rate, **kept)
    except (ValueError, TypeError) as error:
        raise Missing(f"the optimizer {name} is not one of Keras's: {str(error).splitlines()[0][:80]}") from None


def loss_of(keras: Any, head: Head) -> Any:
    """The head's loss; Missing where it is not one of Keras's own."""
    if head.loss is None or not head.loss.known:
        raise Missing("the loss is not one of Keras's own")
    name = "".join(part.capitalize() for part in head.loss.name.split("_"))
    name = {"KlDivergence": "KLDivergence"}.get(name, name)
    try:
        return keras.losses.deserialize({"class_name": name, "config": {**head.loss.options, "name": head.loss.name}})
    except (ValueError, TypeError, AttributeError):
        return keras.losses.get(head.loss.name)


def shuffled_batches(
    inputs: Any, targets: np.ndarray, size: int, random: np.random.Generator
) -> Iterator[tuple[Any, np.ndarray]]:
    """One epoch of whole batches in a new order; `inputs` are an array or a list of arrays, of as many rows."""
    order = random.permutation(len(targets))
    for start in range(0, len(targets) - size + 1, size):
        chosen = np.sort(order[start : start + size])
        yield [array[chosen] for array in inputs] if isinstance(inputs, list) else inputs[chosen], targets[chosen]


def targets_of(served: Served, head: Head) -> np.ndarray:
    """The training targets as the loss wants them."""
    truth = served.truth
    if served.width == 1:
        signed = head.loss is not None and head.threshold == 0.0 and not head.loss.is_cross_entropy
        return (2 * truth - 1 if signed else truth).astype(np.float32)[:, None]
    if head.loss is not None and head.loss.name.startswith("sparse"):
        return truth
    return np.asarray(np.eye(served.width, dtype=np.float32)[truth])


def _constant_loss(served: Served, head: Head) -> float:
    """The loss of the best constant prediction, 0 where it is not known: nothing then ends a training early."""
    if head.loss is None or not (head.loss.is_cross_entropy or head.loss.is_regression):
        return 0.0
    shares = served.shares
    if head.loss.is_regression:
        return float(np.sum(shares * (1 - shares)) / (2 if served.width == 1 else served.width))
    return float(-np.sum(shares[shares > 0] * np.log(shares[shares > 0])))


def class_weight_of(fit: FitArguments) -> dict[int, float] | None:
    """The class weights that fit() was given, where their keys are class numbers."""
    weight = fit.class_weight or {}
    return {key: float(value) for key, value in weight.items() if isinstance(key, int)} or None
