"""The inputs of every split, memory-mapped where their format allows, and the rows that an audit judges on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.files import Match, Overrides, as_inputs, read, recognise, recognise_key
from mlflow_clfaudit.evidence.labels import LabelSet, Labels
from mlflow_clfaudit.evidence.run import Run

LOG_INPUTS = 'np.save("X_val.npy", X_val); mlflow.log_artifact("X_val.npy", "data")'
MIN_CLASS_ROWS = 5


@dataclass(frozen=True)
class Inputs:
    """Inputs by split: an array (N, …), or a dict of arrays for a model with several inputs."""

    splits: Mapping[str, Any]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Rows:
    """Inputs and labels of one split that belong together row by row."""

    split: str
    inputs: Any
    labels: LabelSet
    held_out: bool

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
def inputs(run: Run, overrides: Overrides, labels: Labels | None = None) -> Inputs:
    """The inputs of each split; cut as the labels are where Keras sliced the validation rows off."""
    found: dict[str, tuple[Any, str]] = {}
    errors: list[Missing] = []
    for split, path in overrides.inputs.items():
        local = Path(path) if Path(path).exists() else run.fetch(path)
        found[split] = (as_inputs(read(local), path), path)
    for match in sorted(recognise(run.artifacts), key=lambda item: (item.holds == "both", item.path)):
        if match.holds == "labels":
            continue
        try:
            for split, array, source in _of_file(run, match):
                found.setdefault(split, (array, source))
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
    return Inputs(splits, {split: found[split][1] for split in splits})


@provides()
def rows(inputs: Inputs, labels: Labels) -> Mapping[str, Rows]:
    """The splits whose inputs and labels are both there and equally long."""
    paired: dict[str, Rows] = {}
    problems: list[str] = []
    for split, array in inputs.splits.items():
        given = labels.splits.get(split)
        if given is None:
            continue
        if count(array) != given.rows:
            problems.append(f"{split}: {count(array)} rows of inputs but {given.rows} labels")
        elif given.has_missing:
            problems.append(f"{split}: labels with NaN")
        else:
            paired[split] = Rows(split, array, given, held_out=split != "train")
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


def _has_classes(labels: LabelSet) -> bool:
    if labels.form in ("multi-hot", "matrix", "continuous"):
        return True
    enough = [n for n in labels.counts.values() if n >= MIN_CLASS_ROWS]
    return len(enough) >= 2


def _of_file(run: Run, match: Match) -> Iterator[tuple[str, Any, str]]:
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
