"""Reads the JSON that Keras 3 saves inside a .keras file. No code of the model runs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlflow_clfaudit.evidence.architecture import (
    KNOWN_ACTIVATIONS,
    KNOWN_LOSSES,
    RECURRENT,
    Head,
    Layer,
    Loss,
    Metric,
    Optimizer,
    Spec,
)

MAX_NESTING = 200

# How layers and functions without weights of their own treat the values they pass on.
SHAPING = {
    "Reshape",
    "Flatten",
    "Permute",
    "Transpose",
    "Squeeze",
    "ExpandDims",
    "GetItem",
    "Identity",
    "Cast",
    "Dropout",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "ActivityRegularization",
    "Masking",
}
AVERAGING = {
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "Mean",
}
SCALING = {"Rescaling", "TrueDivide", "Divide", "Multiply", "Add", "Subtract", "Negative", "UnitNormalization"}
OPAQUE = {"Lambda", "Clip", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "Max"}
# Layers and functions of keras.ops that are activations, by class.
ACTIVATIONS = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "LogSigmoid": "log_sigmoid",
    "HardSigmoid": "hard_sigmoid",
    "Sparsemax": "sparsemax",
    "ReLU": "relu",
    "Relu": "relu",
    "Relu6": "relu6",
    "LeakyReLU": "leaky_relu",
    "LeakyRelu": "leaky_relu",
    "PReLU": "leaky_relu",
    "ELU": "elu",
    "Elu": "elu",
    "Selu": "selu",
    "Celu": "celu",
    "Gelu": "gelu",
    "Silu": "silu",
    "HardSilu": "hard_silu",
    "Tanh": "tanh",
    "HardTanh": "hard_tanh",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "Squareplus": "squareplus",
    "Exp": "exponential",
}
PASSING = SHAPING | AVERAGING | SCALING | OPAQUE | set(ACTIVATIONS) | {"Activation"}
# Layers whose result is a weighted sum, with their own activation behind it.
WEIGHTED = {
    "Dense",
    "EinsumDense",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "SeparableConv1D",
    "SeparableConv2D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "BatchNormalization",
    "LayerNormalization",
    *RECURRENT,
}
LOSS_ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kldivergence": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "huber_loss": "huber",
}


def parse(config: Mapping[str, Any]) -> Spec:
    """Read a Keras 3 model config, the parsed config.json of a .keras file.

    Raises:
        ValueError: models nested too deeply to be a model.
    """
    layers, outputs = _graph(config, 0)
    compiled = config.get("compile_config") or {}
    keys = _keys(config, len(outputs))
    losses = _per_output(compiled.get("loss"), outputs, keys)
    metrics = _per_output_metrics(compiled.get("metrics"), outputs, keys)
    return Spec(
        kind=str(config.get("class_name", "")),
        layers=tuple(layers.values()),
        heads=tuple(
            replace(_head(layers, output), key=key, loss=_loss(given), metrics=tuple(_metrics(measured)))
            for output, key, given, measured in zip(outputs, keys, losses, metrics, strict=True)
        ),
        optimizer=_optimizer(compiled.get("optimizer")),
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
        activation=ACTIVATIONS.get(kind) or _named(settings.get("activation")) or "linear",
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


def _head(layers: Mapping[str, Layer], output: str) -> Head:
    chain: list[Layer] = []
    layer: Layer | None = layers[output]
    while layer is not None and layer.ours and layer.kind in PASSING and len(layer.reads) == 1:
        if layer in chain:
            raise ValueError("its layers read each other in a circle")
        chain.append(layer)
        layer = layers.get(layer.reads[0])
    if layer is None:
        layer = chain.pop()
    steps = [layer, *reversed(chain)]
    active = [place for place, step in enumerate(steps) if step.activation != "linear"]
    last = active[-1] if active else -1
    behind = steps[last + 1 :]
    softmax = next((place for place in reversed(active) if steps[place].activation == "softmax"), None)
    sizes = _sizes(steps)
    return Head(
        name=output,
        layer=layer.name,
        kind=layer.kind,
        units=sizes[-1],
        activations=tuple(steps[place].activation for place in active),
        after=tuple(step.name for step in behind if active and step.kind != "Identity") + _wrapped(steps, last),
        opaque=tuple(step.name for step in behind if _is_opaque(step, bool(active))) + _own(steps, last),
        softmax_size=None if softmax is None else _softmax_size(steps, softmax, sizes),
        softmax_axis=-1 if softmax is None else _axis(steps[softmax]),
        rank=_rank(steps),
        dtype=steps[-1].dtype if "dtype" in steps[-1].config else layer.dtype,
    )


def _wrapped(steps: Sequence[Layer], last: int) -> tuple[str, ...]:
    """The wrapper of the layer with the last activation, which stands behind that activation."""
    return (steps[last].name,) if last >= 0 and steps[last].wrapper else ()


def _own(steps: Sequence[Layer], last: int) -> tuple[str, ...]:
    """The layer with the last activation, where that is a function of the user's own."""
    known = last < 0 or steps[last].activation in KNOWN_ACTIVATIONS
    return () if known else (steps[last].name,)


