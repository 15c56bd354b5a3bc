"""Weights and optimizer state, read from the saved file with h5py: no framework, no code of the model."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.archives import DAMAGED, read_member
from mlflow_clfaudit.evidence.spec import Layer, Optimizer, Spec

MAX_WEIGHTS_BYTES = 4 * 2**30
MAX_DEPTH = 64
MAX_ITEMS = 100_000
# Keras stores weights as they are; compressed ones may grow, but not without end.
EXPANSION = 20
MIN_ROOM_BYTES = 64 * 2**20
# Optimizers that keep a running mean of squared gradients: tensors a variable that alternate, and its place in them.
SECOND_MOMENT = {"adam": (2, 1), "adamw": (2, 1), "nadam": (2, 1), "rmsprop": (1, 0)}
DECAY = {"adam": "beta_2", "adamw": "beta_2", "nadam": "beta_2", "rmsprop": "rho"}
STATISTICS = {"BatchNormalization": 2}
OPTIMIZER_FOLDERS = ("optimizer/inner_optimizer/vars/", "optimizer/vars/")


@dataclass(frozen=True)
class Weights:
    """The saved variables by layer name and place, such as dense/vars/0 or encoder/lstm/cell/vars/1."""

    variables: Mapping[str, np.ndarray]

    def of_layer(self, name: str) -> list[np.ndarray]:
        """The layer's variables in order: kernel, bias, …; for a recurrent layer those of its cells."""
        paths = [path for path in self.variables if path.startswith(f"{name}/")]
        return [self.variables[path] for path in sorted(paths, key=_place)]


@dataclass(frozen=True)
class OptimizerState:
    """What the optimizer remembers: steps taken and, for Adam's kin, the second moment of each trainable tensor."""

    iterations: int | None
    second_moments: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class TensorGradient:
    """The gradients that one trainable tensor received over the run, as the optimizer's second moment tells.

    `rms` is the root of their mean square, of late epochs above all; it is 0 only if none ever arrived.
    """

    layer: str
    shape: tuple[int, ...]
    rms: float

    @property
    def is_kernel(self) -> bool:
        return len(self.shape) >= 2


@provides()
def weights(keras_file: Path) -> Weights:
    """Every saved variable of the model and of its optimizer."""
    try:
        with zipfile.ZipFile(keras_file) as archive:
            content = read_member(archive, "model.weights.h5", MAX_WEIGHTS_BYTES)
        found: dict[str, np.ndarray] = {}
        names: dict[str, str] = {}
        room = EXPANSION * len(content) + MIN_ROOM_BYTES
        with h5py.File(io.BytesIO(content), "r") as file:
            for path, item in _items(file):
                if isinstance(item, h5py.Group) and path.endswith("/vars") and "name" in item.attrs:
                    names[path.removesuffix("/vars")] = str(item.attrs["name"])
                if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub" and not _lies_outside(item):
                    # A dataset may declare any shape and store nothing of it.
                    room -= item.nbytes
                    if room < 0:
                        raise Missing("the saved weights declare more than the file can hold")
                    found[path] = np.asarray(item)
    except (*DAMAGED, TypeError, RecursionError) as error:
        raise Missing(f"the saved weights cannot be read: {type(error).__name__}") from None
    return Weights({_named(path, names): array for path, array in found.items()})


@provides()
def optimizer_state(weights: Weights, spec: Spec) -> OptimizerState:
    """The optimizer's saved state; Missing where the file was saved without it."""
    if spec.optimizer is None:
        raise Missing("the model was saved without its optimizer", "model.compile(…) before logging the model")
    arrays: list[np.ndarray] = []
    for folder in OPTIMIZER_FOLDERS:
        paths = [path for path in weights.variables if path.startswith(folder)]
        arrays = arrays or [weights.variables[path] for path in sorted(paths, key=_place)]
    if not arrays:
        raise Missing("the saved file has no optimizer state")
    iterations = int(arrays[0]) if arrays[0].shape == () and arrays[0].dtype.kind in "iu" else None
    return OptimizerState(iterations, _second_moments([array for array in arrays if array.ndim > 0], spec.optimizer))


