"""The compiled loss of the rows is what Keras's own evaluate() says, however many batches they take."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from mlflow_clfaudit.evidence import compiled as module
from mlflow_clfaudit.evidence.compiled import Compiled

ROWS = 500
random = np.random.default_rng(0)
X = random.normal(size=(ROWS, 4))
Y = (X[:, 0] > 0).astype("int64")


def net(inputs: Any, loss: str, units: int) -> Any:
    keras.utils.set_random_seed(0)
    joined = keras.layers.Concatenate()(inputs) if isinstance(inputs, list) else inputs
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(3, "relu", kernel_regularizer="l2")(joined))
    model = keras.Model(inputs, keras.layers.Dense(units, "softmax" if units > 1 else "sigmoid")(hidden))
    model.compile("adam", loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("batch", [ROWS, 64], ids=["one batch", "eight batches"])
@pytest.mark.parametrize(
    ("loss", "units", "labels"),
    [
        ("binary_crossentropy", 1, Y),
        ("binary_crossentropy", 1, Y[:, None].astype(bool)),
        ("sparse_categorical_crossentropy", 2, Y),
        ("categorical_crossentropy", 2, np.eye(2)[Y]),
        ("mse", 1, Y.astype("float64")),
    ],
    ids=["a column", "booleans", "class indices", "one-hot", "numbers"],
)
def test_the_loss_and_metrics_are_those_of_evaluate(
    loss: str, units: int, labels: np.ndarray, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "batch_size", lambda _: batch)
    found = Compiled(net(keras.Input((4,)), loss, units), "CPU").evaluate(X, labels)
    numbers = labels.astype("float32") if labels.dtype == bool else labels
    known = net(keras.Input((4,)), loss, units).evaluate(X, numbers, batch_size=batch, verbose=0, return_dict=True)
    assert found == pytest.approx(known, rel=1e-5)
    assert set(found) == {"loss", "accuracy"}


def test_a_net_of_two_inputs_is_given_both() -> None:
    parts = {"left": X[:, :1], "right": X[:, 1:]}
    inputs = [keras.Input((1,), name="left"), keras.Input((3,), name="right")]
    found = Compiled(net(inputs, "binary_crossentropy", 1), "CPU").evaluate(parts, Y)
    known = net(inputs, "binary_crossentropy", 1).evaluate(list(parts.values()), Y, verbose=0, return_dict=True)
    assert found == pytest.approx(known, rel=1e-5)
