"""The lists of classes that a run carries: saved encoders, class name files, label maps."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.files import OWN_FOLDERS, SPLIT_WORDS, names_classes, words_of
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.tables import read

MAX_BYTES = 4 * 2**20
MAX_YAML_BYTES = 2**18  # PyYAML reads some 50 kB a second
MAX_CLASSES = 100_000
PARAMS = ("classes", "class_names", "labels", "label_names", "target_names")


@dataclass(frozen=True)
class ClassList:
    """Class names in the order of their codes. `is_encoder` where an encoder wrote the list, not a person."""

    names: tuple[str, ...]
    source: str
    is_encoder: bool = False
    split: str | None = None


@provides()
def class_lists(run: Run) -> tuple[ClassList, ...]:
    """Every list of classes among the artifacts and params, encoders first; Missing where there is none."""
    found = [*_of_files(run), *_of_params(run)]
    if not found:
        raise Missing("the run names no classes", "mlflow_clfaudit.log_labels(y, split=…, classes=[…])")
    return tuple(sorted(found, key=lambda item: (not item.is_encoder, not item.source.startswith(OWN_FOLDERS))))


def _of_files(run: Run) -> Iterator[ClassList]:
    for path in run.artifacts:
        if not names_classes(path):
            continue
        words = words_of(PurePosixPath(path).stem)
        try:
            local = run.fetch(path)
            if local.stat().st_size > (MAX_YAML_BYTES if local.suffix.lower() in (".yaml", ".yml") else MAX_BYTES):
                continue
            names = _names(local)
        except Exception:  # noqa: BLE001, S112 - a file that is not what its name says is no evidence
            continue
        if names is not None and len(names) <= MAX_CLASSES:
            split = next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), None)
            yield ClassList(names, path, is_encoder="encoder" in words or "encoder" in "".join(words), split=split)


def _of_params(run: Run) -> Iterator[ClassList]:
    for key in PARAMS:
        text = run.params.get(key, "")
        if not text.startswith(("[", "(", "{")) or len(text) > MAX_BYTES:
            continue
        try:
            names = in_order(ast.literal_eval(text))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if names is not None:
            yield ClassList(names, f"the param {key}")


def in_order(content: object) -> tuple[str, ...] | None:
    """Distinct class names in the order of their codes, from a list, {"0": "cat"} or {"cat": 0}; else None."""
    if isinstance(content, dict):
        inner = content.get("classes", content.get("class_names"))
        if isinstance(inner, list | dict):
            return in_order(inner)
        if all(_is_code(key) for key in content):
            by_code = {int(key): value for key, value in content.items()}
        elif all(_is_code(value) for value in content.values()):
            by_code = {int(value): key for key, value in content.items()}
        else:
            return None
        if len(by_code) != len(content) or sorted(by_code) != list(range(len(by_code))):
            return None
        content = [by_code[code] for code in range(len(by_code))]
    if isinstance(content, list | tuple | np.ndarray) and len(content) > 1:
        if not all(isinstance(name, str | int | np.integer | np.str_) for name in content):
            return None
        names = tuple(str(name) for name in content)
        return names if len(set(names)) == len(names) else None
    return None


def _is_code(value: object) -> bool:
    if isinstance(value, str):
        return value.isdecimal()
    return isinstance(value, int) and not isinstance(value, bool)


def _names(path: Path) -> tuple[str, ...] | None:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return in_order(json.loads(path.read_text(encoding="utf-8-sig")))
    if suffix in (".yaml", ".yml"):
        return in_order(yaml.safe_load(path.read_text(encoding="utf-8-sig")))
    if suffix == ".txt":
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        return in_order([cell.strip() for cell in lines[0].split(",")] if len(lines) == 1 else lines)
    if suffix in (".pkl", ".pickle"):
        return in_order(_encoder_classes(path))
    columns = read(path)
    last = next(reversed(list(columns.values())), None)
    return None if last is None or last.ndim != 1 else in_order(last)


def _encoder_classes(path: Path) -> object:
    """`classes_` of a pickled scikit-learn encoder, or a pickled list; None where pickles are not allowed."""
    if os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() in ("false", "0"):
        return None
    content = _EncoderUnpickler(io.BytesIO(path.read_bytes())).load()
    classes = dict(content.state or {}).get("classes_") if isinstance(content, _Encoder) else content
    return classes.values() if isinstance(classes, _Array) else classes


class _Recorded:
    """What a pickle says about an object, written down in place of making the object."""

    arguments: tuple[object, ...] = ()
    state: Any = None

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Encoder(_Recorded):
    pass


class _Type(_Recorded):
    """A NumPy dtype, or the class ndarray where it is an argument."""


class _Array(_Recorded):
    """An ndarray, whose state is (version, shape, dtype, is Fortran, bytes or list)."""

    def values(self) -> object:
        _, _, dtype, _, content = self.state
        return content if isinstance(content, list) else _numbers(content, dtype)


class _Buffer(_Array):
    """The same as protocol 5 writes it, from the arguments (bytes, dtype, shape, order)."""

    def values(self) -> object:
        return _numbers(self.arguments[0], self.arguments[1])


def _numbers(content: Any, dtype: Any) -> np.ndarray:
    name = dtype.arguments[0]
    if not isinstance(name, str) or not re.fullmatch("[iuU][0-9]{1,5}", name):
        raise pickle.UnpicklingError(f"an encoder's classes are not of dtype {name!r}")
    order = dtype.state[1] if isinstance(dtype.state, tuple) and dtype.state[1] in ("<", ">") else ""
    return np.frombuffer(content, dtype=np.dtype(f"{order}{name}"))


class _Scalar(_Recorded):
    pass


RECORDED: Mapping[str, type[_Recorded]] = {
    "LabelEncoder": _Encoder,
    "LabelBinarizer": _Encoder,
    "_reconstruct": _Array,
    "_frombuffer": _Buffer,
    "ndarray": _Type,
    "dtype": _Type,
    "scalar": _Scalar,
}


class _EncoderUnpickler(pickle._Unpickler):  # the one in C trusts sizes in the file
    """Reads what a pickle says without importing or calling anything that it names."""

    def find_class(self, module: str, name: str) -> type[_Recorded]:
        if module.partition(".")[0] in ("sklearn", "numpy") and name in RECORDED:
            return RECORDED[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a label encoder")


def best(lists: Sequence[ClassList]) -> ClassList | None:
    """The list to name classes by: an encoder's before a person's, and none that is of a single held-out split."""
    return next((item for item in lists if item.split in (None, "train")), None)
