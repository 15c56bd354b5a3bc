"""What fit() and the optimizer were given, from what the hook saw or from the run's params."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.captured import Captured
from mlflow_clfaudit.evidence.run import Run


@dataclass(frozen=True)
class FitArguments:
    """What fit() and the optimizer were given, as far as the hook or the run's params say. None where they do not."""

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
def fit(run: Run, captured: Captured | None = None) -> FitArguments:
    """The arguments of fit() and of the optimizer: those that the hook saw, else the params that autologging keeps."""
    params = run.params
    if captured is not None and captured.framework == "keras":
        return _fit_captured(captured, _of_params(params))
    return _of_params(params)


def _fit_captured(captured: Captured, params: FitArguments) -> FitArguments:
    """What the hook saw; of several calls of fit() in one run, only what the last one cannot have changed."""
    given = captured.arguments
    once = captured.fits == 1
    epochs, batch_size = captured.number("epochs"), captured.number("batch_size")
    shuffle = given.get("shuffle")
    return FitArguments(
        epochs=int(epochs) if once and epochs is not None else None,
        batch_size=int(batch_size) if batch_size is not None else params.batch_size,
        validation_split=captured.number("validation_split") or 0.0,
        shuffle=shuffle if isinstance(shuffle, bool) else None,
        class_weight=captured.class_weight,
        sample_weight=given.get("sample_weight") is True,
        optimizer=_optimizer_name(str(given["optimizer"])) if "optimizer" in given else params.optimizer,
        learning_rate=captured.number("learning_rate") if once else params.learning_rate,
        callbacks=captured.callbacks or params.callbacks,
    )


def _optimizer_name(name: str | None) -> str | None:
    """The optimizer's class in lower case: Keras names its objects rm_sprop_1, and MLflow logs the object's name."""
    return re.sub(r"_\d+$", "", name.strip().lower()).replace("_", "") if name else None


def _of_params(params: Mapping[str, str]) -> FitArguments:
    weight = _literal(params.get("class_weight"))
    names = ("monitor", "patience", "restore_best_weights", "min_delta", "mode", "factor", "min_lr")
    return FitArguments(
        epochs=_integer(params.get("epochs")),
        batch_size=_integer(params.get("batch_size")),
        validation_split=_number(params.get("validation_split")) or 0.0,
        shuffle={"True": True, "False": False}.get(params.get("shuffle", "")),
        class_weight=weight if isinstance(weight, dict) else None,
        sample_weight=params.get("sample_weight", "None") != "None",
        optimizer=_optimizer_name(params.get("optimizer_name") or params.get("opt_name") or params.get("optimizer")),
        learning_rate=_number(
            params.get("optimizer_learning_rate") or params.get("opt_learning_rate") or params.get("learning_rate")
        ),
        callbacks={name: params[name] for name in names if name in params},
    )


def _literal(text: str | None) -> object:
    try:
        # NumPy 2 writes its scalars as np.float64(0.5).
        return ast.literal_eval(re.sub(r"np\.\w+\(([^()]*)\)", r"\1", text)) if text else None
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
