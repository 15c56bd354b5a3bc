"""The labels of every split, in whatever form the run carries them, as one kind of object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.files import Match, Overrides, as_labels, read, recognise, recognise_key
from mlflow_clfaudit.evidence.history import FitArguments
from mlflow_clfaudit.evidence.run import Run

LOG_LABELS = 'mlflow_clfaudit.log_labels(y, split="validation")'
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class LabelSet:
    """The labels of one split as they were stored: `values` of shape (N,) or (N, C).

    `form` is one of integer, boolean, string, continuous (one value a row), one-hot, multi-hot, soft (rows that sum
    to 1) or matrix (anything else with several columns).
    """

    values: np.ndarray
    source: str = "given"

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
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        return "integer" if bool(np.all(finite == np.round(finite))) else "continuous"

    @cached_property
    def codes(self) -> np.ndarray:
        """One class a row, (N,): the label itself where it is a number, the column where it is a row of columns."""
        if self.values.ndim == 2:
            return np.asarray(np.argmax(self.values, axis=1), dtype=np.int64)
        if self.form in ("integer", "boolean") and not np.any(~np.isfinite(self.values.astype(np.float64))):
            return self.values.astype(np.int64)
        return self.values

    @cached_property
    def classes(self) -> np.ndarray:
        """The distinct codes, sorted; NaN left out."""
        codes = self.codes
        if codes.dtype.kind == "f":
            codes = codes[np.isfinite(codes)]
        return np.unique(codes)

    @cached_property
    def counts(self) -> Mapping[Any, int]:
        """Rows by class."""
        found, counts = np.unique(self.codes, return_counts=True)
        return {code.item(): int(count) for code, count in zip(found, counts, strict=True)}

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

    @property
    def has_missing(self) -> bool:
        return self.values.dtype.kind == "f" and not bool(np.all(np.isfinite(self.values)))

    def slice(self, start: int, stop: int, note: str) -> LabelSet:
        return LabelSet(self.values[start:stop], f"{self.source} ({note})")


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
        found = [labels.classes for labels in self.splits.values()]
        if len({array.dtype.kind in "US" for array in found}) > 1:
            found = [array.astype(str) for array in found]
        return np.unique(np.concatenate(found))

    def held_out(self) -> Iterator[tuple[str, LabelSet]]:
        """The splits that were not trained on."""
        yield from ((name, labels) for name, labels in self.splits.items() if name != "train")


@provides()
def label_files(run: Run, overrides: Overrides) -> Mapping[str, LabelSet]:
    """The label arrays by split as the artifacts hold them; `whole` where the name tells no split."""
    return dict(_found(run, overrides))


@provides()
def labels(label_files: Mapping[str, LabelSet], run: Run, fit: FitArguments) -> Labels:
    """The labels of each split; the validation slice is cut off the training labels as Keras does it."""
    splits = dict(label_files)
    whole = splits.pop("whole", None)
    if whole is not None and "train" not in splits:
        splits["train"] = whole
    if not splits:
        raise Missing("the run has no labels among its artifacts", LOG_LABELS)
    cut = _keras_cut(splits, run, fit)
    names = _class_names(run)
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


def _found(run: Run, overrides: Overrides) -> Iterator[tuple[str, LabelSet]]:
    seen: set[str] = set()
    for split, path in overrides.labels.items():
        local = Path(path) if Path(path).exists() else run.fetch(path)
        seen.add(split)
        yield split, _label_set(as_labels(read(local), path), path)
    errors: list[Missing] = []
    for match in sorted(recognise(run.artifacts), key=lambda item: (item.holds == "both", item.path)):
        if match.holds == "inputs" or (match.split in seen and not match.path.endswith(".npz")):
            continue
        try:
            for split, labels in _of_file(run, match):
                if split not in seen:
                    seen.add(split)
                    yield split, labels
        except Missing as missing:
            errors.append(missing)
    if errors and not seen:
        raise errors[0]


def _of_file(run: Run, match: Match) -> Iterator[tuple[str, LabelSet]]:
    columns = read(run.fetch(match.path))
    if match.path.lower().endswith(".npz") and len(columns) > 1:
        for key, array in columns.items():
            inner = recognise_key(key)
            if inner is not None and inner.holds == "labels":
                split = inner.split if inner.split != "whole" else match.split
                yield split, _label_set(array, f"{match.path}:{key}")
        return
    if match.holds == "both":
        from mlflow_clfaudit.evidence.files import label_column

        named = label_column(columns)
        if named is not None and len(columns) > 1:
            yield match.split, _label_set(columns[named], f"{match.path}:{named}")
        return
    yield match.split, _label_set(as_labels(columns, match.path), match.path)


def _label_set(values: np.ndarray, source: str) -> LabelSet:
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "O":
        array = array.astype(str)
    if array.dtype.kind not in "fiubUS" or array.ndim > 2:
        raise Missing(f"{source}: labels of dtype {array.dtype} and shape {array.shape} are not judged")
    if len(array) == 0:
        raise Missing(f"{source} holds no rows", "log the labels again")
    return LabelSet(array, source)


def _matrix_form(values: np.ndarray) -> str:
    numbers = values.astype(np.float64)
    sums = numbers.sum(axis=1)
    if np.all((numbers == 0) | (numbers == 1)):
        return "one-hot" if np.mean(sums != 1) <= 0.01 else "multi-hot"
    if np.all(numbers >= 0) and np.mean(np.abs(sums - 1) > 1e-3) <= 0.01:
        return "soft"
    return "matrix"


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


def _class_names(run: Run) -> tuple[str, ...] | None:
    """Class names from a JSON or text artifact named for them."""
    import json
    from pathlib import PurePosixPath

    for path in run.artifacts:
        stem = PurePosixPath(path).stem.lower()
        if stem not in ("classes", "class_names", "label_names", "labels", "encoder_classes", "label_encoder_classes"):
            continue
        if not path.endswith((".json", ".txt")):
            continue
        try:
            text = run.fetch(path).read_text(encoding="utf-8-sig")
            content = json.loads(text) if path.endswith(".json") else text.split()
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and isinstance(content.get("classes"), list):
            content = content["classes"]
        if isinstance(content, list) and content and all(isinstance(name, str | int) for name in content):
            return tuple(str(name) for name in content)
    return None
