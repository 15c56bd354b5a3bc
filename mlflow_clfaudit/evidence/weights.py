"""Weights and optimizer state, read from the saved file with h5py: no framework, no code of the model."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.spec import Spec

MAX_WEIGHTS_BYTES = 4 * 2**30
SECOND_MOMENT = {"adam": (2, 1), "adamw": (2, 1), "nadam": (2, 1), "rmsprop": (1, 0), "adagrad": (1, 0)}


@dataclass(frozen=True)
class Weights:
    """The saved variables by path inside the file, such as layers/dense/vars/0."""

    variables: Mapping[str, np.ndarray]

    def of_layer(self, name: str) -> list[np.ndarray]:
        """The layer's variables in order: kernel, bias, …"""
        prefix = f"layers/{name}/vars/"
        found = sorted((int(path.removeprefix(prefix)), path) for path in self.variables if path.startswith(prefix))
        return [self.variables[path] for _, path in found]


@dataclass(frozen=True)
class OptimizerState:
    """What the optimizer remembers: steps taken and, for Adam's kin, the second moment of each trainable tensor."""

    iterations: int | None
    second_moments: tuple[np.ndarray, ...]


@provides()
def weights(keras_file: Path) -> Weights:
    """Every saved variable of the model and of its optimizer."""
    try:
        with zipfile.ZipFile(keras_file) as archive:
            if archive.getinfo("model.weights.h5").file_size > MAX_WEIGHTS_BYTES:
                raise Missing("the weights are larger than is read statically")
            content = io.BytesIO(archive.read("model.weights.h5"))
        found: dict[str, np.ndarray] = {}
        names: dict[str, str] = {}
        with h5py.File(content, "r") as file:
            # visititems follows no soft or external links, so nothing outside this file is opened.
            def visit(path: str, item: object) -> None:
                if isinstance(item, h5py.Group) and path.endswith("/vars") and "name" in item.attrs:
                    names[path] = str(item.attrs["name"])
                if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub" and not item.external:
                    found[path] = np.asarray(item)

            file.visititems(visit)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, RuntimeError) as error:
        raise Missing(f"the saved weights cannot be read: {type(error).__name__}") from None
    return Weights({_named(path, names): array for path, array in found.items()})


@provides()
def optimizer_state(weights: Weights, spec: Spec) -> OptimizerState:
    """The optimizer's saved state; Missing where the file was saved without it."""
    if spec.optimizer is None:
        raise Missing("the model was saved without its optimizer", "model.compile(…) before logging the model")
    ordered = sorted(
        (int(path.rsplit("/", 1)[1]), path) for path in weights.variables if path.startswith("optimizer/vars/")
    )
    arrays = [weights.variables[path] for _, path in ordered]
    if not arrays:
        raise Missing("the saved file has no optimizer state")
    iterations = int(arrays[0]) if arrays[0].shape == () and arrays[0].dtype.kind in "iu" else None
    slots, position = SECOND_MOMENT.get(spec.optimizer.name, (0, 0))
    rest = [array for array in arrays[1:] if array.ndim > 0 or slots == 0]
    moments = rest[position::slots] if slots and len(rest) % slots == 0 else []
    return OptimizerState(iterations, tuple(moments))


def _named(path: str, names: Mapping[str, str]) -> str:
    """The path with the layer's own name in place of the one that Keras numbers by class."""
    folder, _, last = path.rpartition("/")
    parent = folder.rpartition("/")[0]
    if folder in names and parent.startswith("layers/"):
        above = parent.rpartition("/")[0]
        return f"{above}/{names[folder]}/vars/{last}"
    return path
