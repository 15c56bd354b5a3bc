"""Finds label and input files among a run's artifacts by their names, and reads them as arrays without running code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from mlflow_clfaudit.errors import Missing

SUFFIXES = (".npy", ".npz", ".csv", ".parquet", ".json", ".txt")
MAX_JSON_BYTES = 512 * 2**20
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "tr": "train",
    "fit": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
    "tst": "test",
    "te": "test",
    "holdout": "test",
}
LABEL_WORDS = {"y", "ys", "label", "labels", "target", "targets", "class", "classes", "truth"}
INPUT_WORDS = {"x", "xs", "input", "inputs", "feature", "features", "data", "images"}
# Words that make a file something else, however it begins: predictions, encoders, class names, weights.
OTHER_WORDS = {
    "pred",
    "preds",
    "predicted",
    "prediction",
    "predictions",
    "proba",
    "probability",
    "probabilities",
    "prob",
    "probs",
    "score",
    "scores",
    "logits",
    "encoder",
    "names",
    "name",
    "weight",
    "weights",
    "map",
    "mapping",
    "index",
    "example",
    "report",
    "evidence",
    "confusion",
    "metrics",
    "history",
    "hat",
    "groups",
    "group",
}
LABEL_COLUMNS = ("label", "labels", "target", "targets", "class", "y", "y_true", "truth", "outcome", "category")
IGNORED_FOLDERS = ("model/", "clfaudit/", "checkpoints/")


@dataclass(frozen=True)
class Overrides:
    """Files given on the command line: split → local path or artifact path, for labels and for inputs."""

    labels: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Match:
    """A file recognised by its name: what it holds ("labels", "inputs" or "both"), of which split."""

    path: str
    holds: str
    split: str


def recognise(paths: Iterable[str]) -> Iterator[Match]:
    """The files among `paths` whose names say that they hold labels or inputs of a split."""
    for path in paths:
        pure = PurePosixPath(path)
        if pure.suffix.lower() not in SUFFIXES or path.startswith(IGNORED_FOLDERS) or pure.suffix == ".txt":
            continue
        words = _words(pure.stem)
        holds = _holds(words, [word for part in pure.parts[:-1] for word in _words(part)], pure.suffix.lower())
        if holds is None:
            continue
        split = next((SPLIT_WORDS[word] for word in reversed(words) if word in SPLIT_WORDS), None)
        yield Match(path, holds, split or "whole")


def recognise_key(key: str) -> Match | None:
    """What an array inside a .npz file is, by its key."""
    words = _words(key)
    holds = _holds(words, [], ".npy")
    if holds not in ("labels", "inputs"):
        return None
    split = next((SPLIT_WORDS[word] for word in reversed(words) if word in SPLIT_WORDS), None)
    return Match(key, holds, split or "whole")


def read(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays in a file by name (one unnamed array for .npy); memory-mapped where the format allows.

    Raises:
        Missing: the file is empty, damaged, or holds pickled objects, which are never loaded.
    """
    try:
        if path.stat().st_size == 0:
            raise Missing(f"{path.name} is empty", "log the file again")
        suffix = path.suffix.lower()
        if suffix == ".npy":
            return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        if suffix == ".parquet":
            return _columns(pd.read_parquet(path))
        if suffix in (".csv", ".txt"):
            return _columns(_read_csv(path))
        if suffix == ".json":
            return _columns(_read_json(path))
    except Missing:
        raise
    except ValueError as error:
        if any(words in str(error) for words in ("allow_pickle", "Object arrays", "Python objects")):
            raise Missing(
                f"{path.name} holds Python objects, which are not loaded",
                'save numbers or strings: np.save(path, np.asarray(y, dtype="int64"))',
            ) from None
        raise Missing(f"{path.name} cannot be read: {str(error).splitlines()[0][:120]}") from None
    except Exception as error:  # every format's reader has errors of its own
        text = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise Missing(f"{path.name} cannot be read: {text}") from None
    raise Missing(f"{path.name}: unknown format; use npy, npz, csv, parquet or json")


def label_column(columns: Mapping[str, np.ndarray]) -> str | None:
    """The name of the column that holds the labels in a table that has inputs too."""
    lowered = {name.strip().lower(): name for name in columns}
    return next((lowered[name] for name in LABEL_COLUMNS if name in lowered), None)


def as_labels(columns: Mapping[str, np.ndarray], path: str) -> np.ndarray:
    """One label array (N,) or (N, C) from the columns of a file."""
    if len(columns) == 1:
        return next(iter(columns.values()))
    named = label_column(columns)
    if named is not None:
        return columns[named]
    arrays = list(columns.values())
    if all(array.ndim == 1 and array.dtype.kind in "fiub" for array in arrays):
        return np.column_stack(arrays)
    raise Missing(f"{path}: which of its {len(columns)} columns holds the labels is not clear", "name it label")


def as_inputs(columns: Mapping[str, np.ndarray], path: str) -> Any:
    """One input array (N, …) or, for a model of several inputs, a dict of arrays by name."""
    if len(columns) == 1:
        return next(iter(columns.values()))
    named = label_column(columns)
    arrays = {name: array for name, array in columns.items() if name != named}
    if all(array.ndim == 1 for array in arrays.values()):
        numeric = [array for array in arrays.values() if array.dtype.kind in "fiub"]
        if not numeric:
            raise Missing(f"{path} has no numeric column")
        return np.column_stack(numeric)
    return arrays


def _words(stem: str) -> list[str]:
    spaced = re.sub(r"([a-z])([A-Z])", r"\1_\2", stem)
    return [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]


def _holds(words: list[str], folders: list[str], suffix: str) -> str | None:
    if set(words) & OTHER_WORDS:
        return None
    if words and words[0] in ("ytrain", "yval", "ytest", "xtrain", "xval", "xtest"):
        words[:1] = [words[0][0], words[0][1:]]
    if set(words) & LABEL_WORDS:
        return "labels"
    if set(words) & {"x", "xs", "input", "inputs", "feature", "features", "images"}:
        return "inputs"
    if any(word in SPLIT_WORDS for word in words) or set(words) & {"data", "dataset"}:
        if set(folders) & LABEL_WORDS:
            return "labels"
        if set(folders) & (INPUT_WORDS - {"data"}):
            return "inputs"
        if suffix in (".csv", ".parquet", ".npz"):
            return "both"
    return None


def _columns(frame: pd.DataFrame) -> Mapping[str, np.ndarray]:
    """Columns as arrays, an index column that to_csv() wrote left out."""
    first = str(frame.columns[0]) if len(frame.columns) else ""
    if len(frame.columns) > 1 and (first.startswith("Unnamed") or first.lower() == "index"):
        frame = frame.iloc[:, 1:]
    arrays: dict[str, np.ndarray] = {}
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "fiub":
            arrays[str(name)] = column.to_numpy()
        else:
            missing = column.isna().to_numpy()
            text = np.array([str(value) for value in column], dtype=str)
            arrays[str(name)] = np.where(missing, "", text)
    return arrays


def _read_csv(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    cells = [cell.strip().strip('"') for cell in first.rstrip("\n").split(",")]
    headless = all(_is_number(cell) for cell in cells)
    return pd.read_csv(path, header=None if headless else 0, encoding="utf-8-sig", encoding_errors="replace")


def _read_json(path: Path) -> pd.DataFrame:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise Missing(f"{path.name} is larger than {MAX_JSON_BYTES // 2**20} MB; log it as parquet")
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(content, dict) and set(content) >= {"columns", "data"}:
        return pd.DataFrame(content["data"], columns=[str(name) for name in content["columns"]])
    return pd.DataFrame(content)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