def _is_opaque(step: Layer, active: bool) -> bool:
    """Whether the step changes values so that the file does not tell what the output is.

    Scaling a weighted sum leaves a weighted sum; scaling what an activation gave does not leave that activation.
    """
    if not step.ours or step.kind in OPAQUE or len(step.reads) > 1:
        return True
    if step.kind in SCALING:
        same = step.kind == "Rescaling" and step.config.get("scale") == 1 and step.config.get("offset") == 0
        return active and not same
    return step.kind not in PASSING | WEIGHTED | {"InputLayer"}


def _sizes(steps: Sequence[Layer]) -> list[int | None]:
    """The size of the last axis behind each step, None where the file does not tell."""
    sizes: list[int | None] = []
    size: int | None = None
    for place, step in enumerate(steps):
        following = steps[place + 1].input_shape if place + 1 < len(steps) else None
        if following:
            size = following[-1]
        elif place == 0 or step.kind not in PASSING:
            size = step.units or _last(step.input_shape, step.kind)
        elif step.kind == "Reshape":
            size = _reshaped(step)
        elif step.kind == "Flatten":
            known = step.input_shape[1:] if step.input_shape else ()
            size = math.prod(n for n in known if n) if known and all(known) else None
        elif step.kind in ("GetItem", "Permute", "Transpose", "Lambda") or (step.kind == "Squeeze" and size != 1):
            size = None
        sizes.append(size)
    return sizes


def _last(shape: tuple[int | None, ...] | None, kind: str) -> int | None:
    """Normalisation keeps the size of the last axis; of other layers without units it is not known."""
    return shape[-1] if shape and kind.endswith("Normalization") else None


def _reshaped(step: Layer) -> int | None:
    target = step.config.get("target_shape")
    if not isinstance(target, list) or not all(isinstance(n, int) for n in target):
        return None
    if not target:
        return 1
    if target[-1] != -1:
        return int(target[-1])
    known = step.input_shape[1:] if step.input_shape else ()
    rest = math.prod(target[:-1])
    return math.prod(n for n in known if n) // rest if known and all(known) and rest else None


def _axis(softmax: Layer) -> int:
    axis = softmax.config.get("axis", -1) if softmax.kind == "Softmax" else -1
    return axis if isinstance(axis, int) else -1


def _softmax_size(steps: Sequence[Layer], softmax: int, sizes: Sequence[int | None]) -> int | None:
    """The size of the axis that the softmax runs over, where the file tells."""
    step, axis = steps[softmax], _axis(steps[softmax])
    if softmax > 0 and step.input_shape and -len(step.input_shape) <= axis < len(step.input_shape):
        return step.input_shape[axis]
    return sizes[softmax - 1 if softmax > 0 else 0] if axis == -1 else None


