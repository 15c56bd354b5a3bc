"""The inputs of every split, memory-mapped where their format allows, and the rows that an audit judges on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mlflow_clfaudit import storage
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.files import OWN_FOLDERS, Match, Overrides, recognise, recognise_key
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.tables import as_inputs, read

LOG_INPUTS = 'np.save("X_val.npy", X_val); mlflow.log_artifact("X_val.npy", "data")'
MIN_CLASS_ROWS = 5
MAX_HASHED_ROWS = 2_000_000
HASHED_VALUES = 4_000_000

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Inputs:
    """Inputs by split: an array (N, …), or a dict of arrays for a model with several inputs.

    `chosen` (n,) int64 are the row numbers within the split where its inputs are a sample of it.
    """

    splits: Mapping[str, Any]
    sources: Mapping[str, str]
    chosen: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """Inputs and labels of one split that belong together row by row."""

    split: str
    inputs: Any
    labels: LabelSet
    held_out: bool
    sampled: bool = False

    @property
    def count(self) -> int:
        return self.labels.rows


def count(inputs: Any) -> int:
    """The number of rows of an input array or of a dict of input arrays."""
    return len(next(iter(inputs.values()))) if isinstance(inputs, dict) else len(inputs)


def take(inputs: Any, rows: Any) -> Any:
    """The chosen rows (an index array or a slice) of an input array or of a dict of input arrays."""
    if isinstance(inputs, dict):
        return {name: array[rows] for name, array in inputs.items()}
    return inputs[rows]


@provides()
def logged_inputs(run: Run, overrides: Overrides, labels: Labels | None = None) -> Inputs:
    """The inputs of each split as they were logged; cut as the labels are where Keras sliced validation rows off."""
    found: dict[str, tuple[Any, str]] = {}
    errors: list[Missing] = []
    for split, path in overrides.inputs.items():
        local = Path(path) if Path(path).exists() else run.fetch(path)
        found[split] = (_with_rows(as_inputs(read(local), path), path), path)
    for match in sorted(recognise(run.artifacts), key=lambda item: item.order):
        if match.holds == "labels":
            continue
        try:
            for split, array, source in _of_file(run, match):
                found.setdefault(split, (_with_rows(array, source), source))
        except Missing as missing:
            errors.append(missing)
    whole = found.pop("whole", None)
    if whole is not None and "train" not in found:
        found["train"] = whole
    if not found:
        raise errors[0] if errors else Missing("the run has no inputs among its artifacts", LOG_INPUTS)
    splits = {split: array for split, (array, _) in found.items()}
    if labels is not None and labels.whole is not None and labels.train is not None and "train" in splits:
        given = splits["train"]
        if count(given) == labels.whole.rows:
            cut = labels.train.rows
            splits["train"] = take(given, slice(0, cut))
            splits["validation"] = take(given, slice(cut, None))
            found["validation"] = found["train"]
    chosen = {split: rows for split, (_, source) in found.items() if (rows := _chosen(run, source, split)) is not None}
    return Inputs(splits, {split: found[split][1] for split in splits}, chosen)


def _with_rows(given: Any, path: str) -> Any:
    """An input array or the arrays of several inputs, as they are; Missing where they are no rows of values."""
    arrays = list(given.values()) if isinstance(given, dict) else [given]
    if any(len(array.shape) == 0 or 0 in array.shape for array in arrays) or len({len(array) for array in arrays}) != 1:
        raise Missing(f"{path} holds no rows of inputs", LOG_INPUTS)
    return given


@provides()
def inputs(logged_inputs: Inputs, input_transform: Transform | None = None) -> Inputs:
    """The inputs of each split as fit() was given them: as logged, or with the transform that the log proves."""
    if input_transform is None:
        return logged_inputs
    splits = {split: input_transform(np.asarray(array)) for split, array in logged_inputs.splits.items()}
    return replace(logged_inputs, splits=splits)


@provides()
def logged_rows(logged_inputs: Inputs, labels: Labels) -> Mapping[str, Rows]:
    """The splits whose inputs and labels are both there and equally long, the inputs as they were logged."""
    return _paired(logged_inputs, labels)


@provides()
def rows(inputs: Inputs, labels: Labels) -> Mapping[str, Rows]:
    """The splits whose inputs and labels are both there and equally long, the inputs as fit() was given them."""
    return _paired(inputs, labels)


def _paired(inputs: Inputs, labels: Labels) -> Mapping[str, Rows]:
    paired: dict[str, Rows] = {}
    problems: list[str] = []
    for split, array in inputs.splits.items():
        given = labels.splits.get(split)
        if given is None:
            continue
        chosen = inputs.chosen.get(split)
        if chosen is not None and chosen.max(initial=-1) < given.rows:
            given = replace(given, values=given.values[chosen])
        if count(array) != given.rows:
            problems.append(f"{split}: {count(array)} rows of inputs but {given.rows} labels")
        elif given.has_missing:
            problems.append(f"{split}: labels with NaN")
        else:
            paired[split] = Rows(split, array, given, held_out=split != "train", sampled=chosen is not None)
    if not paired:
        reason = "; ".join(problems) or "no split has both inputs and labels"
        raise Missing(reason, "log X and y of the same rows, in the same order")
    return paired


@provides()
def evaluation_rows(rows: Mapping[str, Rows]) -> Rows:
    """The rows that the served model is judged on: held out and of several classes where there are such."""
    candidates = [rows[split] for split in ("validation", "test", "train") if split in rows]
    return next((item for item in candidates if _has_classes(item.labels)), candidates[0])


@provides()
def training_rows(rows: Mapping[str, Rows]) -> Rows:
    """The rows that were trained on."""
    if "train" not in rows:
        raise Missing("the run has no training inputs with labels", LOG_INPUTS.replace("val", "train"))
    return rows["train"]


@dataclass(frozen=True)
class RowHashes:
    """A 64-bit hash (N,) of every row of the inputs of every split; equal rows to float32 have equal hashes."""

    splits: Mapping[str, np.ndarray]

    def same_rows(self, first: str, second: str) -> bool:
        """Whether both splits are there and hold the same rows, in whatever order."""
        one, other = self.splits.get(first), self.splits.get(second)
        return one is not None and other is not None and np.array_equal(np.sort(one), np.sort(other))

    def repeated(self, split: str) -> np.ndarray:
        """Which rows of a split occur in it more than once, (N,) bool."""
        _, inverse, counts = np.unique(self.splits[split], return_inverse=True, return_counts=True)
        return np.asarray(counts[inverse] > 1)

    def shared(self, split: str, other: str) -> np.ndarray:
        """Which rows of `split` occur in `other` too, (N,) bool."""
        return np.isin(self.splits[split], self.splits[other])


@provides()
def row_hashes(logged_inputs: Inputs) -> RowHashes:
    """Hashes of all rows, read in chunks; a split of which only a sample was logged is left out."""
    hashed = {
        split: hash_rows(array)
        for split, array in logged_inputs.splits.items()
        if count(array) <= MAX_HASHED_ROWS and split not in logged_inputs.chosen
    }
    if not hashed:
        raise Missing("the inputs are too many rows to compare")
    return RowHashes(hashed)


def hash_rows(inputs: Any) -> np.ndarray:
    """One uint64 a row of an input array (N, …), numbers to float32 or a text a row, or of a dict of such arrays."""
    if isinstance(inputs, dict):
        parts = [hash_rows(array) * np.uint64(2 * number + 1) for number, array in enumerate(inputs.values())]
        return np.asarray(np.bitwise_xor.reduce(parts))
    rows, width = len(inputs), int(np.prod(inputs.shape[1:])) or 1
    if inputs.dtype.kind == "U" and width == 1:
        return _hash_texts(inputs.reshape(rows))
    step = max(1, HASHED_VALUES // width)
    found = np.zeros(rows, dtype=np.uint64)
    places = np.arange(1, width + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for start in range(0, rows, step):
        chunk = np.asarray(inputs[start : start + step]).reshape(-1, width)
        if chunk.dtype.kind not in "fiub":
            raise Missing("inputs that are neither numbers nor one text a row are not compared")
        # Adding 0 makes the two zeros one.
        words = (chunk.astype(np.float32) + np.float32(0)).view(np.uint32).astype(np.uint64)
        found[start : start + step] = _mixed(words ^ places).sum(axis=1, dtype=np.uint64)
    return found


def _hash_texts(texts: np.ndarray) -> np.ndarray:
    """One uint64 a text (N,), the same in arrays of any width: they hold 0 behind the last character."""
    width = texts.dtype.itemsize // 4
    step = max(1, HASHED_VALUES // max(width, 1))
    found = np.zeros(len(texts), dtype=np.uint64)
    places = np.arange(1, width + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for start in range(0, len(texts), step):
        chunk = np.ascontiguousarray(texts[start : start + step])
        codes = chunk.view(np.uint32).reshape(len(chunk), width).astype(np.uint64)
        found[start : start + step] = np.where(codes == 0, np.uint64(0), _mixed(codes ^ places)).sum(
            axis=1, dtype=np.uint64
        )
    return found


def _mixed(words: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64, element by element."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(words ^ (words >> np.uint64(31)))


def _has_classes(labels: LabelSet) -> bool:
    if labels.form in ("multi-hot", "matrix", "continuous"):
        return True
    enough = [n for n in labels.counts.values() if n >= MIN_CLASS_ROWS]
    return len(enough) >= 2


def _chosen(run: Run, source: str, split: str) -> np.ndarray | None:
    """The row numbers that stand beside a sample of inputs that the hook kept."""
    path = f"{PurePosixPath(source).parent}/rows_{split}.npy"
    if not source.startswith(OWN_FOLDERS) or path not in run.artifacts:
        return None
    rows = storage.read_inputs(run.fetch(path))
    return np.asarray(rows) if rows.ndim == 1 and rows.dtype.kind in "iu" and rows.min(initial=0) >= 0 else None


def _of_file(run: Run, match: Match) -> Iterator[tuple[str, Any, str]]:
    if match.path.startswith(OWN_FOLDERS):
        yield match.split, storage.read_inputs(run.fetch(match.path)), match.path
        return
    columns = read(run.fetch(match.path))
    if match.path.lower().endswith(".npz") and len(columns) > 1:
        named: dict[str, dict[str, np.ndarray]] = {}
        for key, array in columns.items():
            inner = recognise_key(key)
            if inner is None or inner.holds != "inputs":
                continue
            split = inner.split if inner.split != "whole" else match.split
            named.setdefault(split, {})[key] = array
        if not named and match.holds == "inputs":
            named = {match.split: dict(columns)}
        for split, arrays in named.items():
            yield split, next(iter(arrays.values())) if len(arrays) == 1 else arrays, match.path
        return
    yield match.split, as_inputs(columns, match.path), match.path
