"""How large the inputs are, and whether the model scales them itself: no forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.edits import looked_up
from mlflow_clfaudit.evidence.inputs import Rows, count, take
from mlflow_clfaudit.evidence.keras_kinds import AVERAGING, SHAPING
from mlflow_clfaudit.evidence.spec import Layer, Spec

SAMPLE_ROWS = 2_000
MAX_COLUMNS = 4_096
# Layers that compute with their inputs' values: what is large in is large out.
COMPUTING = {
    "Dense",
    "EinsumDense",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "LocallyConnected1D",
    "LSTM",
    "GRU",
    "SimpleRNN",
    "Bidirectional",
    "ConvLSTM2D",
}
# Layers that hand their input on in its size; every other one may scale it.
CARRYING = (
    SHAPING
    | AVERAGING
    | {
        "InputLayer",
        "Concatenate",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "MaxPooling1D",
        "MaxPooling2D",
        "MaxPooling3D",
        "RandomFlip",
        "RandomRotation",
        "RandomTranslation",
        "RandomZoom",
        "RandomCrop",
        "Resizing",
        "CenterCrop",
        "RepeatVector",
    }
)


@dataclass(frozen=True)
class InputScale:
    """One input's columns (channels of images and sequences): their sizes over a sample of rows.

    `means` and `deviations` (D,) float64 are of the columns that vary; `typical` is the 99th percentile of |x| and
    `largest` its maximum; `binary` (D,) marks columns of two values.
    """

    name: str
    means: np.ndarray
    deviations: np.ndarray
    binary: np.ndarray
    typical: float
    largest: float

    @property
    def offset(self) -> float:
        """The median over the columns of |mean| / deviation: how small the variation is beside the level."""
        return float(np.median(np.abs(self.means) / self.deviations)) if len(self.means) else 0.0

    @property
    def spread(self) -> float:
        """The largest deviation over the smallest, columns of two values left out."""
        deviations = self.deviations[~self.binary]
        return float(deviations.max() / deviations.min()) if len(deviations) else 1.0


@provides()
def input_scales(rows: Mapping[str, Rows], spec: Spec) -> tuple[InputScale, ...]:
    """The scale of every input that the model computes with as it is, unscaled by a first layer, ids left out."""
    chosen = rows.get("train") or next(iter(rows.values()))
    entries = [layer for layer in spec.layers if not layer.reads]
    ids, taken = looked_up(spec), {layer.name for layer in entries if computes_with(spec, layer)}
    found = list(_scales(chosen.inputs, entries, taken - ids))
    if not spec.layers:
        raise Missing("the model does not describe its layers, so its first one is not known")
    return tuple(found)


def computes_with(spec: Spec, entry: Layer) -> bool:
    """Whether what enters at this layer reaches weights as it is: through no scaling, and no layer unknown to us."""
    readers: dict[str, list[Layer]] = {}
    for layer in spec.layers:
        for name in layer.reads:
            readers.setdefault(name, []).append(layer)
    waiting, seen = [entry], {entry.name}
    reached = False
    while waiting:
        layer = waiting.pop()
        if layer.kind in COMPUTING:
            reached = True
            continue
        if layer.kind not in CARRYING or not layer.ours:
            return False
        following = [item for item in readers.get(layer.name, []) if item.name not in seen]
        seen |= {item.name for item in following}
        waiting += following
    return reached


def _scales(inputs: Any, entries: list[Layer], taken: set[str]) -> Iterator[InputScale]:
    if not isinstance(inputs, dict):
        if len(entries) == 1 and entries[0].name in taken:
            yield from _scale("inputs", inputs)
        return
    for name, array in inputs.items():
        if name in taken or (len(taken) == len(entries) and len(entries) == len(inputs)):
            yield from _scale(name, array)


def _scale(name: str, array: Any) -> Iterator[InputScale]:
    rows = count(array)
    chosen = np.sort(np.random.default_rng(0).choice(rows, min(rows, SAMPLE_ROWS), replace=False))
    values = np.asarray(take(array, chosen))
    if values.dtype.kind not in "fiu" or values.size == 0:
        return
    values = values.reshape(-1, values.shape[-1]).astype(np.float64) if values.ndim > 1 else values[:, None]
    values = values[:, :MAX_COLUMNS]
    if not np.all(np.isfinite(values)):
        return
    deviations = values.std(axis=0)
    varying = deviations > 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-30)
    if not np.any(varying):
        return
    values = values[:, varying]
    size = np.abs(values)
    ends = (values == values.min(axis=0)) | (values == values.max(axis=0))
    yield InputScale(
        name=name,
        means=values.mean(axis=0),
        deviations=deviations[varying],
        binary=np.all(ends, axis=0),
        typical=float(np.quantile(size, 0.99)),
        largest=float(size.max()),
    )
