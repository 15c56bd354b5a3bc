"""Changes of a Keras model in place that several repairs share: its last activation, and the weights of its head."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.spec import Head


def layer_at(model: Any, path: str) -> Any:
    """The layer at a path such as encoder/dense, at any nesting."""
    for name in path.split("/"):
        model = model.get_layer(name)
    return model


def activated(keras: Any, network: Network, head: Head, activation: str) -> Any:
    """The network's model with that activation in place of its last one, or behind a linear head.

    Raises:
        Missing: the activation is no layer's own and the model has no graph to build another one on.
    """
    owner = layer_at(network.model, head.name)
    if hasattr(owner, "activation"):
        owner.activation = keras.activations.get(activation)
        return network.model
    if network.tapped is None or head.after or len(head.activations) > 1:
        raise Missing(f"the activation of {head.name} cannot be exchanged in place")
    logits = network.tapped.outputs[1]
    return keras.Model(network.tapped.inputs, keras.layers.Activation(activation, name="repaired")(logits))


def transform_logits(network: Network, head: Head, matrix: np.ndarray, offset: np.ndarray) -> Any:
    """The network's model with logits z (N, C) replaced by z·matrix + offset, by its head's own weights.

    Raises:
        Missing: the head is no weighted sum with a bias right before the last activation.
    """
    layer = layer_at(network.model, head.layer)
    weights = layer.get_weights()
    if head.opaque or head.after or len(head.activations) > 1 or len(weights) != 2 or weights[1].shape != offset.shape:
        raise Missing(f"the weights of {head.layer} are not all that makes its logits")
    kernel, bias = weights
    layer.set_weights([kernel @ matrix.astype(kernel.dtype), (bias @ matrix + offset).astype(bias.dtype)])
    return network.model
