"""Where binary scores are cut: the best threshold of some rows, and how well it does on others.

scikit-learn is imported where it is called, since its import alone takes longer than an audit of labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

import numpy as np


def best_threshold(truth: np.ndarray, scores: np.ndarray, *, positive: float = 1.0, negative: float = 1.0) -> float:
    """The cut of binary scores (N,) with the best weighted sum of recalls, midway between the scores it separates.

    `positive` and `negative` weigh the recalls of the two classes; alike, it is the cut of the best balanced accuracy.
    """
    from sklearn.metrics import roc_curve

    false_positives, true_positives, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    return _midway(scores, thresholds[int(np.argmax(positive * true_positives - negative * false_positives))])


def threshold_for(
    truth: np.ndarray, scores: np.ndarray, *, recall: float | None = None, precision: float | None = None
) -> float | None:
    """The highest cut that reaches the recall, or the lowest that reaches the precision; None where none does."""
    from sklearn.metrics import precision_recall_curve

    precisions, recalls, thresholds = precision_recall_curve(truth, scores)
    if recall is not None:
        reached = np.flatnonzero(recalls[:-1] >= recall)
        return _midway(scores, thresholds[reached[-1]]) if len(reached) else None
    reached = np.flatnonzero(precisions[:-1] >= (precision or 0.0))
    return _midway(scores, thresholds[reached[0]]) if len(reached) else None


@overload
def cross_fitted_thresholds(
    truth: np.ndarray, scores: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray, tuple[float, float]]: ...


@overload
def cross_fitted_thresholds(
    truth: np.ndarray,
    scores: np.ndarray,
    choose: Callable[[np.ndarray, np.ndarray], float | None],
    *,
    seed: int = 0,
) -> tuple[np.ndarray, tuple[float, float]] | None: ...


def cross_fitted_thresholds(
    truth: np.ndarray,
    scores: np.ndarray,
    choose: Callable[[np.ndarray, np.ndarray], float | None] = best_threshold,
    *,
    seed: int = 0,
) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Decisions (N,) at thresholds chosen on the other half of the rows, and those two thresholds.

    None where `choose` finds no threshold on one of the halves.
    """
    from sklearn.model_selection import StratifiedKFold

    decision = np.zeros(len(truth), dtype=np.int64)
    chosen = []
    for learn, judge in StratifiedKFold(2, shuffle=True, random_state=seed).split(scores, truth):
        threshold = choose(truth[learn], scores[learn])
        if threshold is None:
            return None
        decision[judge] = scores[judge] > threshold
        chosen.append(threshold)
    return decision, (min(chosen), max(chosen))


def _midway(scores: np.ndarray, threshold: float) -> float:
    """The cut halfway between a score that is class 1 and the next one below it."""
    below = scores[scores < threshold]
    if not np.isfinite(threshold):
        return float(scores.max())
    return float((threshold + below.max()) / 2) if len(below) else float(np.nextafter(scores.min(), -np.inf))
