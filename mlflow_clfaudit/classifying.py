"""Whether what was trained is a classifier, told from the model and its labels without importing its framework."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlflow_clfaudit.at_hand import Data

# Labels that are no whole numbers are codes that were scaled by mistake while they are few, else quantities.
MAX_ODD_CODES = 20
CLASSIFYING_LOSSES = ("crossentropy", "hinge", "focal", "dice", "ctc")
CLASSIFYING_METRICS = ("acc", "auc", "precision", "recall", "f1")


def framework_of(model: Any) -> str | None:
    """keras, or sklearn for everything with its interface; None for what has no fit() that is understood."""
    modules = [cls.__module__.partition(".")[0] for cls in type(model).__mro__]
    if "keras" in modules or "tf_keras" in modules:
        return "keras"
    return "sklearn" if hasattr(model, "get_params") and hasattr(model, "fit") else None


def is_classifier(model: Any, framework: str, splits: Mapping[str, Data]) -> bool:
    """Whether a model of `framework`, trained on these splits, is a classifier."""
    if framework == "keras":
        return _is_keras_classifier(model, splits)
    import sklearn.base

    return bool(sklearn.base.is_classifier(model))


def _is_keras_classifier(model: Any, splits: Mapping[str, Data]) -> bool:
    """Whether a compiled Keras model is trained on classes: by its losses, its labels and its metrics."""
    losses = re.sub("[^a-z]", "", repr(_names(getattr(model, "loss", None))).lower())
    if "sparsecategorical" in losses:
        return True
    kinds = {_kind_of_labels(values) for data in splits.values() for values in data.labels.values()}
    if "numbers" in kinds:
        return False
    if kinds & {"text", "two classes", "one-hot"} or any(word in losses for word in CLASSIFYING_LOSSES):
        return True
    metrics = repr(_names(_compiled_metrics(model))).lower()
    return any(word in metrics for word in CLASSIFYING_METRICS)


def _kind_of_labels(values: np.ndarray) -> str:
    """text, two classes, one-hot, codes (few values, or whole numbers), numbers (quantities), or unclear."""
    if values.dtype.kind in "OUS":
        return "text"
    if values.ndim > 2 or len(values) == 0:
        return "unclear"
    head = values[:65536].reshape(min(len(values), 65536), -1)
    finite = head[np.isfinite(head)] if head.dtype.kind == "f" else head.ravel()
    if head.shape[1] > 1:
        shares = bool(np.all(finite >= 0)) and bool(np.all(np.abs(head.sum(axis=1) - 1) < 1e-3))
        zeros_and_ones = bool(np.all((finite == 0) | (finite == 1)))
        return "one-hot" if shares else "unclear" if zeros_and_ones else "numbers"
    distinct = len(np.unique(finite))
    if distinct <= 2:
        return "two classes"
    return "codes" if distinct <= MAX_ODD_CODES or bool(np.all(finite == np.round(finite))) else "numbers"


def _compiled_metrics(model: Any) -> Any:
    compiled = getattr(model, "_compile_metrics", None)
    return getattr(compiled, "_user_metrics", None) or getattr(model, "metrics_names", None)


def _names(item: Any) -> Any:
    """Losses and metrics by name, in whatever structure they were given."""
    if isinstance(item, Mapping):
        return {name: _names(part) for name, part in item.items()}
    if isinstance(item, list | tuple):
        return [_names(part) for part in item]
    if item is None or isinstance(item, str):
        return item
    return f"{getattr(item, 'name', '')} {getattr(item, '__name__', type(item).__name__)}"
