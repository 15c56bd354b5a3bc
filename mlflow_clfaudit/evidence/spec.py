"""What the saved model file says about itself: architecture, heads, losses, optimizer. No code of the model runs."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.run import LOG_MODEL

MAX_CONFIG_BYTES = 64 * 2**20
MAX_NESTING = 200

# Layers that pass their input on without weights of their own: the head is looked for through them.
PASSING = {
    "Activation",
    "Softmax",
    "Sigmoid",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "Reshape",
    "Flatten",
    "Dropout",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "SpatialDropout1D",
    "Rescaling",
    "Lambda",
    "Identity",
    "Permute",
    "Squeeze",
    "ExpandDims",
    "ActivityRegularization",
    "Masking",
    "Tanh",
    "Softplus",
    "HardSigmoid",
    "Cast",
    "GetItem",
}
ACTIVATION_LAYERS = {
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "leaky_relu",
    "ELU": "elu",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "HardSigmoid": "hard_sigmoid",
}
LOSS_ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "huber_loss": "huber",
}
CROSS_ENTROPIES = {
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
}
REGRESSION_LOSSES = {
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
}
HINGE_LOSSES = {"hinge", "squared_hinge", "categorical_hinge"}
KNOWN_LOSSES = (
    CROSS_ENTROPIES
    | REGRESSION_LOSSES
    | HINGE_LOSSES
    | {"kl_divergence", "poisson", "cosine_similarity", "dice", "tversky", "ctc", "circle"}
)
PROBABILITY_ACTIVATIONS = {"sigmoid", "softmax", "hard_sigmoid"}


@dataclass(frozen=True)
class Layer:
    """One layer: its Keras class, its config, and the names of the layers that it reads."""

    name: str
    kind: str
    config: Mapping[str, Any]
    reads: tuple[str, ...] = ()
    input_shape: tuple[int | None, ...] | None = None

    @property
    def trainable(self) -> bool:
        return bool(self.config.get("trainable", True))

    @property
    def activation(self) -> str:
        """The layer's activation by name; linear where it has none."""
        if self.kind in ACTIVATION_LAYERS:
            return ACTIVATION_LAYERS[self.kind]
        return _named(self.config.get("activation")) or "linear"

    @property
    def units(self) -> int | None:
        size = self.config.get("units", self.config.get("filters"))
        return size if isinstance(size, int) else None

    @property
    def dtype(self) -> str:
        """The compute dtype: mixed_bfloat16 computes in bfloat16."""
        policy = self.config.get("dtype")
        if isinstance(policy, dict):
            policy = policy.get("config", {}).get("name")
        return str(policy or "float32").removeprefix("mixed_")


@dataclass(frozen=True)
class Loss:
    """A compiled loss. `known` is False for a loss of the user's own, about which nothing may be claimed."""

    name: str
    from_logits: bool = False
    known: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_cross_entropy(self) -> bool:
        return self.name in CROSS_ENTROPIES

    @property
    def is_regression(self) -> bool:
        return self.name in REGRESSION_LOSSES

    @property
    def is_hinge(self) -> bool:
        return self.name in HINGE_LOSSES

    @property
    def is_binary(self) -> bool:
        return self.name in ("binary_crossentropy", "binary_focal_crossentropy")


