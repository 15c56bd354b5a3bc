"""Finds the labels of a run among its artifacts: arrays by name, keys of archives, columns of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_clfaudit import storage
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.classes import in_order
from mlflow_clfaudit.evidence.files import OWN_FOLDERS, Match, Overrides, recognise, recognise_key
from mlflow_clfaudit.evidence.label_set import LabelSet, label_set
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.spec import Spec
from mlflow_clfaudit.evidence.tables import as_labels, label_column, read_labels

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence.scores import LoggedPredictions


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


def _split_of(key: str) -> str | None:
    inner = recognise_key(f"y_{key}")
    return None if inner is None or inner.split == "whole" else inner.split


def _beside(predictions: Iterable[LoggedPredictions]) -> Iterator[tuple[str, tuple[LabelSet, bool]]]:
    """The labels that stand beside predictions in tables, by split, and whether the table names it: else it is test."""
    for item in predictions:
        if item.truth is None or len(item.truth) != len(item.values):
            continue
        try:
            yield item.split or "test", (label_set(item.truth, item.source), item.split is not None)
        except Missing:
            continue
