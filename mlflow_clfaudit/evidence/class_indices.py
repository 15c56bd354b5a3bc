"""Labels as class indices: as the numbers of output units, or as places among the classes that a model names."""

from __future__ import annotations

import numpy as np

from mlflow_clfaudit.evidence.label_set import LabelSet


def class_indices(labels: LabelSet, width: int | None) -> tuple[np.ndarray, int]:
    """Labels as class indices (N,) int64 and the number of classes.

    Labels that are unit numbers already stay; others (text, 1 and 2 for one unit, -1 and 1) are numbered in the order
    of the classes of all splits.
    """
    known = labels.classes if labels.scale is None else labels.scale
    units = 2 if width in (None, 1) else width
    if labels.codes.dtype.kind in "iu" and len(known) and known[0] >= 0 and known[-1] < units:
        return labels.codes.astype(np.int64), max(int(known[-1]) + 1, 2)
    truth, classes = labels.units
    return truth, max(classes, 2)


def known_indices(labels: LabelSet, known: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels as places in the classes (K,) that a model names, (N,) int64, and the number of classes.

    Labels of as many other classes, such as text for a model that was fitted on codes, are numbered in their order;
    classes beyond those of the model, which it has never seen, are one more.
    """
    classes = labels.classes
    every = classes if labels.scale is None or not np.all(np.isin(classes, labels.scale)) else labels.scale
    if not np.isin(names_of(every), names_of(known)).all() and len(every) == len(known):
        return labels.units
    places = {name: place for place, name in enumerate(names_of(known).tolist())}
    of_class = np.array([places.get(name, len(known)) for name in names_of(classes).tolist()], dtype=np.int64)
    if len(of_class) and of_class.min() == len(known):
        return class_indices(labels, len(known))
    truth = of_class[labels.index]
    return truth, max(len(known), int(truth.max(initial=0)) + 1)


def names_of(classes: np.ndarray) -> np.ndarray:
    """Classes as text (K,), the same for 1, 1.0 and True."""
    if classes.dtype.kind in "fb" and np.all(classes == np.round(classes.astype(np.float64))):
        classes = classes.astype(np.int64)
    return np.asarray(classes.astype(str))
