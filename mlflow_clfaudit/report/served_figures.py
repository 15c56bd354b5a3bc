"""The numbers behind the pictures of the served decision: how good it is, which classes it mixes up, how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.report.class_figures import MAX_CLASSES, class_names

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence.labels import Labels
    from mlflow_clfaudit.evidence.served import Served

MAX_COUNTED_CLASSES = 5_000
CONFIDENCE_BINS = 10
SCORE_BINS = 40
THRESHOLDS = 81


def quality(served: Served) -> dict[str, Any]:
    """How good the served decision is, beside what always saying the largest class would reach."""
    return {
        "balanced_accuracy": served.balanced_accuracy,
        "accuracy": served.accuracy,
        "majority_share": float(served.shares.max(initial=0.0)),
        "area_under_curve": served.area_under_curve,
        "information": served.information,
        "rows": served.rows,
        "classes": served.classes,
        "split": served.split,
        "held_out": served.held_out,
    }


def confusion(served: Served, labels: Labels | None = None) -> dict[str, Any] | None:
    """Rows by true and served class. Of more than 30 classes, the 30 with most errors are kept, the others summed."""
    classes = int(max(served.classes, served.truth.max(initial=0) + 1, served.decision.max(initial=0) + 1))
    if classes > MAX_COUNTED_CLASSES:
        return None
    matrix = np.array(measures.confusion(served.truth, served.decision, classes))
    indices = worst_classes(matrix)
    names = class_names(labels, classes)
    shown = [names[index] for index in indices]
    if len(indices) < classes:
        shown.append(f"{classes - len(indices)} other classes")
    return {
        "labels": shown,
        "indices": indices,
        "matrix": reduced(matrix, indices),
        "right": int(np.trace(matrix)),
        "classes": classes,
        "rows": served.rows,
        "split": served.split,
        "held_out": served.held_out,
    }


def worst_classes(matrix: np.ndarray, limit: int = MAX_CLASSES) -> list[int]:
    """The classes with the most rows given or taken wrongly, at most `limit`, in their own order."""
    if len(matrix) <= limit:
        return list(range(len(matrix)))
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    return sorted(np.argsort(-errors, kind="stable")[:limit].tolist())


def reduced(matrix: np.ndarray, indices: list[int]) -> list[list[int]]:
    """The matrix of some classes; where there are others, they are summed in a last row and column."""
    classes = len(matrix)
    if len(indices) == classes:
        return [[int(value) for value in row] for row in matrix]
    group = np.full(classes, len(indices))
    group[indices] = np.arange(len(indices))
    summed = np.zeros((len(indices) + 1, len(indices) + 1), dtype=np.int64)
    np.add.at(summed, (group[:, None], group[None, :]), np.asarray(matrix, dtype=np.int64))
    return [[int(value) for value in row] for row in summed]


def reliability(served: Served) -> dict[str, Any] | None:
    """How often the served decision is right, by how sure it says it is."""
    probabilities = served.probabilities
    if probabilities is None or not np.all(np.isfinite(probabilities)):
        return None
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == served.truth).astype(np.float64)
    chosen = np.clip((confidence * CONFIDENCE_BINS).astype(np.int64), 0, CONFIDENCE_BINS - 1)
    rows = np.bincount(chosen, minlength=CONFIDENCE_BINS)
    filled = np.flatnonzero(rows)
    mean_confidence = np.bincount(chosen, confidence, CONFIDENCE_BINS)[filled] / rows[filled]
    accuracy = np.bincount(chosen, right, CONFIDENCE_BINS)[filled] / rows[filled]
    return {
        "bins": [
            {"low": int(index) / CONFIDENCE_BINS, "confidence": sure, "accuracy": hit, "rows": int(rows[index])}
            for index, sure, hit in zip(filled, mean_confidence, accuracy, strict=True)
        ],
        "expected_calibration_error": float(
            np.sum(np.abs(mean_confidence - accuracy) * rows[filled]) / max(served.rows, 1)
        ),
        "rows": served.rows,
    }


def scores(served: Served, labels: Labels | None = None) -> dict[str, Any] | None:
    """Histograms of the binary score by true class, with the threshold that the served decision uses.

    The outermost bins also hold what lies beyond them: a single wild score would leave all others in one bin.
    """
    values = served.scores
    if values is None or served.rows == 0 or not np.all(np.isfinite(values)):
        return None
    values, threshold = values.astype(np.float64), _served_threshold(served)
    low, high = _score_range(values, threshold)
    edges = np.linspace(low, high, SCORE_BINS + 1)
    counts = [np.histogram(np.clip(values[served.truth == code], low, high), edges)[0] for code in (0, 1)]
    return {
        "edges": edges.tolist(),
        "counts": [count.tolist() for count in counts],
        "labels": class_names(labels, 2),
        "threshold": threshold,
        "above": [int(np.sum(values[served.truth == code] > threshold)) for code in (0, 1)],
        "beyond": int(np.sum((values < low) | (values > high))),
    }


def thresholds(served: Served, labels: Labels | None = None) -> dict[str, Any] | None:
    """What each threshold of the binary score would give on these rows: both recalls, and their mean."""
    values = served.scores
    if values is None or not np.all(np.isfinite(values)) or np.bincount(served.truth, minlength=2).min() == 0:
        return None
    values, threshold = values.astype(np.float64), _served_threshold(served)
    low, high = _score_range(values, threshold)
    # Even steps for the eye, and steps where the scores are, because they may lie close together.
    quantiles = np.quantile(np.clip(values, low, high), np.linspace(0, 1, THRESHOLDS))
    x = np.unique(np.concatenate([np.linspace(low, high, THRESHOLDS), quantiles]))
    above = []
    for code in (0, 1):
        ordered = np.sort(values[served.truth == code])
        above.append(1.0 - np.searchsorted(ordered, x, side="right") / len(ordered))
    recalls = [1.0 - above[0], above[1]]
    return {
        "x": x.tolist(),
        "balanced_accuracy": ((recalls[0] + recalls[1]) / 2).tolist(),
        "recalls": [recall.tolist() for recall in recalls],
        "labels": class_names(labels, 2),
        "threshold": threshold,
    }


def _served_threshold(served: Served) -> float:
    return served.head.threshold if served.width == 1 else 0.5


def _score_range(values: np.ndarray, threshold: float) -> tuple[float, float]:
    """The ends of an axis for scores (N,) float64: 0 and 1 for probabilities, else where nearly all of them lie."""
    if values.min() >= 0.0 and values.max() <= 1.0:
        return 0.0, 1.0
    low, high = np.quantile(values, [0.005, 0.995])
    low, high = float(min(low, threshold)), float(max(high, threshold))
    margin = 0.02 * (high - low) or 0.5
    return low - margin, high + margin
