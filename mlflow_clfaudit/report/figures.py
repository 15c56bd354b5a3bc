"""The numbers that a report's pictures are drawn from: aggregates of evidence that the audit has computed anyway.

Nothing here starts a computation, and nothing holds a row of the user's data: only counts, shares, means and curves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.reproduction import EXACT, TINY_LOSS
from mlflow_clfaudit.report.plain import data

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence import Evidence
    from mlflow_clfaudit.evidence.history import History
    from mlflow_clfaudit.evidence.labels import Labels
    from mlflow_clfaudit.evidence.reproduction import Reproduction
    from mlflow_clfaudit.evidence.served import Served
    from mlflow_clfaudit.evidence.trainings import Continued, Contrast
    from mlflow_clfaudit.evidence.units import LayerActivity
    from mlflow_clfaudit.evidence.weights import TensorGradient

COUNTERFACTUALS = (
    "continuation_trial",
    "learning_rate_trials",
    "scaled_trials",
    "slower_trials",
    "rectified_trials",
    "redrawn_trials",
    "wider_trials",
    "unfrozen_trials",
    "unregularised_trials",
)
SPLITS = ("train", "validation", "test")
MAX_POINTS = 400
MAX_CLASSES = 30
MAX_COUNTED_CLASSES = 5_000
MAX_NAME = 40
CONFIDENCE_BINS = 10
SCORE_BINS = 40
THRESHOLDS = 81
MAX_LAYERS = 24
SIGNIFICANT_DIGITS = 6


def figures(evidence: Evidence) -> dict[str, Any]:
    """Every figure for which `evidence` holds the pieces already, as JSON-safe data.

    quality     balanced_accuracy, accuracy, majority_share, area_under_curve, information; rows, split, held_out
    curves      series: name → {x: epochs, y: values}, at most 400 points each; epochs; saved_epoch
    confusion   labels, indices, matrix [true][served]: the worst 30 classes and the others as one; right; classes
    reliability per bin of the served confidence: confidence, accuracy, rows; expected_calibration_error
    scores      edges, counts per class, threshold, above: rows per class above it (binary)
    thresholds  x: thresholds; balanced_accuracy and recalls of class 0 and 1 at each; threshold: served (binary)
    layers      layers: layer, gradient, dead, saturated and activation, each null where not known; count
    shares      labels of the 30 largest classes, splits: split → share per class; rows: split → rows; classes
    trainings   counterfactual trainings: change, epochs, seconds, balanced accuracy before and after each
    undrawn     figure → error, where one could not be made
    """
    served, history, labels = (evidence.peek(name) for name in ("served", "history", "labels"))
    makers: dict[str, Callable[[], dict[str, Any] | None]] = {}
    if served is not None:
        makers |= {
            "quality": lambda: quality(served),
            "confusion": lambda: confusion(served, labels),
            "reliability": lambda: reliability(served),
            "scores": lambda: scores(served, labels),
            "thresholds": lambda: thresholds(served, labels),
        }
    if history is not None:
        makers["curves"] = lambda: curves(history, _saved_epoch(evidence))
    gradients, activity = evidence.peek("tensor_gradients") or (), evidence.peek("unit_activity") or ()
    spec = evidence.peek("spec")
    if gradients or activity:
        order = [layer.name for layer in spec.layers] if spec is not None else []
        makers["layers"] = lambda: layers(gradients, activity, order)
    if labels is not None:
        makers["shares"] = lambda: shares(labels)
    tried = [found for name in COUNTERFACTUALS if (found := evidence.peek(name)) is not None]
    if tried:
        makers["trainings"] = lambda: {"tried": trainings(tried)}
    made: dict[str, Any] = {}
    undrawn: dict[str, str] = {}
    for name, maker in makers.items():
        try:
            found = maker()
        except Exception as error:  # noqa: BLE001  a picture that fails must not cost the verdict
            undrawn[name] = f"{type(error).__name__}: {error}"[:200]
            continue
        if found is not None:
            made[name] = found
    plain: dict[str, Any] = _rounded(data(made | ({"undrawn": undrawn} if undrawn else {})))
    return plain


def trainings(tried: Iterable[Continued | Contrast | Sequence[Continued | Contrast]]) -> list[dict[str, Any]]:
    """Every counterfactual training once, in the order in which they were asked for."""
    from mlflow_clfaudit.evidence.trainings import Contrast

    done: dict[int, Continued] = {}
    for item in tried:
        for one in item if isinstance(item, Sequence) else [item]:
            parts = [one.control, one.changed] if isinstance(one, Contrast) else [one]
            done |= {id(part): part for part in parts}
    return [
        {
            "change": item.change,
            "epochs": item.epochs,
            "before": item.before.balanced_accuracy,
            "after": item.after.balanced_accuracy,
            "seconds": item.seconds,
        }
        for item in done.values()
    ]


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


def curves(history: History, saved_epoch: int | None = None) -> dict[str, Any] | None:
    """The training curves, thinned; `saved_epoch` counts from 1, as the x values do."""
    named = {
        "loss": history.loss,
        "val_loss": history.validation_loss,
        "accuracy": history.accuracy,
        "val_accuracy": history.validation_accuracy,
        "learning_rate": history.learning_rate,
    }
    series = {name: thinned(values) for name, values in named.items() if values is not None and len(values)}
    if not series:
        return None
    return {"epochs": max(item["x"][-1] for item in series.values()), "saved_epoch": saved_epoch, "series": series}


def thinned(values: np.ndarray, limit: int = MAX_POINTS) -> dict[str, list[float]]:
    """A curve (E,) as at most `limit` points that keep both ends and every bucket's least and greatest value.

    Returns x, epochs counted from 1, and y.
    """
    count = len(values)
    if count <= limit:
        kept = np.arange(count)
    else:
        edges = np.linspace(0, count, limit // 2, dtype=np.int64)
        buckets = [np.arange(start, stop) for start, stop in pairwise(edges)]
        extremes = [bucket[[int(np.argmin(values[bucket])), int(np.argmax(values[bucket]))]] for bucket in buckets]
        kept = np.unique(np.concatenate([*extremes, [0, count - 1]]))
    return {"x": (kept + 1).tolist(), "y": values[kept].tolist()}


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


def class_names(labels: Labels | None, classes: int) -> list[str]:
    """What to call each class index: the run's own names, else the labels that the indices stand for."""
    known: list[Any] = []
    if labels is not None:
        if labels.names and len(labels.names) == classes:
            known = list(labels.names)
        elif _are_sorted_codes(labels, classes):
            known = labels.classes.tolist()
    names = [str(name) for name in known] or [str(index) for index in range(classes)]
    return [name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…" for name in names]


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


def layers(
    gradients: Sequence[TensorGradient], activity: Sequence[LayerActivity], order: Sequence[str] = ()
) -> dict[str, Any] | None:
    """What each layer's kernels were taught and what its units do, by `order`; the first and last 12 of more than 24.

    gradient is the root mean square that reached its kernel, dead and saturated are shares of its units and outputs.
    """
    found: dict[str, dict[str, Any]] = {}
    for tensor in gradients:
        if tensor.is_kernel:
            # A layer of several kernels is as well taught as the best of them.
            known = found.setdefault(tensor.layer, {"gradient": 0.0})
            known["gradient"] = max(known["gradient"], tensor.rms)
    for layer in activity:
        told = {"activation": layer.activation, "dead": layer.dead, "saturated": layer.saturated}
        found.setdefault(layer.layer, {}).update(told)
    if not found:
        return None
    place = {name: index for index, name in enumerate(order)}
    names = sorted(found, key=lambda name: place.get(name, len(place)))
    shown = names if len(names) <= MAX_LAYERS else names[: MAX_LAYERS // 2] + names[-MAX_LAYERS // 2 :]
    blank = dict.fromkeys(("gradient", "activation", "dead", "saturated"))
    return {"layers": [{"layer": name[:MAX_NAME], **blank, **found[name]} for name in shown], "count": len(names)}


def shares(labels: Labels) -> dict[str, Any] | None:
    """The share of each class in each split; of more than 30 classes, those of the 30 largest."""
    ordered = sorted(labels.splits.items(), key=lambda item: (*SPLITS, item[0]).index(item[0]))
    single = {split: item for split, item in ordered if item.is_single_label}
    if not single:
        return None
    counts = {split: {str(code): rows for code, rows in item.counts.items()} for split, item in single.items()}
    totals: dict[str, int] = {}
    for by_code in counts.values():
        for code, count in by_code.items():
            totals[code] = totals.get(code, 0) + count
    order = _in_order(totals)
    kept = order
    if len(order) > MAX_CLASSES:
        largest = set(sorted(order, key=lambda code: -totals[code])[:MAX_CLASSES])
        kept = [code for code in order if code in largest]
    rows = {split: item.rows for split, item in single.items()}
    shown = {split: [by_code.get(code, 0) / rows[split] for code in kept] for split, by_code in counts.items()}
    named = _by_name(labels, order)
    names = [named.get(code, code)[:MAX_NAME] for code in kept]
    return {"labels": names, "splits": shown, "rows": rows, "classes": len(order)}


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


def _saved_epoch(evidence: Evidence) -> int | None:
    """The epoch, counted from 1, whose weights were saved: EarlyStopping logged it, or its loss alone is theirs."""
    run = evidence.peek("run")
    restored = run.metrics.get("restored_epoch") if run is not None else None
    if restored is not None and len(restored[1]) and np.isfinite(restored[1][-1]):
        return int(restored[1][-1]) + 1
    reproduced: Reproduction | None = evidence.peek("reproduction")
    if reproduced is None or not reproduced.is_exact:
        return None
    nearest = reproduced.logged[reproduced.epoch]
    alike = np.isclose(reproduced.logged, nearest, rtol=EXACT, atol=TINY_LOSS)
    return reproduced.epoch + 1 if int(alike.sum()) == 1 else None


def _are_sorted_codes(labels: Labels, classes: int) -> bool:
    """Whether index i stands for the i-th of the sorted labels; indices that are the labels themselves are."""
    return len(labels.classes) == classes and all(item.is_single_label for item in labels.splits.values())


def _by_name(labels: Labels, order: list[str]) -> Mapping[str, str]:
    if not labels.names or len(labels.names) != len(order) or order != [str(i) for i in range(len(order))]:
        return {}
    return dict(zip(order, map(str, labels.names), strict=True))


def _in_order(codes: Mapping[str, int]) -> list[str]:
    try:
        return sorted(codes, key=float)
    except ValueError:
        return sorted(codes)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
