"""The run's curves and what they tell of its rows, from its metrics alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.curve_names import (
    ACCURACY_NAMES,
    BOOSTING_CURVE,
    PREFIXES,
    accuracy_of,
    are_training_rows,
    by_name_of_keras,
)
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.spec import Loss

LOG_HISTORY = "mlflow.keras.autolog() before fit"
MAX_RECOVERED_ROWS = 20_000
MIN_RECOVERED_ROWS = 20
MIN_CONSTANT_EPOCHS = 3


@dataclass(frozen=True)
class History:
    """Curves by epoch. `train` and `validation` map a bare metric name to values (E,) float64, `loss` among them.

    `fits` is how many calls of fit() they join, one after the other.
    """

    train: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]
    learning_rate: np.ndarray | None = None
    fits: int = 1

    @property
    def epochs(self) -> int:
        return max((len(curve) for curve in self.train.values()), default=0)

    @property
    def loss(self) -> np.ndarray | None:
        return self.train.get("loss")

    @property
    def validation_loss(self) -> np.ndarray | None:
        return self.validation.get("loss")

    @property
    def accuracy(self) -> np.ndarray | None:
        return accuracy_of(self.train)

    @property
    def validation_accuracy(self) -> np.ndarray | None:
        return accuracy_of(self.validation)


@provides()
def history(run: Run, overrides: Overrides | None = None, fit: FitArguments | None = None) -> History:
    """The curves that fit() logged, one point an epoch, MLflow's duplicates left out."""
    train: dict[str, np.ndarray] = {}
    validation: dict[str, np.ndarray] = {}
    learning_rate = None
    fits = 1
    drop = _restored_step(run)
    boosting = {match["rows"] for key in run.metrics if (match := BOOSTING_CURVE.fullmatch(key)) is not None}
    named = {} if overrides is None else {logged: name for name, logged in overrides.metrics.items()}
    for logged in sorted(run.metrics, key=lambda key: (key not in named, key.startswith(tuple(PREFIXES)), key)):
        steps, values = run.metrics[logged]
        key = named.get(logged, logged)
        rounds = BOOSTING_CURVE.fullmatch(key)
        if rounds is not None and len(values) > 1:
            name, curve = by_name_of_keras(rounds["metric"], values)
            (train if are_training_rows(rounds["rows"], boosting) else validation)[name] = curve
            continue
        # mlflow.keras.autolog logs every validation_* value at step 0 beside val_*: not a curve.
        if key.startswith(("validation_", "restored_", "stopped_")) or len(values) == 0:
            continue
        kept = steps != drop if drop is not None else slice(None)
        curve = _by_epoch(steps[kept], values[kept], fit.epochs if fit is not None else None)
        if key in ("learning_rate", "lr"):
            learning_rate = curve
            continue
        prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), "")
        if PREFIXES.get(prefix, False):
            validation.setdefault(key.removeprefix(prefix), curve)
        elif key == "loss" or len(curve) > 1 or key in ACCURACY_NAMES:
            train.setdefault(key.removeprefix(prefix) if len(curve) > 1 else key, curve)
            fits = max(fits, int(np.sum(steps == steps[0]))) if key.removeprefix(prefix) == "loss" else fits
    if not train and not validation:
        raise Missing("the run has no training curves", LOG_HISTORY)
    return History(train, validation, learning_rate, fits)


def _by_epoch(steps: np.ndarray, values: np.ndarray, epochs: int | None) -> np.ndarray:
    """The values (E,) at the ends of the epochs, where they were logged every so many batches; else as they are."""
    # Keras counts epochs from 0; MlflowCallback(log_every_n_steps=n) logs at n, 2n and so on.
    by_batch = len(steps) > 1 and steps[0] > 0 and np.all(np.diff(steps) == steps[0])
    if not by_batch or not epochs or len(values) <= epochs:
        return values
    return values[np.ceil(np.arange(1, epochs + 1) * len(values) / epochs).astype(np.int64) - 1]


@dataclass(frozen=True)
class RowCounts:
    """How many rows fit() trained on and validated on, and what says so."""

    train: int
    validation: int | None
    how: str

    @property
    def total(self) -> int:
        return self.train + (self.validation or 0)


@dataclass(frozen=True)
class ConstantOutput:
    """A net that answers every row alike, told by its curves alone: no label and no prediction was read.

    Its training accuracy stands at `accuracy` and its validation accuracy at 0 or 1. `loss` is the last training loss
    and `expected_loss` that of an output of `value` for every row, which the validation loss gives away.
    """

    accuracy: float
    validation_accuracy: float
    value: float
    loss: float
    expected_loss: float
    loss_name: str


