"""The numbers behind the pictures of a training: its curves, its layers, and the counterfactual ones beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_clfaudit.evidence.reproduction import EXACT, TINY_LOSS
from mlflow_clfaudit.report.class_figures import MAX_NAME

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence import Evidence
    from mlflow_clfaudit.evidence.history import History
    from mlflow_clfaudit.evidence.reproduction import Reproduction
    from mlflow_clfaudit.evidence.trainings import Continued, Contrast
    from mlflow_clfaudit.evidence.units import LayerActivity
    from mlflow_clfaudit.evidence.weights import TensorGradient

MAX_POINTS = 400
MAX_LAYERS = 24


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


def saved_epoch_of(evidence: Evidence) -> int | None:
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