@dataclass(frozen=True)
class Metric:
    """A compiled metric: the string given to compile(), or the class with its options."""

    name: str
    by_string: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """One output of the model: the last layer with weights and every activation after it.

    `activations` are those applied after the weights, in order, linear ones left out; `after` are the layers behind
    the last activation, which cut Keras's path to the logits; `softmax_size` is the size of the axis that a softmax
    normalises over.
    """

    name: str = "output"
    layer: str = "head"
    kind: str = "Dense"
    units: int | None = None
    activations: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    softmax_size: int | None = None
    softmax_axis: int = -1
    rank: int = 2
    dtype: str = "float32"
    loss: Loss | None = None
    metrics: tuple[Metric, ...] = ()

    @property
    def activation(self) -> str:
        """The last activation before the output; linear where there is none."""
        return self.activations[-1] if self.activations else "linear"

    @property
    def gives_probabilities(self) -> bool:
        return self.activation in PROBABILITY_ACTIVATIONS

    @property
    def keeps_logits(self) -> bool:
        """Whether Keras on TensorFlow finds the logits behind the output (nothing after the activation, float32)."""
        return not self.after and self.dtype == "float32" and self.activation in ("softmax", "sigmoid")

    @property
    def threshold(self) -> float:
        """The value above which a single output means class 1, on the scale that the head gives."""
        if self.activation in ("tanh", "softsign", "hard_tanh"):
            return 0.0
        if self.gives_probabilities or self.loss is None:
            return 0.5
        return 0.0 if self.loss.from_logits or self.loss.is_hinge else 0.5


@dataclass(frozen=True)
class Optimizer:
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def learning_rate(self) -> float | None:
        rate = self.options.get("learning_rate")
        return float(rate) if isinstance(rate, int | float) else None

    @property
    def scheduled(self) -> bool:
        return isinstance(self.options.get("learning_rate"), dict)


@dataclass(frozen=True)
class Spec:
    """The whole model as its file describes it. `layers` are in config order, nested models flattened."""

    kind: str
    layers: tuple[Layer, ...]
    heads: tuple[Head, ...]
    optimizer: Optimizer | None = None
    keras_version: str | None = None
    backend: str | None = None
    compiled: bool = True

    def layer(self, name: str) -> Layer | None:
        return next((layer for layer in self.layers if layer.name == name), None)


@provides()
def keras_file(model_folder: Path, flavors: Mapping[str, Any]) -> Path:
    """The .keras file of the logged model."""
    if "keras" not in flavors and "tensorflow" not in flavors:
        raise Missing(f"the logged model is not a Keras model but {', '.join(sorted(flavors))}", LOG_MODEL)
    found = sorted(model_folder.glob("data/*.keras")) or sorted(model_folder.glob("**/*.keras"))
    if not found:
        raise Missing("the logged model has no .keras file", LOG_MODEL)
    return found[0]


@provides()
def spec(keras_file: Path, flavors: Mapping[str, Any]) -> Spec:
    """The architecture and compile arguments from the .keras file's own JSON."""
    try:
        with zipfile.ZipFile(keras_file) as archive:
            config = _read_json(archive, "config.json")
            metadata = _read_json(archive, "metadata.json")
        parsed = parse(config)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, RecursionError) as error:
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise Missing(f"the model file cannot be read: {text}", LOG_MODEL) from None
    backend = (flavors.get("keras") or {}).get("keras_backend") or ("tensorflow" if "tensorflow" in flavors else None)
    return Spec(
        kind=parsed.kind,
        layers=parsed.layers,
        heads=parsed.heads,
        optimizer=parsed.optimizer,
        keras_version=metadata.get("keras_version"),
        backend=backend,
        compiled=parsed.compiled,
    )


@provides()
def head(spec: Spec, output: int) -> Head:
    """The head that is being judged: the model's only output, or the one the audit has come to."""
    if not spec.heads:
        raise Missing(
            f"the model ({spec.kind}) does not describe its layers: a subclassed model keeps them in its code",
            "build it with keras.Model(inputs, outputs)",
        )
    return spec.heads[output]


@provides()
def loss(head: Head) -> Loss:
    """The compiled loss of the head."""
    if head.loss is None:
        raise Missing("the model was saved without its loss", "model.compile(loss=…) before logging the model")
    return head.loss


def parse(config: Mapping[str, Any]) -> Spec:
    """Read a Keras 3 model config (the parsed config.json)."""
    layers, outputs = _graph(config, 0)
    compiled = config.get("compile_config") or {}
    names = [output for output in outputs]
    heads = [_head(layers, output) for output in outputs]
    losses = _per_output(compiled.get("loss"), names)
    metrics = _per_output_metrics(compiled.get("metrics"), names)
    return Spec(
        kind=str(config.get("class_name", "")),
        layers=tuple(layers.values()),
        heads=tuple(
            Head(**{**vars(found), "loss": _loss(given), "metrics": tuple(_metrics(measured))})
            for found, given, measured in zip(heads, losses, metrics, strict=True)
        ),
        optimizer=_optimizer(compiled.get("optimizer")),
        compiled=bool(compiled),
    )