@provides()
def tensor_gradients(optimizer_state: OptimizerState, weights: Weights, spec: Spec) -> tuple[TensorGradient, ...]:
    """What gradient each trainable tensor received, in the order of the layers, from the optimizer's state alone."""
    optimizer = spec.optimizer
    if optimizer is None or not optimizer_state.second_moments:
        kept = ", ".join(SECOND_MOMENT)
        raise Missing(f"the optimizer keeps no mean of squared gradients ({kept} do)")
    decay = optimizer.options.get(DECAY[optimizer.name])
    steps = optimizer_state.iterations or 0
    filled = 1.0 - float(decay) ** steps if isinstance(decay, float) and steps else 1.0
    names = _owners(optimizer_state.second_moments, weights, spec.layers)
    return tuple(
        TensorGradient(name, moment.shape, float(np.sqrt(np.mean(np.abs(moment), dtype=np.float64) / filled)))
        for name, moment in zip(names, optimizer_state.second_moments, strict=True)
    )


def _items(file: h5py.File) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Every group and dataset once, with a path. Soft and external links are not followed: nothing else is opened.

    h5py's own visititems() takes minutes for a few thousand nested groups.
    """
    seen: set[int] = set()
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    while waiting:
        path, group = waiting.pop()
        if path.count("/") > MAX_DEPTH:
            raise Missing("the saved weights are nested too deeply")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            address = int(h5py.h5o.get_info(item.id).addr)
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MAX_ITEMS:
                raise Missing(f"the saved weights are more than {MAX_ITEMS} pieces")
            where = f"{path}/{name}" if path else name
            yield where, item
            if isinstance(item, h5py.Group):
                waiting.append((where, item))


def _lies_outside(item: h5py.Dataset) -> bool:
    """Whether the values are read from other files than this one."""
    return bool(item.external) or bool(item.is_virtual)


def _second_moments(arrays: Sequence[np.ndarray], optimizer: Optimizer) -> tuple[np.ndarray, ...]:
    slots, position = SECOND_MOMENT.get(optimizer.name, (0, 0))
    blocks = 1
    if optimizer.name == "rmsprop":
        blocks += bool(optimizer.options.get("momentum")) + bool(optimizer.options.get("centered"))
    elif optimizer.options.get("amsgrad"):
        blocks += 1
    tensors = slots + blocks - 1
    if not slots or not arrays or len(arrays) % tensors:
        return ()
    alternating = len(arrays) // tensors * slots
    return tuple(arrays[position:alternating:slots])


def _owners(moments: Sequence[np.ndarray], weights: Weights, layers: Sequence[Layer]) -> list[str]:
    """The layer of each trainable tensor, matched in order by shape; `tensor N` for all where they do not match."""
    expected: list[tuple[str, tuple[int, ...]]] = []
    for layer in layers:
        arrays = [array for array in weights.of_layer(layer.name) if array.dtype.kind == "f"]
        kept = arrays[: len(arrays) - STATISTICS.get(layer.kind, 0)]
        if layer.trainable and layer.kind != "Normalization":
            expected += [(layer.name, array.shape) for array in kept]
    if [shape for _, shape in expected] == [moment.shape for moment in moments]:
        return [name for name, _ in expected]
    return [f"tensor {place}" for place in range(len(moments))]


def _place(path: str) -> tuple[object, ...]:
    """Sort key that keeps forward before backward, and 2 before 10."""
    parts = path.replace("forward_layer", "0").replace("backward_layer", "1").split("/")
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


def _named(path: str, names: Mapping[str, str]) -> str:
    """The path by the layers' own names (outer/inner/vars/0) in place of those that Keras numbers by class."""
    folder = ""
    parts: list[str] = []
    for part in re.split("/", path):
        folder = f"{folder}/{part}" if folder else part
        if part == "layers":
            continue
        within = folder.rpartition("/")[0].endswith("layers")
        parts.append(names.get(folder, part) if within else part)
    return "/".join(parts)
