"""What people do to inputs before fit(), as functions of an input array (N, …)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from mlflow_clfaudit.evidence.inputs import Transform


def before_fit(held_out: np.ndarray, train: np.ndarray | None) -> Iterator[tuple[str, Transform]]:
    """The usual transforms by name; `held_out` and `train` are the inputs as they were logged."""
    if held_out.dtype.kind not in "fiub":
        return
    yield "x / 255", lambda array: _float(array) / 255
    yield "x / 127.5 - 1", lambda array: _float(array) / 127.5 - 1
    yield "x * 255", lambda array: _float(array) * 255
    if train is not None and train.shape[1:] == held_out.shape[1:]:
        yield from _fitted(held_out, train)
    yield "z-scores by each split's own rows", lambda array: _standardised(array, array)
    yield "min-max by each split's own rows", lambda array: _ranged(array, array)
    if held_out.ndim == 2:
        yield "rows scaled to length 1", _unit_rows
    if held_out.ndim == 4:
        yield "channels moved last", lambda array: np.moveaxis(_float(array), 1, -1)
        yield "channels moved first", lambda array: np.moveaxis(_float(array), -1, 1)
        if held_out.shape[-1] == 3:
            yield "RGB to BGR", lambda array: _float(array)[..., ::-1]
    yield "rounded to float16", lambda array: np.asarray(array, dtype=np.float16).astype(np.float32)


def onto_training(held_out: np.ndarray, train: np.ndarray) -> Iterator[tuple[str, Transform]]:
    """What maps held-out inputs onto training inputs that were given another scale, by name."""
    if held_out.dtype.kind not in "fiub":
        return
    yield "x / 255", lambda array: _float(array) / 255
    yield "x * 255", lambda array: _float(array) * 255
    yield "x / 127.5 - 1", lambda array: _float(array) / 127.5 - 1
    yield "(x + 1) * 127.5", lambda array: (_float(array) + 1) * 127.5
    reference = np.asarray(train, dtype=np.float64)
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    yield (
        "mean and deviation of the training rows",
        lambda array: np.asarray(_standardised(array, array) * deviation + mean, dtype=np.float32),
    )


def _fitted(held_out: np.ndarray, train: np.ndarray) -> Iterator[tuple[str, Transform]]:
    """Scalings whose constants come from the training rows or from all rows."""
    for name, reference in (("training", train), ("all", np.concatenate([train, held_out]))):
        yield f"z-scores by the {name} rows", partial(_standardised, reference=reference)
        yield f"min-max by the {name} rows", partial(_ranged, reference=reference)
    mean, deviation = train.mean(dtype=np.float64), train.std(dtype=np.float64)
    yield "one z-score for all columns", lambda array: _scaled(array, mean, deviation)
    center = train.mean(axis=0, dtype=np.float64)
    yield "less the mean of the training rows", lambda array: _scaled(array, center, np.float64(1))


def _standardised(array: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return _scaled(array, reference.mean(axis=0, dtype=np.float64), reference.std(axis=0, dtype=np.float64))


def _ranged(array: np.ndarray, reference: np.ndarray) -> np.ndarray:
    low, high = reference.min(axis=0).astype(np.float64), reference.max(axis=0).astype(np.float64)
    return _scaled(array, low, high - low)


def _unit_rows(array: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(_float(array), axis=1, keepdims=True)
    return np.asarray(_float(array) / np.where(norms > 0, norms, 1))


def _scaled(array: np.ndarray, offset: Any, scale: Any) -> np.ndarray:
    return np.asarray((array - offset) / np.where(scale > 0, scale, 1.0), dtype=np.float32)


def _float(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, dtype=np.float32)
