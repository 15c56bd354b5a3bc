"""What a model's own description says of it, as data: layers, heads, losses, metrics, optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
PROBABILITY_ACTIVATIONS = {"sigmoid", "softmax", "hard_sigmoid", "sparsemax"}
KNOWN_ACTIVATIONS = PROBABILITY_ACTIVATIONS | {
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "silu",
    "softplus",
    "softsign",
    "squareplus",
    "swish",
    "tanh",
}
# What a head is called whose model is known by its answers: there is no graph of Keras to read or to train on.
ANSWERING = ("Estimator", "Module", "Predictions")
RECURRENT = {"LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D"}


@dataclass(frozen=True)
class Layer:
    """One layer: its Keras class, its config, the names of the layers that it reads, the shape of what it reads.

    `activation` is the name of the function that it applies to its own result, linear where it has none. `wrapper`
    is the class of the layer around it, such as TimeDistributed. `ours` says whether the class is one of Keras's own.
    """

    name: str
    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    input_shape: tuple[int | None, ...] | None = None
    activation: str = "linear"
    wrapper: str | None = None
    ours: bool = True

    @property
    def trainable(self) -> bool:
        return bool(self.config.get("trainable", True))

    @property
    def units(self) -> int | None:
        """The size of the last axis of what the layer gives, where its config says so."""
        size = self.config.get("units", self.config.get("filters"))
        if size is None and self.kind == "EinsumDense":
            shape = self.config.get("output_shape")
            size = shape[-1] if isinstance(shape, list) and shape else shape
        return size if isinstance(size, int) and not isinstance(size, bool) else None

    @property
    def dtype(self) -> str:
        """The compute dtype: mixed_bfloat16 computes in bfloat16."""
        policy = self.config.get("dtype")
        if isinstance(policy, dict):
            inner = policy.get("config")
            policy = inner.get("name") if isinstance(inner, dict) else None
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
        return self.known and self.name in CROSS_ENTROPIES

    @property
    def is_regression(self) -> bool:
        return self.known and self.name in REGRESSION_LOSSES

    @property
    def is_hinge(self) -> bool:
        return self.known and self.name in HINGE_LOSSES

    @property
    def is_binary(self) -> bool:
        return self.known and self.name in ("binary_crossentropy", "binary_focal_crossentropy")

    @property
    def is_categorical(self) -> bool:
        """Whether it compares whole rows: one class a row, by one-hot columns or by integers."""
        return self.is_cross_entropy and not self.is_binary

    @property
    def is_sparse(self) -> bool:
        return self.known and self.name == "sparse_categorical_crossentropy"

    @property
    def label(self) -> str:
        """The loss in words: binary cross-entropy, or the user's own by its name."""
        words = self.name.replace("crossentropy", "cross-entropy").replace("_", " ")
        return words if self.known else f"the custom loss {self.name}"


@dataclass(frozen=True)
class Metric:
    """A compiled metric: the string given to compile(), or the class with its options."""

    name: str
    by_string: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """One output of the model: the last layer with weights and what is applied behind it.

    `activations` are those applied after the weights, in order, linear ones left out. `after` are the layers behind
    the last activation: they cut Keras's path to the logits. `opaque` are those of them, or of all layers where there
    is no activation, that change values in a way that the file does not tell (Lambda, custom layers, arithmetic).
    `softmax_size` is the size of the axis that a softmax normalises over, `rank` the number of axes of the output
    (2 for one row of units), `key` the name under which the model returns it, if it returns a dict. `cut` is the
    threshold that the model itself decides at, where it says so. `link` is the activation that is left to the reader:
    what turns the outputs of a model without a known loss into probabilities. `bare` says that it answers with classes
    alone.
    """

    name: str = "output"
    layer: str = "head"
    kind: str = "Dense"
    units: int | None = None
    activations: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    softmax_size: int | None = None
    softmax_axis: int = -1
    rank: int = 2
    dtype: str = "float32"
    loss: Loss | None = None
    metrics: tuple[Metric, ...] = ()
    backend: str | None = None
    key: str | None = None
    cut: float | None = None
    link: str | None = None
    bare: bool = False

    @property
    def activation(self) -> str:
        """The last activation before the output; linear where there is none."""
        return self.activations[-1] if self.activations else "linear"

    @property
    def is_linear(self) -> bool:
        """Whether the output is surely a weighted sum and nothing else."""
        return not self.activations and not self.opaque

    @property
    def gives_probabilities(self) -> bool:
        return self.activation in PROBABILITY_ACTIVATIONS and not self.opaque

    @property
    def is_known_by_answers(self) -> bool:
        """Whether neither layers nor a training of the model are at hand."""
        return self.kind in ANSWERING

    @property
    def keeps_logits(self) -> bool:
        """Whether the loss is computed on the logits behind the output, whatever the output is.

        Keras does so on TensorFlow where nothing comes after a softmax or sigmoid and the head computes in float32.
        """
        return (
            not self.after
            and self.dtype == "float32"
            and self.activation in ("softmax", "sigmoid")
            and self.kind not in RECURRENT
            and self.backend in (None, "tensorflow")
        )

    @property
    def threshold(self) -> float:
        """The value above which a single output means class 1, on the scale that the head gives."""
        if self.cut is not None:
            return self.cut
        if self.activation in ("tanh", "softsign", "hard_tanh") and not self.opaque:
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