def _rank(steps: Sequence[Layer]) -> int:
    """The number of axes of the output; 2 where the file does not tell."""
    first = steps[0]
    rank = len(first.input_shape) if first.input_shape else 2
    if first.kind in RECURRENT and not first.config.get("return_sequences"):
        rank -= 1
    for place, step in enumerate(steps[1:], start=1):
        if step.input_shape:
            rank = len(step.input_shape)
        target = step.config.get("target_shape")
        if step.kind == "Reshape" and isinstance(target, list):
            rank = 1 + len(target)
        elif step.kind == "Flatten" or (step.kind in AVERAGING and step.kind.startswith("Global")):
            rank = 2
        elif step.kind == "Squeeze" and place == len(steps) - 1:
            rank = max(rank - 1, 1)
        elif step.kind == "ExpandDims":
            rank += 1
    return rank


def _named(value: object) -> str | None:
    """The canonical name of a function or object in a Keras config."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        inner = value.get("config")
        if value.get("class_name") == "function" and isinstance(inner, str):
            return inner
        return _snake(str(value.get("registered_name") or value.get("class_name") or "custom"))
    return None


def _snake(name: str) -> str:
    """BinaryCrossentropy → binary_crossentropy, KLDivergence → kldivergence."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rpartition(">")[2]).lower()


def _loss(value: object) -> Loss | None:
    name = _named(value)
    if name is None:
        return None
    custom = False
    options: Mapping[str, Any] = {}
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        options = value["config"]
        name = _snake(str(value.get("class_name")))
        module = str(value.get("module") or "")
        custom = module.partition(".")[0] != "keras" or ">" in str(value.get("registered_name") or "")
    elif name not in KNOWN_LOSSES and name.lower() not in LOSS_ALIASES:
        name = _snake(name) if ">" not in name else name
    lowered = name.lower()
    name = LOSS_ALIASES.get(lowered, lowered)
    return Loss(
        name=name,
        from_logits=bool(options.get("from_logits", False)),
        known=name in KNOWN_LOSSES and not custom,
        options={key: item for key, item in options.items() if key not in ("name", "dtype")},
    )


def _metrics(values: object) -> Iterator[Metric]:
    for value in values if isinstance(values, list) else [values]:
        if isinstance(value, list):
            yield from _metrics(value)
        elif isinstance(value, dict):
            options = value.get("config")
            if isinstance(options, dict):
                yield Metric(_snake(str(value.get("class_name"))), by_string=False, options=options)
            else:
                yield Metric(_named(value) or "custom", by_string=False)
        elif isinstance(value, str):
            yield Metric(value.lower())


def _per_output(value: object, outputs: Sequence[str], keys: Sequence[str | None]) -> list[object]:
    """One value for each output: by the key it is returned under, by its layer's name, or by its place."""
    if isinstance(value, dict) and "class_name" not in value:
        names = [
            {str(key)} if key is not None else {output, output.rsplit("/", maxsplit=1)[-1], output.split("/")[0]}
            for output, key in zip(outputs, keys, strict=True)
        ]
        found = [next((item for name, item in value.items() if str(name) in known), None) for known in names]
        if any(item is not None for item in found):
            return found
        value = list(value.values())
    if isinstance(value, list):
        return [value[place] if place < len(value) else None for place in range(len(outputs))]
    return [value for _ in outputs]


def _per_output_metrics(value: object, outputs: Sequence[str], keys: Sequence[str | None]) -> list[object]:
    nested = isinstance(value, dict) and "class_name" not in value
    # A flat list as long as the outputs is one metric for each of them, as compile() takes it.
    listed = isinstance(value, list) and len(outputs) > 1 and len(value) == len(outputs)
    if nested or listed:
        return [item or [] for item in _per_output(value, outputs, keys)]
    return [value or [] for _ in outputs]


def _optimizer(value: object) -> Optimizer | None:
    if isinstance(value, str):
        return Optimizer(value.lower())
    if not isinstance(value, dict):
        return None
    options = value.get("config")
    options = options if isinstance(options, dict) else {}
    inner = options.get("inner_optimizer")
    if value.get("class_name") == "LossScaleOptimizer" and isinstance(inner, dict):
        return _optimizer(inner)
    return Optimizer(str(value.get("class_name", "")).lower(), options)
