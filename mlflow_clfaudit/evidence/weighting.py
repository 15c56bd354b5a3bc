"""The class weights that fit() was told, as Keras turns them into weights of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.captured import Captured
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.spec import Head


@dataclass(frozen=True)
class ClassWeighting:
    """`declared` maps the keys as given to weights; `effective` (K,) are the weights that the K classes got.

    `classes` (K,) are the labels as Keras matches them against the keys: rounded, and the argmax of rows of columns.
    `library` is what weighed the rows.
    """

    declared: Mapping[object, float]
    classes: np.ndarray
    counts: np.ndarray
    effective: np.ndarray
    library: str = "Keras"

    @property
    def unmatched(self) -> list[str]:
        """The keys that no training label matches."""
        known = set(self.classes.tolist())
        return [repr(key) for key in self.declared if not (_is_number(key) and key in known)]

    @property
    def mean(self) -> float:
        """The mean weight of a training row."""
        return float(np.average(self.effective, weights=self.counts))


@provides()
def class_weighting(
    fit: FitArguments,
    train_labels: LabelSet,
    head: Head | None = None,
    keras_file: Path | None = None,
    captured: Captured | None = None,
) -> ClassWeighting:
    """The weight of each class of the training rows; Missing where fit() was given none or its labels are not known."""
    if not fit.class_weight:
        was_fitted = keras_file is not None or captured is not None
        raise Missing("fit() was given no class weights" if was_fitted else "the run does not say how classes weighed")
    values = train_labels.values
    if values.dtype.kind not in "fiub" or train_labels.has_missing:
        raise Missing("the labels were logged as text, so how fit() saw them is not known")
    codes = np.argmax(values, axis=1) if values.ndim == 2 else np.round(values.astype(np.float64)).astype(np.int64)
    classes, counts = np.unique(codes, return_counts=True)
    if values.ndim == 1 and head is not None and not _fits(classes, head):
        raise Missing("the logged labels are not those that the loss takes")
    weights = {key: float(weight) for key, weight in fit.class_weight.items() if isinstance(weight, int | float)}
    effective = np.array([weights.get(int(code), 1.0) for code in classes])
    return ClassWeighting(weights, classes, counts, effective)


def balanced_weights(counts: np.ndarray) -> np.ndarray:
    """What class_weight="balanced" gives classes of these many rows (K,), none of them zero."""
    return np.asarray(counts.sum() / (len(counts) * counts))


def _fits(classes: np.ndarray, head: Head) -> bool:
    """Whether a cross-entropy of this head can have been given these labels."""
    if head.units is None or head.loss is None or not head.loss.is_cross_entropy:
        return True
    return bool(classes[0] >= 0 and classes[-1] < max(head.units, 2))


def _is_number(key: object) -> bool:
    return isinstance(key, int | float) and not isinstance(key, bool)
