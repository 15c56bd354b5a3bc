"""What a saved scikit-learn model says about its own fit, read from its skops file as JSON: nothing is loaded."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.archives import DAMAGED, read_member

MAX_SCHEMA_BYTES = 32 * 2**20
MAX_ARRAY_BYTES = 2**20
MAX_NESTING = 60


@dataclass(frozen=True)
class Solver:
    """An iterative solver inside the model: the estimator's class, the iterations it took and those it was allowed."""

    estimator: str
    iterations: int
    limit: int


@provides()
def solvers(model_folder: Path, flavors: Mapping[str, Any]) -> tuple[Solver, ...]:
    """Every estimator of the model that counts its iterations against a limit."""
    if "sklearn" not in flavors:
        raise Missing("the logged model is not a scikit-learn model")
    path = model_folder / str(flavors["sklearn"].get("pickled_model", "model.skops"))
    if path.suffix != ".skops" or path.parent != model_folder:
        raise Missing("the model is a pickle, which is not loaded", "serialization_format='skops' when logging it")
    try:
        with zipfile.ZipFile(path) as archive:
            schema = json.loads(read_member(archive, "schema.json", MAX_SCHEMA_BYTES))
            return tuple(_solvers(archive, schema, 0))
    except (*DAMAGED, TypeError, AttributeError, RecursionError) as error:
        raise Missing(f"the model file cannot be read: {type(error).__name__}") from None


def _solvers(archive: zipfile.ZipFile, node: Any, depth: int) -> Iterator[Solver]:
    if depth > MAX_NESTING:
        return
    if isinstance(node, list):
        for item in node:
            yield from _solvers(archive, item, depth + 1)
    if not isinstance(node, dict):
        return
    content = node.get("content")
    state = content.get("content") if isinstance(content, dict) and node.get("__loader__") == "ObjectNode" else None
    if isinstance(state, dict) and "n_iter_" in state and "max_iter" in state:
        taken, limit = _number(archive, state["n_iter_"]), _number(archive, state["max_iter"])
        if taken is not None and limit is not None and limit > 0:
            yield Solver(str(node.get("__class__")), taken, limit)
    for value in content.values() if isinstance(content, dict) else [content]:
        yield from _solvers(archive, value, depth + 1)


def _number(archive: zipfile.ZipFile, node: Any) -> int | None:
    """The integer that a node stands for, the largest of an array; None where it is none."""
    if not isinstance(node, dict):
        return None
    if node.get("is_json"):
        value = json.loads(str(node.get("content")))
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    name = node.get("file")
    if not isinstance(name, str):
        return None
    array = np.load(io.BytesIO(read_member(archive, name, MAX_ARRAY_BYTES)), allow_pickle=False)
    return int(array.max()) if array.size and array.dtype.kind in "iu" else None
