"""The run's curves and the arguments of its fit, from metrics and params alone."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.run import Run

LOG_HISTORY = "mlflow.keras.autolog() before fit"
ACCURACY_NAMES = (
    "accuracy",
    "acc",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "train_accuracy",
    "train_acc",
    "compile_metrics",
)


@dataclass(frozen=True)
class History:
    """Curves by epoch. `train` and `validation` map a bare metric name to values (E,) float64, `loss` among them."""

    train: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]
    learning_rate: np.ndarray | None = None

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
        return _first(self.train)

    @property
    def validation_accuracy(self) -> np.ndarray | None:
        return _first(self.validation)


@dataclass(frozen=True)
class FitArguments:
    """What fit() and the optimizer were given, as far as the run's params say. None where they do not."""

    epochs: int | None = None
    batch_size: int | None = None
    validation_split: float = 0.0
    shuffle: bool | None = None
    class_weight: Mapping[object, float] | None = None
    sample_weight: bool = False
    optimizer: str | None = None
    learning_rate: float | None = None
    callbacks: Mapping[str, str] = field(default_factory=dict)


@provides()
def history(run: Run) -> History:
    """The curves that fit() logged, one point an epoch, MLflow's duplicates left out."""
    train: dict[str, np.ndarray] = {}
    validation: dict[str, np.ndarray] = {}
    learning_rate = None
    drop = _restored_step(run)
    for key, (steps, values) in run.metrics.items():
        # mlflow.keras.autolog logs every validation_* value at step 0 beside val_*: not a curve.
        if key.startswith(("validation_", "restored_", "stopped_")) or len(values) == 0:
            continue
        curve = values[steps != drop] if drop is not None else values
        if key in ("learning_rate", "lr"):
            learning_rate = curve
        elif key.startswith("val_"):
            validation[key.removeprefix("val_")] = curve
        elif key == "loss" or len(curve) > 1 or key in ACCURACY_NAMES:
            train[key] = curve
    if not train and not validation:
        raise Missing("the run has no training curves", LOG_HISTORY)
    return History(train, validation, learning_rate)


@provides()
def fit(run: Run) -> FitArguments:
    """The arguments of fit() and of the optimizer, from the params that autologging keeps."""
    params = run.params
    weight = _literal(params.get("class_weight"))
    names = ("monitor", "patience", "restore_best_weights", "min_delta", "mode", "factor", "min_lr")
    return FitArguments(
        epochs=_integer(params.get("epochs")),
        batch_size=_integer(params.get("batch_size")),
        validation_split=_number(params.get("validation_split")) or 0.0,
        shuffle={"True": True, "False": False}.get(params.get("shuffle", "")),
        class_weight=weight if isinstance(weight, dict) else None,
        sample_weight=params.get("sample_weight", "None") != "None",
        optimizer=params.get("optimizer_name") or params.get("opt_name") or params.get("optimizer"),
        learning_rate=_number(
            params.get("optimizer_learning_rate") or params.get("opt_learning_rate") or params.get("learning_rate")
        ),
        callbacks={name: params[name] for name in names if name in params},
    )


def _first(curves: Mapping[str, np.ndarray]) -> np.ndarray | None:
    return next((curves[name] for name in ACCURACY_NAMES if name in curves), None)


def _restored_step(run: Run) -> int | None:
    """The extra step that MLflow adds when EarlyStopping restored an earlier epoch's weights."""
    if "restored_epoch" not in run.metrics or "stopped_epoch" not in run.metrics:
        return None
    return int(run.metrics["stopped_epoch"][1][-1]) + 1


def _literal(text: str | None) -> object:
    try:
        return ast.literal_eval(text) if text else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and np.isfinite(number) else None


def _integer(text: str | None) -> int | None:
    number = _number(text)
    return int(number) if number is not None and number == int(number) else None
