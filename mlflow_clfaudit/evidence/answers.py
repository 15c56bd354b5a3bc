"""What kind of answer an array of a model's outputs is, where nothing but the array says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlflow_clfaudit.evidence.class_indices import names_of
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head

SUM_TOLERANCE = 1e-2
LOGIT_WORDS = ("logit",)


def classes_of(labels: Labels) -> np.ndarray:
    """The classes (K,) of all splits in the order of their numbers."""
    scales = [item.scale for item in labels.splits.values() if item.scale is not None]
    scale = max(scales, key=len, default=None)
    if scale is not None and bool(np.isin(names_of(labels.classes), names_of(scale)).all()):
        return scale
    return labels.classes


def scores_kind(outputs: np.ndarray) -> str:
    """What finite scores (N, C) are: probability, distribution, log-probabilities or margins.

    One column between 0 and 1 is a probability; rows that sum to 1 are a distribution over classes.
    """
    low, high = float(outputs.min()), float(outputs.max())
    if outputs.shape[1] == 1:
        return "probability" if low >= 0.0 and high <= 1.0 else "margins"
    if low >= -1e-6 and np.all(np.abs(outputs.sum(axis=1) - 1.0) <= SUM_TOLERANCE):
        return "distribution"
    if high <= 1e-6 and np.all(np.abs(np.exp(outputs).sum(axis=1) - 1.0) <= SUM_TOLERANCE):
        return "log-probabilities"
    return "margins"


def read_outputs(
    values: np.ndarray, known: np.ndarray, classes: int, columns: Sequence[str] = (), name: str = ""
) -> tuple[Head, np.ndarray] | None:
    """Values (N,) or (N, C) as outputs (N, C) with the head that they are the outputs of; None for what is no answer.

    Args:
        values: class names or codes, or scores.
        known: the classes (K,) in the order of their numbers.
        classes: how many there are, those of the labels included.
        columns: the classes that the columns are named for, where they are.
        name: what the author calls the values: logits are read as such where it says so.
    """
    array = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if array.ndim == 1:
        answered = _places(array, known)
        if answered is not None:
            size = max(len(known), int(answered.max(initial=0)) + 1, 2)
            return Head(units=size, bare=True), np.eye(size)[answered]
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2) or not len(array):
        return None
    outputs = (array[:, None] if array.ndim == 1 else array).astype(np.float64)
    width = outputs.shape[1]
    if not np.all(np.isfinite(outputs)) or (width == 1 and classes != 2) or (width > 1 and width < classes):
        return None
    if len(columns) == width and set(columns) == set(names_of(known).tolist()):
        outputs = outputs[:, [columns.index(item) for item in names_of(known).tolist()]]
    if width > 1 and np.all((outputs == 0) | (outputs == 1)) and np.all(outputs.sum(axis=1) == 1):
        return Head(units=width, bare=True), outputs
    return head_of(outputs, is_logits=any(word in name.lower() for word in LOGIT_WORDS))


def head_of(outputs: np.ndarray, *, is_logits: bool) -> tuple[Head, np.ndarray]:
    """The head whose outputs (N, C) these scores are, log-probabilities turned into probabilities.

    `is_logits` says that margins, if they are none of the others, are what softmax or sigmoid are applied to.
    """
    width = outputs.shape[1]
    kind = scores_kind(outputs)
    if kind == "probability":
        return Head(units=1, activations=("sigmoid",)), outputs
    if kind == "distribution":
        return Head(units=width, activations=("softmax",), softmax_size=width), outputs
    if kind == "log-probabilities":
        return Head(units=width, activations=("softmax",), softmax_size=width), np.exp(outputs)
    link = ("sigmoid" if width == 1 else "softmax") if is_logits else None
    signed = width == 1 and (is_logits or float(outputs.min()) < 0.0 < float(outputs.max()))
    return Head(units=width, link=link, cut=0.0 if signed else None), outputs


def _places(array: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """The place in `known` (K,) of each value (N,), or the value itself where it is a code; None for what is no class.

    Values beyond the known classes are one class more.
    """
    if array.dtype.kind == "f":
        if not np.all(np.isfinite(array)) or np.any(array != np.round(array)):
            return None
        array = array.astype(np.int64)
    if array.dtype.kind not in "iubU":
        return None
    values, index = np.unique(array, return_inverse=True)
    places = {name: place for place, name in enumerate(names_of(known).tolist())}
    found = [places.get(name) for name in names_of(values).tolist()]
    if any(place is not None for place in found):
        return np.asarray([len(known) if place is None else place for place in found], dtype=np.int64)[index]
    if values.dtype.kind in "iub" and values.min() >= 0 and values.max() < max(len(known), 2):
        return np.asarray(values.astype(np.int64)[index])
    return None
