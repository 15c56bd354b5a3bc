"""The numbers that a report's pictures are drawn from: aggregates of evidence that the audit has computed anyway.

Nothing here starts a computation, and nothing holds a row of the user's data: only counts, shares, means and curves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlflow_clfaudit.report.class_figures import shares
from mlflow_clfaudit.report.plain import data
from mlflow_clfaudit.report.served_figures import confusion, quality, reliability, scores, thresholds
from mlflow_clfaudit.report.training_figures import curves, layers, saved_epoch_of, trainings

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence import Evidence

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
        makers["curves"] = lambda: curves(history, saved_epoch_of(evidence))
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


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
