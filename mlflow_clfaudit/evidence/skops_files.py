"""Reads what a skops file says as JSON and as arrays of numbers: nothing of it is loaded or made an object.

A node of the schema stands for a plain value (`is_json`), for an array in a member of its own (`file`), or for an
object with its state.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.archives import DAMAGED, read_member


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The file for reading; Missing where it, or what is read from it meanwhile, is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (*DAMAGED, TypeError, AttributeError, RecursionError) as error:
        raise Missing(f"the model file cannot be read: {type(error).__name__}") from None


def schema(archive: zipfile.ZipFile, limit: int) -> Any:
    """The description of everything in the file, of at most `limit` bytes."""
    return json.loads(read_member(archive, "schema.json", limit))


def plain(node: Any) -> Any:
    """The number, text or None that a node stands for; None for what is none."""
    if isinstance(node, dict) and node.get("is_json"):
        return json.loads(str(node.get("content")))
    return None


def array(archive: zipfile.ZipFile, node: Any, limit: int) -> np.ndarray | None:
    """The array that a node stands for, of at most `limit` bytes; None for what is none."""
    if not isinstance(node, dict) or not isinstance(node.get("file"), str):
        return None
    found: np.ndarray = np.load(io.BytesIO(read_member(archive, node["file"], limit)), allow_pickle=False)
    return found
