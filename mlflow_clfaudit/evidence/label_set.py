"""The labels of one split, in whatever form they were stored, as one kind of object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from mlflow_clfaudit.errors import Missing

CHUNK_ROWS = 2**20
MAX_COUNTED = 2**16


@dataclass(frozen=True)
class LabelSet:
    """The labels of one split as they were stored: `values` of shape (N,) or (N, C).

    `form` is one of integer, boolean, string, continuous (one value a row), one-hot, multi-hot, soft (rows that sum
    to 1) or matrix (anything else with several columns). `scale` are the classes in the order of the output units,
    where they are known from other splits or from an encoder. `column` says that they were stored as (N, 1).
    """

    values: np.ndarray
    source: str = "given"
    scale: np.ndarray | None = None
    column: bool = False

    @property
    def rows(self) -> int:
        return len(self.values)

    @cached_property
    def form(self) -> str:
        values = self.values
        if values.ndim == 2:
            return _matrix_form(values)
        if values.dtype.kind in "US":
            return "string"
        if values.dtype.kind == "b":
            return "boolean"
        return "integer" if values.dtype.kind in "iu" or all(map(_is_whole, _chunks(values))) else "continuous"

    @cached_property
    def codes(self) -> np.ndarray:
        """One class a row, (N,): the label itself where it is a number or text, the column where it is a row."""
        values = self.values
        if values.ndim == 2:
            return np.concatenate([np.argmax(chunk, axis=1) for chunk in _chunks(values)]).astype(np.int64)
        if self.form in ("integer", "boolean") and not self.has_missing:
            return values.astype(np.int64)
        return values

    @cached_property
    def classes(self) -> np.ndarray:
        """The distinct codes, sorted; NaN left out."""
        return self._encoded[0]

    @property
    def index(self) -> np.ndarray:
        """The place of each row's code in `classes`, (N,) integer; -1 for NaN."""
        return self._encoded[1]

    @cached_property
    def counts(self) -> Mapping[Any, int]:
        """Rows by class; empty where the values are too many to be classes."""
        classes, index = self._encoded
        if len(classes) > MAX_COUNTED:
            return {}
        counted = np.bincount(index[index >= 0] if self.has_missing else index, minlength=len(classes))
        return {code.item(): int(count) for code, count in zip(classes, counted, strict=True)}

    @cached_property
    def units(self) -> tuple[np.ndarray, int]:
        """The class index of each row, (N,) int64, and the number of classes: places in `scale`, or else sorted."""
        classes, index = self._encoded
        if self.scale is None or not bool(np.isin(classes, self.scale).all()):
            return index.astype(np.int64), len(classes)
        order = np.argsort(self.scale, kind="stable")
        places = order[np.searchsorted(self.scale[order], classes)]
        return places[index].astype(np.int64), len(self.scale)

    @cached_property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest finite value of numeric labels; NaN where there is none."""
        values = self.values
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        return (float(values.min()), float(values.max())) if values.size else (float("nan"), float("nan"))

    @property
    def is_single_label(self) -> bool:
        return self.form in ("integer", "boolean", "string", "one-hot", "soft")

    @cached_property
    def has_missing(self) -> bool:
        return self.values.dtype.kind == "f" and not all(bool(np.isfinite(c).all()) for c in _chunks(self.values))

    def slice(self, start: int, stop: int, note: str) -> LabelSet:
        return replace(self, values=self.values[start:stop], source=f"{self.source} ({note})")

    @cached_property
    def _encoded(self) -> tuple[np.ndarray, np.ndarray]:
        codes = self.codes
        if codes.dtype.kind == "U":
            pieces = pa.chunked_array([pa.array(chunk).dictionary_encode() for chunk in _chunks(codes)])
            encoded = pieces.unify_dictionaries().combine_chunks()
            names = np.array(encoded.dictionary.to_pylist(), dtype=str)
            order = np.argsort(names, kind="stable")
            return names[order], np.argsort(order).astype(np.int32)[encoded.indices.to_numpy()]
        if codes.dtype.kind == "f" and self.has_missing:
            finite = np.isfinite(codes)
            classes, places = np.unique(codes[finite], return_inverse=True)
            index = np.full(len(codes), -1, dtype=np.int64)
            index[finite] = places
            return classes, index
        if codes.dtype.kind in "iu" and len(codes):
            low, high = int(codes.min()), int(codes.max())
            if high - low < max(len(codes), MAX_COUNTED):
                classes = np.flatnonzero(np.bincount(codes - low)) + low
                places = np.zeros(high - low + 1, dtype=np.int32)
                places[classes - low] = np.arange(len(classes))
                return classes, places[codes - low]
        classes, index = np.unique(codes, return_inverse=True)
        return classes, index


def label_set(values: np.ndarray, source: str) -> LabelSet:
    """Labels from an array as it was stored; Missing for what is no array of labels."""
    array = np.asarray(values) if not isinstance(values, np.memmap) else values
    column = array.ndim == 2 and array.shape[1] == 1
    if column:
        array = array[:, 0]
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    elif array.dtype.kind == "O":
        array = array.astype(str)
    most = 1 if array.dtype.kind == "U" else 2
    if array.dtype.kind not in "fiubU" or not 1 <= array.ndim <= most:
        raise Missing(f"{source}: labels of dtype {array.dtype} and shape {array.shape} are not judged")
    if array.size == 0:
        raise Missing(f"{source} holds no labels", "log the labels again")
    return LabelSet(array, source, column=column)


def _chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    """The rows in pieces small enough for temporary copies."""
    step = max(1, CHUNK_ROWS // int(np.prod(values.shape[1:], dtype=np.int64) or 1))
    for start in range(0, len(values), step):
        yield values[start : start + step]


def _is_whole(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return bool(np.all(finite == np.round(finite)))


def _matrix_form(values: np.ndarray) -> str:
    binary, positive = True, True
    off_one = off_one_nearly = 0
    for chunk in _chunks(values):
        numbers = chunk.astype(np.float64)
        sums = numbers.sum(axis=1)
        binary = binary and bool(np.all((numbers == 0) | (numbers == 1)))
        positive = positive and bool(np.all(numbers >= 0))
        off_one += int(np.sum(sums != 1))
        off_one_nearly += int(np.sum(~(np.abs(sums - 1) <= 1e-3)))
    if binary:
        return "one-hot" if off_one <= 0.01 * len(values) else "multi-hot"
    return "soft" if positive and off_one_nearly <= 0.01 * len(values) else "matrix"
