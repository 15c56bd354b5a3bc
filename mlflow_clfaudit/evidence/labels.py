"""The labels of every split, in whatever form the run carries them, as one kind of object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mlflow_clfaudit import storage
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.classes import ClassList, best, in_order
from mlflow_clfaudit.evidence.files import OWN_FOLDERS, Match, Overrides, recognise, recognise_key
from mlflow_clfaudit.evidence.history import FitArguments
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.spec import Spec
from mlflow_clfaudit.evidence.tables import as_labels, label_column, read_labels

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence.scores import LoggedPredictions

LOG_LABELS = 'mlflow_clfaudit.log_labels(y, split="validation")'
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


@dataclass(frozen=True)
class Labels:
    """Labels by split. `whole` are the labels handed to fit() before Keras cut its validation slice off, if it did."""

    splits: Mapping[str, LabelSet]
    whole: LabelSet | None = None
    names: tuple[str, ...] | None = None

    @property
    def train(self) -> LabelSet | None:
        return self.splits.get("train")

    @property
    def validation(self) -> LabelSet | None:
        return self.splits.get("validation")

    @property
    def test(self) -> LabelSet | None:
        return self.splits.get("test")

    @cached_property
    def classes(self) -> np.ndarray:
        """The distinct codes of all splits, sorted."""
        return _united([labels.classes for labels in self.splits.values()])

    def held_out(self) -> Iterator[tuple[str, LabelSet]]:
        """The splits that were not trained on."""
        yield from ((name, labels) for name, labels in self.splits.items() if name != "train")


@provides()
def label_files(
    run: Run,
    overrides: Overrides,
    output: int,
    spec: Spec | None = None,
    logged_predictions: tuple[LoggedPredictions, ...] | None = None,
) -> Mapping[str, LabelSet]:
    """The label arrays by split as the artifacts hold them; `whole` where the name tells no split.

    For a model with several outputs, those whose file or key is named for the output that is judged. Without a model
    of Keras, labels that stand beside predictions in a table count too.
    """
    outputs = [head.key or head.name.split("/")[0] for head in spec.heads] if spec is not None else []
    beside = dict(_beside(logged_predictions or ())) if spec is None else {}
    try:
        found = dict(_found(run, overrides, outputs[output] if output < len(outputs) else "", outputs))
    except Missing:
        if not beside:
            raise
        found = {}
    # A table that names no split may be of rows that are there already.
    return found | {
        split: item for split, (item, named) in beside.items() if split not in found and (named or not found)
    }


@provides()
def labels(
    label_files: Mapping[str, LabelSet],
    run: Run,
    fit: FitArguments,
    class_lists: tuple[ClassList, ...] | None = None,
) -> Labels:
    """The labels of each split; the validation slice is cut off the training labels as Keras does it."""
    splits = dict(label_files)
    whole = splits.pop("whole", None)
    if whole is not None and "train" not in splits:
        splits["train"] = whole
    if not splits:
        raise Missing("the run has no labels among its artifacts", LOG_LABELS)
    chosen = best(class_lists or ())
    scale = _scale(splits, chosen)
    splits = {name: replace(item, scale=scale) for name, item in splits.items()}
    names = chosen.names if chosen is not None else None
    cut = _keras_cut(splits, run, fit)
    if cut is None:
        return Labels(splits, None, names)
    given = splits["train"]
    return Labels(
        splits
        | {
            "train": given.slice(0, cut, f"first {cut} rows"),
            "validation": given.slice(cut, given.rows, f"last {given.rows - cut} rows"),
        },
        whole=given,
        names=names,
    )


@provides()
def train_labels(labels: Labels) -> LabelSet:
    """The labels that were trained on."""
    return _split(labels, "train")


@provides()
def validation_labels(labels: Labels) -> LabelSet:
    """The labels of the validation rows."""
    return _split(labels, "validation")


def _split(labels: Labels, split: str) -> LabelSet:
    if split not in labels.splits:
        raise Missing(
            f"the run has no {split} labels",
            f'np.save("y_{split}.npy", y_{split}); mlflow.log_artifact("y_{split}.npy", "data")',
        )
    return labels.splits[split]


def _found(run: Run, overrides: Overrides, output: str, outputs: list[str]) -> Iterator[tuple[str, LabelSet]]:
    seen: set[str] = set()
    for split, path in overrides.labels.items():
        local = Path(path) if Path(path).exists() else run.fetch(path)
        seen.add(split)
        yield split, label_set(as_labels(read_labels(local), path), path)
    errors: list[Missing] = []
    several = len(outputs) > 1
    matches = [match for match in recognise(run.artifacts) if match.holds != "inputs"]
    if several:
        matches = [match for match in matches if match.is_for(output, outputs)]
    for match in sorted(matches, key=lambda item: item.order):
        if match.split in seen and not match.path.endswith((".npz", ".json")):
            continue
        try:
            for split, found in _of_file(run, match, output if several else None, outputs):
                if split not in seen:
                    seen.add(split)
                    yield split, found
        except Missing as missing:
            errors.append(missing)
    if errors and not seen:
        raise errors[0]


def _of_file(run: Run, match: Match, output: str | None, outputs: list[str]) -> Iterator[tuple[str, LabelSet]]:
    if match.path.startswith(OWN_FOLDERS):
        yield match.split, label_set(storage.read_labels(run.fetch(match.path)).values, match.path)
        return
    columns = read_labels(run.fetch(match.path))
    several_arrays = len(columns) > 1 and match.path.lower().endswith((".npz", ".json"))
    if output is not None and match.holds == "labels" and output in columns:
        yield match.split, label_set(columns[output], f"{match.path}:{output}")
    elif several_arrays and any(recognise_key(key) for key in columns):
        for key in columns:
            inner = recognise_key(key)
            if inner is None or inner.holds != "labels":
                continue
            if output is not None and not inner.is_for(output, outputs):
                continue
            split = inner.split if inner.split != "whole" else match.split
            yield split, label_set(columns[key], f"{match.path}:{key}")
    elif several_arrays and match.holds == "labels" and all(_split_of(key) for key in columns):
        for key in columns:
            yield _split_of(key) or match.split, label_set(columns[key], f"{match.path}:{key}")
    elif match.holds == "both":
        named = label_column(columns)
        if named is not None:
            yield match.split, label_set(columns[named], f"{match.path}:{named}")
    else:
        found = label_set(as_labels(columns, match.path), match.path)
        # Distinct values in a file that names no split are the list of classes, not labels.
        if match.split != "whole" or found.values.ndim != 1 or in_order(found.values[:1001]) is None:
            yield match.split, found


def _beside(predictions: Iterable[LoggedPredictions]) -> Iterator[tuple[str, tuple[LabelSet, bool]]]:
    """The labels that stand beside predictions in tables, by split, and whether the table names it: else it is test."""
    for item in predictions:
        if item.truth is None or len(item.truth) != len(item.values):
            continue
        try:
            yield item.split or "test", (label_set(item.truth, item.source), item.split is not None)
        except Missing:
            continue


def _split_of(key: str) -> str | None:
    inner = recognise_key(f"y_{key}")
    return None if inner is None or inner.split == "whole" else inner.split


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
    if array.dtype.kind not in "fiubU" or array.ndim not in (1, 2):
        raise Missing(f"{source}: labels of dtype {array.dtype} and shape {array.shape} are not judged")
    if len(array) == 0:
        raise Missing(f"{source} holds no rows", "log the labels again")
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


def _united(classes: list[np.ndarray]) -> np.ndarray:
    if len({array.dtype.kind in "US" for array in classes}) > 1:
        classes = [array.astype(str) for array in classes]
    return np.unique(np.concatenate(classes)) if classes else np.array([], dtype=np.int64)


def _scale(splits: Mapping[str, LabelSet], chosen: ClassList | None) -> np.ndarray | None:
    """The classes of all splits in the order of their codes: the encoder's where it knows them all, else sorted."""
    texts = [item for item in splits.values() if item.form == "string"]
    numbers = [item for item in splits.values() if item.form in ("integer", "boolean") and not item.has_missing]
    if len(texts) == len(splits):
        classes = _united([item.classes for item in texts])
        if chosen is not None and chosen.is_encoder and set(classes.tolist()) <= set(chosen.names):
            return np.array(chosen.names)
        return classes
    if len(numbers) != len(splits):
        return None
    most = max((item.classes for item in numbers), key=len)
    # Numbers of another scale, such as 1 and 2 beside 0 and 1, are not further classes.
    return most if all(np.isin(item.classes, most).all() for item in numbers) else None


def _keras_cut(splits: Mapping[str, LabelSet], run: Run, fit: FitArguments) -> int | None:
    """Where Keras cut the validation slice: floor(N·(1-f)), before any shuffling (array_slicing.py)."""
    given_validation = any(dataset.context == "eval" for dataset in run.datasets)
    if not 0.0 < fit.validation_split < 1.0 or given_validation:
        return None
    if "train" not in splits or "validation" in splits:
        return None
    rows = splits["train"].rows
    cut = int(rows * (1.0 - fit.validation_split))
    return cut if 0 < cut < rows else None
