"""The training script as far as the run tells it, in Keras terms, and what a repair changes in it as a unified diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlflow_clfaudit.evidence.architecture import Layer, Loss, Spec
from mlflow_clfaudit.evidence.fit_arguments import FitArguments

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop", "nadam": "Nadam"}
# The arguments that a layer is written with first, without their names.
POSITIONAL: Mapping[str, tuple[str, ...]] = {
    "Activation": ("activation",),
    "Conv1D": ("filters", "kernel_size"),
    "Conv2D": ("filters", "kernel_size"),
    "Conv3D": ("filters", "kernel_size"),
    "Dense": ("units",),
    "Dropout": ("rate",),
    "Embedding": ("input_dim", "output_dim"),
    "GRU": ("units",),
    "LSTM": ("units",),
    "RepeatVector": ("n",),
    "Rescaling": ("scale",),
    "Reshape": ("target_shape",),
    "SimpleRNN": ("units",),
}
# Further arguments that are written where they are not these, Keras's defaults.
DEFAULTS: Mapping[str, Any] = {
    "activation": "linear",
    "dilation_rate": 1,
    "epsilon": 0.001,
    "momentum": 0.99,
    "negative_slope": 0.3,
    "padding": "valid",
    "pool_size": 2,
    "return_sequences": False,
    "strides": 1,
    "trainable": True,
    "use_bias": True,
}
IMPLIED: Mapping[str, Mapping[str, Any]] = {
    "GRU": {"activation": "tanh"},
    "LSTM": {"activation": "tanh"},
    "LayerNormalization": {"epsilon": 0.001},
    "SimpleRNN": {"activation": "tanh"},
}
# What may be one number for every axis.
SIZES = ("dilation_rate", "kernel_size", "pool_size", "strides")
INITIALIZERS = {"GlorotUniform": None, "HeUniform": "he_uniform", "HeNormal": "he_normal"}


@dataclass(frozen=True)
class Script:
    """The parts of a training script, each in lines of Python; `before` prepares the data, `after` uses the model."""

    layers: tuple[str, ...]
    optimizer: str = '"adam"'
    loss: str | None = None
    metrics: str = '["accuracy"]'
    fit: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        compiled = [f"optimizer={self.optimizer}"] + ([f"loss={self.loss}"] if self.loss else [])
        return [
            *self.before,
            "model = keras.Sequential(",
            "    [",
            *(f"        {line}," for line in self.layers),
            "    ]",
            ")",
            *_call("model.compile", [*compiled, f"metrics={self.metrics}"]),
            *_call("model.fit", ["X_train", "y_train", *self.fit]),
            *self.after,
        ]

    def with_layers(self, spec: Spec) -> Script:
        return replace(self, layers=tuple(layer_lines(spec)))

    def with_fit(self, name: str, value: str | None) -> Script:
        """The script with an argument of fit() changed, added, or left out where `value` is None."""
        kept = [line for line in self.fit if not line.startswith(f"{name}=")]
        place = next((at for at, line in enumerate(self.fit) if line.startswith(f"{name}=")), len(kept))
        return replace(self, fit=(*kept[:place], *([f"{name}={value}"] if value else []), *kept[place:]))


def script_of(spec: Spec, fit: FitArguments) -> Script:
    """The script that the saved model and the run's params tell of."""
    loss = spec.heads[0].loss if spec.heads else None
    metrics = [metric.name for metric in spec.heads[0].metrics if metric.by_string] if spec.heads else []
    return Script(
        layers=tuple(layer_lines(spec)),
        optimizer=optimizer_line(spec, fit),
        loss=loss_line(loss),
        metrics=str(metrics or ["accuracy"]).replace("'", '"'),
        fit=tuple(_fit_lines(fit)),
    )


def layer_lines(spec: Spec) -> Iterator[str]:
    """A line of Python for each layer, in the order of the model's file."""
    for layer in spec.layers:
        yield layer_line(layer)


def layer_line(layer: Layer) -> str:
    """The layer as it is written in a script, with what differs from Keras's defaults."""
    config = layer.config
    if layer.kind == "InputLayer":
        shape = config.get("batch_shape") or config.get("batch_input_shape") or [None]
        return f"keras.Input({tuple(shape[1:])})"
    names = POSITIONAL.get(layer.kind, ())
    if layer.kind == "Normalization":
        return "normalization"
    arguments = [_value(name, config[name]) for name in names if name in config]
    usual = {**DEFAULTS, **IMPLIED.get(layer.kind, {})}
    for name, default in usual.items():
        value = config.get(name, default)
        if name in names or _same(value, default):
            continue
        arguments.append(f"{name}={_value(name, value)}")
    initializer = config.get("kernel_initializer")
    kind = initializer.get("class_name") if isinstance(initializer, dict) else None
    if kind is not None and INITIALIZERS.get(kind, kind) is not None:
        arguments.append(f'kernel_initializer="{INITIALIZERS.get(kind, kind)}"')
    if config.get("kernel_regularizer") is not None:
        arguments.append("kernel_regularizer=…")
    return f"keras.layers.{layer.kind}({', '.join(arguments)})"


def optimizer_line(spec: Spec, fit: FitArguments, rate: float | None = None) -> str:
    """The optimizer, with its learning rate where that is known."""
    name = (fit.optimizer or (spec.optimizer.name if spec.optimizer else "") or "adam").lower()
    rate = rate or fit.learning_rate or (spec.optimizer.learning_rate if spec.optimizer else None)
    known = OPTIMIZERS.get(name)
    return f"keras.optimizers.{known}({rate:.3g})" if known and rate else f'"{name}"'


def loss_line(loss: Loss | None) -> str | None:
    if loss is None:
        return None
    if not loss.from_logits:
        return f'"{loss.name}"'
    camel = "".join(part.capitalize() for part in loss.name.split("_"))
    return f"keras.losses.{camel}(from_logits=True)"


def unified_diff(before: Script, after: Script, *, context: int = 3) -> str:
    """What the repair changes in the script, as `diff -u` shows it."""
    lines = difflib.unified_diff(
        before.lines(), after.lines(), "train.py", "train.py (repaired)", n=context, lineterm=""
    )
    return "\n".join(lines)


def _call(name: str, arguments: Sequence[str]) -> list[str]:
    return [f"{name}(", *(f"    {argument}," for argument in arguments), ")"]


def _fit_lines(fit: FitArguments) -> Iterator[str]:
    if fit.epochs:
        yield f"epochs={fit.epochs}"
    if fit.batch_size:
        yield f"batch_size={fit.batch_size}"
    if fit.validation_split:
        yield f"validation_split={fit.validation_split:g}"
    if fit.class_weight:
        yield f"class_weight={dict(fit.class_weight)}"
    if fit.shuffle is False:
        yield "shuffle=False"


def _same(value: Any, default: Any) -> bool:
    """Whether a config's value is the default; sizes of several axes are lists there."""
    if isinstance(value, list | tuple):
        return bool(value) and all(item == default for item in value)
    return bool(value == default) or value is None


def _value(name: str, value: Any) -> str:
    """A config's value as Python; sizes that are the same along every axis as one number."""
    if isinstance(value, list | tuple):
        return str(value[0]) if name in SIZES and len(set(value)) == 1 else str(tuple(value))
    if isinstance(value, dict):
        return f'"{value.get("class_name", "…")}"'
    return f'"{value}"' if isinstance(value, str) else f"{value}"