def _read_json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > MAX_CONFIG_BYTES:
        raise ValueError(f"{name} is larger than {MAX_CONFIG_BYTES} bytes")
    parsed = json.loads(archive.read(name))
    if not isinstance(parsed, dict):
        raise ValueError(f"{name} is not a JSON object")
    return parsed


def _graph(config: Mapping[str, Any], depth: int, prefix: str = "") -> tuple[dict[str, Layer], list[str]]:
    """Layers by name and the names of the output layers; nested models are flattened as outer/inner."""
    if depth > MAX_NESTING:
        raise ValueError("models nested too deeply")
    inner = config.get("config")
    if not isinstance(inner, dict) or not isinstance(inner.get("layers"), list):
        return {}, []
    layers: dict[str, Layer] = {}
    tails: dict[str, list[str]] = {}
    previous: tuple[str, ...] = ()
    sequential = config.get("class_name") == "Sequential"
    for entry in inner["layers"]:
        settings = entry.get("config") or {}
        bare = str(settings.get("name") or entry.get("name") or f"layer_{len(layers)}")
        name = prefix + bare
        reads = previous if sequential else tuple(_history_names(entry.get("inbound_nodes")))
        reads = tuple(tail for read in reads for tail in tails.get(read, [prefix + read]))
        nested, ends = _graph(entry, depth + 1, f"{name}/")
        if nested:
            first = next(iter(nested.values()))
            nested[first.name] = Layer(first.name, first.kind, first.config, reads, first.input_shape)
            layers |= nested
            tails[bare] = ends
        else:
            shape = (entry.get("build_config") or {}).get("input_shape")
            wrapped = settings.get("layer")
            if isinstance(wrapped, dict) and isinstance(wrapped.get("config"), dict):
                settings = {**wrapped["config"], "wrapper": entry.get("class_name")}
            layers[name] = Layer(
                name=name,
                kind=str((wrapped or entry).get("class_name", "")),
                config=settings,
                reads=reads,
                input_shape=tuple(shape) if _is_shape(shape) else None,
            )
            tails[bare] = [name]
        previous = (bare,)
    if sequential:
        outputs = [previous[0]] if previous else []
    else:
        outputs = [str(item[0]) for item in _tensors(inner.get("output_layers"))]
    return layers, [tail for output in outputs for tail in tails.get(output, [])]


def _is_shape(shape: object) -> bool:
    return isinstance(shape, list) and all(size is None or isinstance(size, int) for size in shape)


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


def _history_names(nodes: object) -> Iterator[str]:
    """Names of the layers whose tensors occur in a layer's inbound nodes."""
    if isinstance(nodes, dict):
        history = nodes.get("keras_history")
        if isinstance(history, list) and history:
            yield str(history[0])
            return
        for value in nodes.values():
            yield from _history_names(value)
    elif isinstance(nodes, list):
        for value in nodes:
            yield from _history_names(value)


