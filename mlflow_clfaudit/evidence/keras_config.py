"""Reads the JSON that Keras 3 saves inside a .keras file. No code of the model runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlflow_clfaudit.evidence.architecture import Layer, Spec
from mlflow_clfaudit.evidence.keras_compile import (
    metrics_per_output,
    name_of,
    per_output,
    read_loss,
    read_metrics,
    read_optimizer,
)
from mlflow_clfaudit.evidence.keras_head import head_of
from mlflow_clfaudit.evidence.keras_kinds import ACTIVATIONS

MAX_NESTING = 200


def parse(config: Mapping[str, Any]) -> Spec:
    """Read a Keras 3 model config, the parsed config.json of a .keras file.

    Raises:
        ValueError: models nested too deeply to be a model.
    """
    layers, outputs = _graph(config, 0)
    compiled = config.get("compile_config") or {}
    keys = _keys(config, len(outputs))
    losses = per_output(compiled.get("loss"), outputs, keys)
    metrics = metrics_per_output(compiled.get("metrics"), outputs, keys)
    return Spec(
        kind=str(config.get("class_name", "")),
        layers=tuple(layers.values()),
        heads=tuple(
            replace(head_of(layers, output), key=key, loss=read_loss(given), metrics=tuple(read_metrics(measured)))
            for output, key, given, measured in zip(outputs, keys, losses, metrics, strict=True)
        ),
        optimizer=read_optimizer(compiled.get("optimizer")),
        compiled=bool(compiled),
    )


def _graph(config: Mapping[str, Any], depth: int, prefix: str = "") -> tuple[dict[str, Layer], list[str]]:
    """Layers by name and the names of the output layers; nested models are flattened as outer/inner."""
    if depth > MAX_NESTING:
        raise ValueError("models nested too deeply")
    inner = config.get("config")
    if not isinstance(inner, dict) or not isinstance(inner.get("layers"), list):
        return {}, []
    layers: dict[str, Layer] = {}
    tails: dict[str, list[str]] = {}
    previous: tuple[tuple[str, int], ...] = ()
    sequential = config.get("class_name") == "Sequential"
    for entry in inner["layers"]:
        settings = entry.get("config") or {}
        bare = str(settings.get("name") or entry.get("name") or f"layer_{len(layers)}")
        sources = previous if sequential else tuple(_sources(entry.get("inbound_nodes")))
        reads = tuple(tail for source in sources for tail in _tail(tails, *source, prefix))
        nested, ends = _graph(entry, depth + 1, f"{prefix}{bare}/")
        if nested:
            first = next(iter(nested.values()))
            layers |= nested | {first.name: replace(first, reads=reads)}
            tails[bare] = ends
        else:
            layers[prefix + bare] = _layer(entry, settings, prefix + bare, reads)
            tails[bare] = [prefix + bare]
        previous = ((bare, 0),)
    if sequential:
        ends = [tail for source in previous for tail in _tail(tails, *source, prefix)]
    else:
        ends = [
            tail
            for item in _tensors(inner.get("output_layers"))
            for tail in _tail(tails, str(item[0]), int(item[2]), prefix)
        ]
    return layers, [name for name in ends if name in layers]


def _layer(entry: Mapping[str, Any], settings: Mapping[str, Any], name: str, reads: tuple[str, ...]) -> Layer:
    wrapped = settings.get("layer") or settings.get("forward_layer")
    wrapper = None
    module = str(entry.get("module") or "keras")
    kind = str(entry.get("class_name", ""))
    if isinstance(wrapped, dict) and isinstance(wrapped.get("config"), dict):
        wrapper, kind, settings = kind, str(wrapped.get("class_name", "")), wrapped["config"]
        module = str(wrapped.get("module") or "keras")
    shape = _shape((entry.get("build_config") or {}).get("input_shape"))
    return Layer(
        name=name,
        kind=kind,
        config=settings,
        reads=reads,
        input_shape=shape or _shape_read(entry.get("inbound_nodes")),
        activation=ACTIVATIONS.get(kind) or name_of(settings.get("activation")) or "linear",
        wrapper=wrapper,
        ours=module.partition(".")[0] in ("keras", "tf_keras", "builtins"),
    )


def _shape(value: object) -> tuple[int | None, ...] | None:
    if isinstance(value, list) and all(size is None or isinstance(size, int) for size in value):
        return tuple(value)
    return None


def _tail(tails: Mapping[str, list[str]], name: str, tensor: int, prefix: str) -> list[str]:
    """The layer that makes that tensor of the named layer or nested model."""
    ends = tails.get(name)
    if ends is None:
        return [prefix + name]
    return [ends[tensor]] if tensor < len(ends) else ends[:1]


def _tensors(outputs: object) -> Iterator[Sequence[Any]]:
    """The [layer, node, tensor] triples of a structure: one triple, a list of them, or a dict."""
    if isinstance(outputs, dict):
        for value in outputs.values():
            yield from _tensors(value)
    elif isinstance(outputs, list):
        if len(outputs) == 3 and isinstance(outputs[0], str):
            yield outputs
        else:
            for value in outputs:
                yield from _tensors(value)


def _keys(config: Mapping[str, Any], count: int) -> list[str | None]:
    inner = config.get("config")
    outputs = inner.get("output_layers") if isinstance(inner, dict) else None
    if isinstance(outputs, dict) and len(outputs) == count:
        return [str(key) for key in outputs]
    return [None] * count


def _keras_tensors(nodes: object) -> Iterator[Mapping[str, Any]]:
    """The settings of every tensor that occurs in a layer's inbound nodes."""
    if isinstance(nodes, dict):
        if isinstance(nodes.get("keras_history"), list):
            yield nodes
            return
        for value in nodes.values():
            yield from _keras_tensors(value)
    elif isinstance(nodes, list):
        for value in nodes:
            yield from _keras_tensors(value)


def _sources(nodes: object) -> Iterator[tuple[str, int]]:
    """The layers whose tensors a layer reads, each with the number of the tensor."""
    for tensor in _keras_tensors(nodes):
        history = tensor["keras_history"]
        if history:
            yield str(history[0]), int(history[2]) if len(history) > 2 else 0


def _shape_read(nodes: object) -> tuple[int | None, ...] | None:
    """The shape of the first tensor that a layer reads."""
    return _shape(next((tensor.get("shape") for tensor in _keras_tensors(nodes)), None))