@provides()
def row_counts(run: Run, history: History, fit: FitArguments) -> RowCounts:
    """The sizes of the splits, from the dataset that was logged or from the accuracies, which are k/n of whole rows."""
    given = {dataset.context: dataset.rows for dataset in run.datasets if dataset.rows}
    if "train" in given:
        rows = given["train"] or 0
        if "eval" in given:
            return RowCounts(rows, given["eval"], "the logged datasets")
        cut = int(rows * (1.0 - fit.validation_split))
        return RowCounts(cut, rows - cut if cut < rows else None, "the logged dataset")
    if history.accuracy is None:
        raise Missing("the run logged neither its dataset nor an accuracy", LOG_HISTORY)
    sizes = np.arange(MIN_RECOVERED_ROWS, MAX_RECOVERED_ROWS)
    train = (sizes * (1.0 - fit.validation_split)).astype(np.int64)
    fits = measures.common_denominators(history.accuracy, train)
    if fit.validation_split > 0 and history.validation_accuracy is not None:
        fits &= measures.common_denominators(history.validation_accuracy, sizes - train)
    # The same arithmetic is met by chance by larger sizes, and by fewer rows where the accuracies share a divisor.
    if not fits.any() or train[np.argmax(fits)] > MAX_RECOVERED_ROWS / 10:
        raise Missing("the accuracies do not tell how many rows there were", LOG_HISTORY)
    first = int(np.argmax(fits))
    held_out = int(sizes[first] - train[first])
    return RowCounts(int(train[first]), held_out or None, "the logged accuracies, which are counts of whole rows")


@provides()
def constant_output(history: History, loss: Loss | None = None) -> ConstantOutput:
    """The one output for every row that explains the losses of a run whose accuracies never move; Missing if none."""
    unmoved = Missing("the curves do not show one output for every row")
    curves = (history.accuracy, history.validation_accuracy, history.loss, history.validation_loss)
    if any(curve is None or len(curve) < MIN_CONSTANT_EPOCHS for curve in curves):
        raise Missing("the run has no curves of loss and accuracy on training and validation rows", LOG_HISTORY)
    accuracy, held_out, losses, held_out_losses = (np.asarray(curve) for curve in curves)
    tail = max(MIN_CONSTANT_EPOCHS, len(accuracy) // 2)
    standing = np.ptp(accuracy[-tail:]) < 1e-6 and np.ptp(held_out) < 1e-6
    if not standing or held_out[-1] not in (0.0, 1.0) or not 0.5 < accuracy[-1] < 1.0:
        raise unmoved
    right = float(accuracy[-1])
    for name in ("mean_squared_error", "binary_crossentropy") if loss is None else (loss.name,):
        off = _distance(name, float(held_out_losses[-1]), held_out[-1] == 1.0)
        if off is None or not np.isfinite(losses[-1]):
            continue
        expected = right * _loss_at(name, off) + (1.0 - right) * _loss_at(name, 1.0 - off)
        if abs(expected - losses[-1]) <= 0.03 * expected:
            last = float(losses[-1])
            return ConstantOutput(right, float(held_out[-1]), off, last, float(expected), name)
    raise unmoved


def _distance(loss: str, value: float, correct: bool) -> float | None:
    """How far from its rows' label a constant output is that has this loss on rows of one class."""
    if not np.isfinite(value) or value < 0:
        return None
    if loss == "mean_squared_error":
        distance = float(np.sqrt(value))
    elif loss == "binary_crossentropy":
        distance = float(-np.expm1(-value))
    else:
        return None
    return distance if 0.0 < distance < 1.0 and (distance < 0.5) == correct else None


def _loss_at(loss: str, distance: float) -> float:
    """The loss of an output at this distance from the label."""
    return distance**2 if loss == "mean_squared_error" else float(-np.log1p(-distance))


def _restored_step(run: Run) -> int | None:
    """The extra step that MLflow adds when EarlyStopping restored an earlier epoch's weights."""
    if "restored_epoch" not in run.metrics or "stopped_epoch" not in run.metrics:
        return None
    stopped = run.metrics["stopped_epoch"][1]
    return int(stopped[-1]) + 1 if len(stopped) and np.isfinite(stopped[-1]) else None
