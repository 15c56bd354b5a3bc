"""What the hidden units of the loaded model do on rows: how many are dead, how many saturated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.inputs import take
from mlflow_clfaudit.evidence.keras_backend import import_keras
from mlflow_clfaudit.evidence.network import Network, as_model_input
from mlflow_clfaudit.evidence.served import Served, stratified
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.types import Tier

ROWS = 1_000
BATCH = 250
RECTIFIERS = ("relu", "relu6")
BOUNDS: Mapping[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}
EDGE = 0.02
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D")


@dataclass(frozen=True)
class LayerActivity:
    """One hidden layer on `rows` rows. Units are the last axis; a channel of an image counts as one unit.

    `dead` is the share of units that give 0 for every row (rectifiers only), `saturated` the share of all outputs
    within 2 % of the activation's bounds, None where it has none.
    """

    layer: str
    activation: str
    units: int
    rows: int
    dead: float | None = None
    saturated: float | None = None
    trainable: bool = True


@provides(tier=Tier.FORWARD)
def unit_activity(network: Network, served: Served, spec: Spec, head: Head) -> tuple[LayerActivity, ...]:
    """What the hidden rectified and squashing layers do on the judged rows, in the order of the layers."""
    heads = {name for item in (head, *spec.heads) for name in (item.layer, item.name)}
    chosen = {
        layer.name: layer
        for layer in spec.layers
        if (layer.activation in RECTIFIERS or layer.activation in BOUNDS)
        and layer.kind not in RECURRENT
        and layer.name not in heads
    }
    if not chosen:
        return ()
    if network.tapped is None or served.inputs is None:
        raise Missing("the model's graph is not known, so its hidden units are not")
    keras = import_keras(spec.backend, "auto")
    try:
        tensors = {name: tensor for name, tensor in _tensors(keras, network.model) if name in chosen}
        if not tensors:
            return ()
        tapped = keras.Model(network.model.inputs, list(tensors.values()))
        rows = stratified(served.truth, ROWS)
        outputs = _outputs(keras, tapped, take(served.inputs, rows), len(rows))
    except (ValueError, AttributeError, TypeError, KeyError, StopIteration) as error:
        raise Missing(f"the hidden units cannot be read: {type(error).__name__}") from None
    return tuple(
        _activity(name, chosen[name].activation, values, trainable=chosen[name].trainable)
        for name, values in zip(tensors, outputs, strict=True)
    )


def _tensors(keras: Any, model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every layer's output in the graph of `model` by name, layers of nested models as outer/inner."""
    graph = getattr(model, "_functional", None) or model
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            layer = node.operation
            if getattr(layer, "layers", None) and getattr(layer, "inputs", None):
                inner = dict(_tensors(keras, layer, f"{prefix}{layer.name}/"))
                called = keras.Model(layer.inputs, list(inner.values()))(_only(node.input_tensors))
                yield from zip(inner, called if isinstance(called, list) else [called], strict=True)
            elif len(node.output_tensors) == 1:
                yield f"{prefix}{layer.name}", node.output_tensors[0]


def _only(tensors: Any) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)


def _outputs(keras: Any, tapped: Any, inputs: Any, rows: int) -> list[np.ndarray]:
    given = as_model_input(tapped, inputs)
    parts: list[list[np.ndarray]] = []
    for start in range(0, rows, BATCH):
        stop = start + BATCH
        batch = [array[start:stop] for array in given] if isinstance(given, list) else given[start:stop]
        passed = tapped(batch, training=False)
        passed = passed if isinstance(passed, list | tuple) else [passed]
        parts.append([np.asarray(keras.ops.convert_to_numpy(part), dtype=np.float32) for part in passed])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _activity(name: str, activation: str, outputs: np.ndarray, *, trainable: bool) -> LayerActivity:
    rows = len(outputs)
    flat = outputs.reshape(-1, outputs.shape[-1])
    if activation in RECTIFIERS:
        dead = float(np.mean(flat.max(axis=0) <= 0))
        return LayerActivity(name, activation, flat.shape[1], rows, dead=dead, trainable=trainable)
    low, high = BOUNDS[activation]
    edge = EDGE * (high - low)
    saturated = float(np.mean((flat < low + edge) | (flat > high - edge)))
    return LayerActivity(name, activation, flat.shape[1], rows, saturated=saturated, trainable=trainable)
