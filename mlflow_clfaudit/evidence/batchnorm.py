"""What a model with BatchNormalization would decide with statistics that fit the rows it is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.edits import EDITS
from mlflow_clfaudit.evidence.keras_backend import import_keras
from mlflow_clfaudit.evidence.network import Network, as_model_input, with_one_output
from mlflow_clfaudit.evidence.served import Served, Trial
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.types import Tier

BATCH = 256
BATCHES = 20


@dataclass(frozen=True)
class SavedStatistics:
    """How many layers normalise by saved statistics of batches, their name, and how they learn better ones."""

    layer: str
    count: int
    remedy: str


@dataclass(frozen=True)
class NormalizationModes:
    """The judged rows three ways: as served, with the statistics of each batch, and with statistics measured anew."""

    served: Served
    by_batch: Served
    recalibrated: Served


@provides()
def saved_statistics(spec: Spec) -> SavedStatistics:
    """The BatchNormalization of a Keras model."""
    count = sum(layer.kind == "BatchNormalization" for layer in spec.layers)
    return SavedStatistics("BatchNormalization", count, "BatchNormalization(momentum=0.9) and standardised inputs")


@provides(tier=Tier.PROBE)
def normalization_modes(network: Network, trial: Trial, spec: Spec, head: Head) -> NormalizationModes:
    """The judged rows through a copy without dropout whose normalisation uses other statistics than the saved ones."""
    if not any(layer.kind == "BatchNormalization" for layer in spec.layers):
        raise Missing("the model has no BatchNormalization")
    keras = import_keras(spec.backend, "auto")
    model = with_one_output(keras, network.reload(), head)
    model = EDITS["unregularised"](keras, model, head)
    order = np.random.default_rng(0).permutation(trial.judge.rows)
    by_batch = np.empty_like(trial.judge.outputs)
    for rows in batches(order):
        by_batch[rows] = _passed(keras, model, trial.judge, rows, training=True)
    measure_anew(keras, model, trial.fit)
    recalibrated = np.empty_like(trial.judge.outputs)
    for rows in batches(np.arange(trial.judge.rows)):
        recalibrated[rows] = _passed(keras, model, trial.judge, rows, training=False)
    bare = replace(trial.judge, logits=None, features=None, inputs=None)
    return NormalizationModes(trial.judge, replace(bare, outputs=by_batch), replace(bare, outputs=recalibrated))


def measure_anew(keras: Any, model: Any, served: Served) -> None:
    """Set the moving statistics of the model's BatchNormalization to those of the served rows, in place."""
    normalising = [layer for layer in _layers(model) if layer.__class__.__name__ == "BatchNormalization"]
    order = np.random.default_rng(0).permutation(served.rows)
    for place, rows in enumerate(batches(order)[:BATCHES]):
        for layer in normalising:
            # The moving statistics become the plain mean over these batches.
            layer.momentum = place / (place + 1)
        _passed(keras, model, served, rows, training=True)


def batches(order: np.ndarray) -> list[np.ndarray]:
    """Equal batches of about BATCH rows: a last one of a few rows would have statistics of its own."""
    return np.array_split(order, max(1, round(len(order) / BATCH)))


def _passed(keras: Any, model: Any, served: Served, rows: np.ndarray, *, training: bool) -> np.ndarray:
    inputs = as_model_input(model, served.inputs)
    batch = [array[rows] for array in inputs] if isinstance(inputs, list) else inputs[rows]
    return np.asarray(keras.ops.convert_to_numpy(model(batch, training=training)))


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if getattr(layer, "layers", None):
            yield from _layers(layer)
        else:
            yield layer
