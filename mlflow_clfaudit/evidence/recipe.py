"""What the run was trained with, for one more training: learning rate, optimizer, loss, targets, class weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Spec

DEFAULT_RATES = {"adam": 1e-3, "nadam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3, "sgd": 1e-2, "adagrad": 1e-3}


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


def optimizer_of(keras: Any, spec: Spec, fit: FitArguments, rate: float) -> Any:
    """An optimizer as the run had it, at that rate; Missing where it is not one of Keras's."""
    name = (fit.optimizer or (spec.optimizer.name if spec.optimizer else "")).lower()
    options = dict(spec.optimizer.options) if spec.optimizer and spec.optimizer.name == name else {}
    kept = {key: value for key, value in options.items() if key not in ("name", "learning_rate")}
    try:
        return keras.optimizers.get(name).__class__(learning_rate=rate, **kept)
    except (ValueError, TypeError) as error:
        raise Missing(f"the optimizer {name} is not one of Keras's: {first_line(error, 80)}") from None


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


def targets_of(served: Served, head: Head) -> np.ndarray:
    """The training targets as the loss wants them."""
    truth = served.truth
    if served.width == 1:
        signed = head.loss is not None and head.threshold == 0.0 and not head.loss.is_cross_entropy
        return (2 * truth - 1 if signed else truth).astype(np.float32)[:, None]
    if head.loss is not None and head.loss.name.startswith("sparse"):
        return truth
    return np.asarray(np.eye(served.width, dtype=np.float32)[truth])


def class_weight_of(fit: FitArguments) -> dict[int, float] | None:
    """The class weights that fit() was given, where their keys are class numbers."""
    weight = fit.class_weight or {}
    return {key: float(value) for key, value in weight.items() if isinstance(key, int)} or None
