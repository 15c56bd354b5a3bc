"""A bounded part of the inputs that fit() was given: whole splits where they fit, else rows of every class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlflow_clfaudit.at_hand import Data
from mlflow_clfaudit.storage import as_numbers

KEEP_INPUTS = ("sample", "all", "none")


@dataclass(frozen=True)
class Limits:
    """How much of the inputs is kept: "sample" up to `max_bytes` over all splits, "all" or "none"."""

    inputs: str = "sample"
    max_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        if self.inputs not in KEEP_INPUTS:
            raise ValueError(f"inputs={self.inputs!r}: it is one of {', '.join(KEEP_INPUTS)}")


def chosen_inputs(
    splits: Mapping[str, Data], arguments: Mapping[str, Any], limits: Limits, notes: list[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Copies of the inputs within the limit and the row numbers where they are a sample: held-out rows come first."""
    parts = _cut_as_keras(splits, arguments)
    if limits.inputs == "none":
        return {}, {}
    left = float("inf") if limits.inputs == "all" else float(limits.max_bytes)
    inputs: dict[str, Any] = {}
    rows: dict[str, np.ndarray] = {}
    total = sum(_bytes(values) for values, _ in parts.values())
    for split, (values, labels) in sorted(parts.items(), key=lambda item: item[0] == "train"):
        count, size = _count(values), _bytes(values)
        # Held-out rows may take three quarters where not everything fits: they reproduce what the run logged.
        limit = left if split == "train" or total <= left else 0.75 * left
        if size <= limit:
            inputs[split] = _copied(values, None)
        elif count and (wanted := int(count * limit / size)):
            rows[split] = stratified_rows(labels, count, wanted)
            inputs[split] = _copied(values, rows[split])
            size = size * len(rows[split]) // count
            notes.append(f"{split}: inputs of {len(rows[split])} of {count} rows")
        left -= size
    return inputs, rows


def _cut_as_keras(splits: Mapping[str, Data], arguments: Mapping[str, Any]) -> dict[str, tuple[Any, np.ndarray | None]]:
    """Inputs and labels by split, with the rows that Keras slices off the end as those of the validation split."""
    parts = {
        split: (data.inputs, next(iter(data.labels.values()), None))
        for split, data in splits.items()
        if data.inputs is not None
    }
    fraction = arguments.get("validation_split") or 0.0
    if "train" not in parts or "validation" in splits or not 0.0 < fraction < 1.0:
        return parts
    values, labels = parts["train"]
    cut = int(_count(values) * (1.0 - fraction))
    for split, chosen in (("train", slice(0, cut)), ("validation", slice(cut, None))):
        parts[split] = (_taken(values, chosen), None if labels is None else labels[chosen])
    return parts


def stratified_rows(labels: np.ndarray | None, count: int, wanted: int, *, seed: int = 0) -> np.ndarray:
    """About `wanted` of `count` row numbers, ascending, with the class shares kept and some rows of every class."""
    random = np.random.default_rng(seed)
    codes = None if labels is None or len(labels) != count else _codes(labels)
    if codes is None or codes.max(initial=0) >= min(wanted, 2**15):
        return _spread(count, min(wanted, count), random)
    # NumPy sorts 16-bit integers in linear time.
    order = np.argsort(codes.astype(np.int16), kind="stable")
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    few = max(1, min(5, wanted // len(sizes)))
    chosen = [
        start + _spread(size, min(size, max(few, int(wanted * size / count))), random)
        for start, size in zip(starts, sizes, strict=True)
    ]
    return np.sort(order[np.concatenate(chosen)])


def _spread(count: int, wanted: int, random: np.random.Generator) -> np.ndarray:
    """`wanted` of the numbers below `count`, ascending: one drawn from each of as many equal parts, in linear time."""
    bounds = np.arange(wanted + 1) * count // max(wanted, 1)
    return bounds[:-1] + (random.random(wanted) * np.diff(bounds)).astype(np.int64)


def _codes(labels: np.ndarray) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.asarray(np.argmax(labels, axis=1))
    return np.asarray(pd.factorize(labels.reshape(len(labels), -1)[:, 0], use_na_sentinel=False)[0])


def _count(values: Any) -> int:
    return len(next(iter(values.values()))) if isinstance(values, dict) else len(values)


def _taken(values: Any, rows: Any) -> Any:
    if isinstance(values, dict):
        return {name: part[rows] for name, part in values.items()}
    return values.iloc[rows] if isinstance(values, pd.DataFrame) else values[rows]


def _copied(values: Any, rows: np.ndarray | None) -> Any:
    if isinstance(values, dict):
        return {name: _copied(part, rows) for name, part in values.items()}
    if isinstance(values, pd.DataFrame):
        return values.copy() if rows is None else values.iloc[rows]
    return np.array(values) if rows is None else values[rows]


def _bytes(values: Any) -> int:
    if isinstance(values, dict):
        return sum(_bytes(part) for part in values.values())
    if isinstance(values, pd.DataFrame):
        if (numbers := as_numbers(values.iloc[:1])) is not None:
            return int(numbers.nbytes) * len(values)
        head = values.iloc[:1000]
        return int(head.memory_usage(index=False, deep=True).sum() / max(len(head), 1) * len(values))
    if values.dtype.kind == "O":
        head = values[:1000].ravel()
        return int(sum(len(str(item)) for item in head) / max(len(head), 1) * values.size)
    return int(values.nbytes)
