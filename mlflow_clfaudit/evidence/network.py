"""Reloads the logged model and taps its head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.keras_backend import device_name, import_keras, load_options, must_fit
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.types import Tier

TRUST = "--allow-unsafe, where you trust the model"
REGISTER = "register its custom objects, or log it with them"


@dataclass(frozen=True)
class Network:
    """A loaded model; one of Keras with its head tapped.

    `tapped` maps inputs to (features, logits, output); None for a model without a graph, which gives outputs only.
    `reload()` returns a fresh, uncompiled copy for counterfactuals. An estimator names its `classes` (K,) in the order
    of its outputs, decides rows by itself in `decide` (inputs → class indices (N,)), and its `head` says what its
    outputs are; all three are None for Keras.
    """

    model: Any
    tapped: Any
    reload: Callable[[], Any]
    backend: str
    device: str
    classes: np.ndarray | None = None
    decide: Callable[[Any], np.ndarray] | None = None
    head: Head | None = None


def not_trained_on(reason: str) -> Callable[[], Any]:
    """The `reload` of a model that is not trained anew, for this reason."""

    def reload() -> Any:
        raise Missing(reason)

    return reload


@provides(tier=Tier.FORWARD)
def network(
    keras_file: Path, spec: Spec, head: Head, device: str, model_folder: Path, allow_unsafe: bool | None = None
) -> Network:
    """The logged model, loaded without its compile arguments; in Keras's safe mode unless more was allowed."""
    keras = import_keras(spec.backend, device)

    def reload() -> Any:
        return _with_head(keras, keras.saving.load_model(keras_file, compile=False, **options), spec, head)

    try:
        options = load_options(model_folder, allow_unsafe)
        model = reload()
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        must_fit(error)
        text = first_line(error)
        brings_code = "safe_mode" in text or "untrusted" in text or "Lambda" in text
        remedy = TRUST if brings_code else REGISTER
        raise Missing(f"the model does not load: {text}", remedy) from None
    return Network(model, _tap(keras, model, head), reload, keras.backend.backend(), device_name(keras))


def _with_head(keras: Any, model: Any, spec: Spec, head: Head) -> Any:
    """The model with the activation that `head` names, where a virtual repair differs from the file."""
    saved = next((item for item in spec.heads if item.name == head.name), head)
    if saved.activations == head.activations:
        return model
    owner = model
    for name in head.name.split("/"):
        owner = owner.get_layer(name)
    if getattr(owner, "activation", None) is None:
        raise Missing(f"the activation of {head.name} cannot be exchanged in place")
    owner.activation = keras.activations.get(head.activation)
    return model


def _tap(keras: Any, model: Any, head: Head) -> Any:
    """A model from the same inputs to (features, logits, output), or None where the model has no graph."""
    try:
        features, logits = _head_tensors(keras, model, head.layer.split("/"))
        return keras.Model(model.inputs, [features, logits, model.outputs[output_position(model, head)]])
    except (ValueError, AttributeError, TypeError, KeyError, StopIteration):
        return None


def _head_tensors(keras: Any, model: Any, path: list[str]) -> Any:
    """What the head reads and what it computes before its activation, in the graph of `model`, at any nesting."""
    layer = model.get_layer(path[0])
    if len(path) > 1:
        inside = keras.Model(layer.inputs, _head_tensors(keras, layer, path[1:]))
        return inside(_read_by(model, layer))
    features = _read_by(model, layer)
    return [features, features if not layer.weights else _linear(layer)(features)]


def _read_by(model: Any, layer: Any) -> Any:
    """The tensor that the layer reads inside this model; a Sequential model built twice has it in two graphs."""
    graph = getattr(model, "_functional", None) or model
    nodes = (node for level in graph._nodes_by_depth.values() for node in level)
    node = next(node for node in nodes if node.operation is layer)
    (tensor,) = node.input_tensors
    return tensor


def _linear(layer: Any) -> Any:
    """A copy of the layer with the same weights and no activation."""
    config = layer.get_config()
    if config.get("activation") in (None, "linear"):
        return layer
    copy = layer.__class__.from_config({**config, "activation": "linear", "name": f"{layer.name}_logits"})
    copy.build(layer.input.shape)
    copy.set_weights(layer.get_weights())
    return copy


def with_one_output(keras: Any, model: Any, head: Head) -> Any:
    """The model from a list of inputs to the head's output alone; a Sequential model is that already."""
    if isinstance(model, keras.Sequential):
        return model
    return keras.Model(model.inputs, model.outputs[output_position(model, head)])


def output_position(model: Any, head: Head) -> int:
    """The position of the head's output among the model's."""
    names = list(getattr(model, "output_names", []))
    last = head.name.split("/")[0]
    return names.index(last) if last in names else 0


def as_model_input(model: Any, inputs: Any) -> Any:
    """Inputs in the structure that the model takes: an array, or a list in the order of its input tensors."""
    if not isinstance(inputs, dict):
        return np.asarray(inputs)
    wanted = list(getattr(model, "inputs", None) or [])
    keys = [_match(tensor.name, inputs) for tensor in wanted]
    if None in keys or len(set(keys)) < len(keys):
        keys = list(inputs)
    arrays = [np.asarray(inputs[key]) for key in keys]
    return arrays[0] if len(arrays) == 1 else arrays


def _match(name: str, arrays: Mapping[str, Any]) -> Any:
    if name in arrays:
        return name
    return next((key for key in arrays if key.endswith(f"_{name}") or key.startswith(f"{name}_")), None)