def _head(layers: Mapping[str, Layer], output: str) -> Head:
    chain: list[Layer] = []
    layer: Layer | None = layers[output]
    while layer is not None and layer.kind in PASSING and len(layer.reads) == 1:
        chain.append(layer)
        layer = layers.get(layer.reads[0])
    weights = layer or layers[output]
    steps: list[tuple[str, str]] = []
    if weights.activation != "linear":
        steps.append((weights.name, weights.activation))
    for passing in reversed(chain):
        steps.append((passing.name, passing.activation))
    last = max((i for i, (_, activation) in enumerate(steps) if activation != "linear"), default=-1)
    softmax = next((item for item in [*chain, weights] if item.activation == "softmax"), None)
    units = weights.units
    for passing in reversed(chain):
        target = passing.config.get("target_shape")
        if passing.kind == "Reshape" and isinstance(target, list) and target and isinstance(target[-1], int):
            units = target[-1] if target[-1] > 0 else units
    rank = len(weights.input_shape) if weights.input_shape and weights.kind != "Flatten" else 2
    return Head(
        name=output,
        layer=weights.name,
        kind=weights.kind,
        units=units,
        activations=tuple(activation for _, activation in steps if activation != "linear"),
        after=tuple(
            name for name, _ in steps[last + 1 :] if last >= 0 and layers[name].kind not in ("Dropout", "Identity")
        ),
        softmax_size=_axis_size(softmax, weights, chain),
        softmax_axis=_axis(softmax),
        rank=rank,
        dtype=(layers[output] if layers[output].kind != "Lambda" else weights).dtype,
    )


def _axis(softmax: Layer | None) -> int:
    axis = softmax.config.get("axis", -1) if softmax is not None and softmax.kind == "Softmax" else -1
    return axis if isinstance(axis, int) else -1


def _axis_size(softmax: Layer | None, weights: Layer, chain: Sequence[Layer]) -> int | None:
    """The size of the axis that the softmax runs over, where the file tells."""
    if softmax is None:
        return None
    if softmax is weights:
        return weights.units
    if softmax.input_shape and abs(_axis(softmax)) < len(softmax.input_shape) + 1:
        return softmax.input_shape[_axis(softmax)]
    if _axis(softmax) != -1:
        return None
    size = weights.units
    for passing in reversed(chain[chain.index(softmax) + 1 :]):
        target = passing.config.get("target_shape")
        if passing.kind == "Reshape":
            size = target[-1] if isinstance(target, list) and target and target[-1] != -1 else None
        elif passing.kind in ("Lambda", "Permute", "Flatten", "GetItem", "Squeeze", "ExpandDims"):
            size = passing.units
    return size


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
    bare = name.split(">")[-1]
    out = "".join("_" + c.lower() if c.isupper() and i and not bare[i - 1].isupper() else c.lower() for i, c in enumerate(bare))
    return {"klddivergence": "kl_divergence", "kldivergence": "kl_divergence"}.get(out, out)


def _loss(value: object) -> Loss | None:
    name = _named(value)
    if name is None:
        return None
    name = LOSS_ALIASES.get(name.lower(), name.lower())
    options: Mapping[str, Any] = {}
    custom = False
    if isinstance(value, dict):
        inner = value.get("config")
        options = inner if isinstance(inner, dict) else {}
        name = LOSS_ALIASES.get(_snake(str(value.get("class_name"))), name) if isinstance(inner, dict) else name
        module = value.get("module") or ""
        custom = not (module.startswith("keras") or module == "builtins")
        if isinstance(inner, dict) and value.get("class_name") == "LossFunctionWrapper":
            custom = True
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
            name = _named(value) or "custom"
            if isinstance(options, dict):
                yield Metric(_snake(str(value.get("class_name"))), by_string=False, options=options)
            else:
                yield Metric(name, by_string=False)
        elif isinstance(value, str):
            yield Metric(value.lower())


def _per_output(value: object, names: Sequence[str]) -> list[object]:
    if isinstance(value, dict) and "class_name" not in value:
        bare = {name.split("/")[-1]: name for name in names}
        found = {bare.get(str(key), str(key)): item for key, item in value.items()}
        if set(found) & set(names):
            return [found.get(name) for name in names]
        return list(value.values())[: len(names)] + [None] * (len(names) - len(value))
    if isinstance(value, list) and len(names) > 0:
        return [value[i] if i < len(value) else None for i in range(len(names))]
    return [value for _ in names]


def _per_output_metrics(value: object, names: Sequence[str]) -> list[object]:
    nested = isinstance(value, dict) and "class_name" not in value
    listed = isinstance(value, list) and len(names) > 1 and all(isinstance(item, list) for item in value)
    if nested or listed:
        return _per_output(value, names)
    return [value or [] for _ in names]


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
