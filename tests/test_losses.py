"""Losses by formula are Keras's own, and rows without a gradient are those that its cross-entropies clip."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from mlflow_clfaudit.evidence.spec import Loss
from mlflow_clfaudit.losses import (
    binary_crossentropy,
    binary_crossentropy_of_logits,
    entropy,
    lowest,
    unlike,
    without_gradient,
)

random = np.random.default_rng(0)
TARGETS = random.integers(0, 2, (40, 1)).astype("float32")
OUTPUTS = random.uniform(0.05, 0.95, (40, 1)).astype("float32")


def of_keras(name: str, targets: np.ndarray, outputs: np.ndarray, **options: Any) -> float:
    return float(np.mean(keras.losses.get({"class_name": name, "config": options})(targets, outputs)))


@pytest.mark.parametrize(
    ("name", "keras_name", "options"),
    [
        ("mean_squared_error", "MeanSquaredError", {}),
        ("mean_absolute_error", "MeanAbsoluteError", {}),
        ("huber", "Huber", {}),
        ("huber", "Huber", {"delta": 0.3}),
        ("log_cosh", "LogCosh", {}),
        ("hinge", "Hinge", {}),
        ("squared_hinge", "SquaredHinge", {}),
        ("poisson", "Poisson", {}),
    ],
)
def test_losses_that_broadcast_are_those_of_keras(name: str, keras_name: str, options: dict[str, float]) -> None:
    found = unlike(Loss(name, options=options), TARGETS, OUTPUTS)
    assert found == pytest.approx(of_keras(keras_name, TARGETS, OUTPUTS, **options), rel=1e-4)


def test_hinges_take_labels_of_minus_one_as_they_are() -> None:
    signed = 2 * TARGETS - 1
    assert unlike(Loss("hinge"), signed, OUTPUTS) == unlike(Loss("hinge"), TARGETS, OUTPUTS)


def test_rows_beside_a_column_are_broadcast_to_all_pairs() -> None:
    rows, column = TARGETS[:, 0], OUTPUTS
    pairs = np.mean((column - rows[None, :]) ** 2)
    assert unlike(Loss("mean_squared_error"), rows, column) == pytest.approx(float(pairs), rel=1e-5)


def test_nothing_is_claimed_of_other_losses() -> None:
    assert unlike(Loss("binary_crossentropy"), TARGETS, OUTPUTS) is None
    assert unlike(Loss("mean_squared_error", known=False), TARGETS, OUTPUTS) is None


def test_binary_cross_entropies_are_those_of_keras() -> None:
    sure = np.array([[0.0], [1.0], [1.0], [0.3]], dtype="float32")
    targets = np.array([[1.0], [1.0], [0.0], [2.0]], dtype="float32")
    assert binary_crossentropy(targets, sure) == pytest.approx(of_keras("BinaryCrossentropy", targets, sure), rel=1e-4)
    logits = np.array([[-90.0], [90.0], [3.0], [0.3]], dtype="float32")
    assert binary_crossentropy_of_logits(targets, logits) == pytest.approx(
        of_keras("BinaryCrossentropy", targets, logits, from_logits=True), rel=1e-4
    )


def test_a_column_has_no_gradient_at_its_ends() -> None:
    dead, wrong = without_gradient(
        Loss("binary_crossentropy"), np.array([[0.0], [1.0], [0.5], [1.0]]), np.array([1, 1, 1, 0])
    )
    assert dead.tolist() == [True, True, False, True]
    assert wrong.tolist() == [True, False, False, True]


def test_columns_of_a_binary_loss_are_dead_where_all_are() -> None:
    outputs = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.7]])
    dead, wrong = without_gradient(Loss("binary_crossentropy"), outputs, np.array([1, 1, 0]))
    assert dead.tolist() == [True, True, False]
    assert wrong.tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_a_row_of_a_categorical_loss_is_lost_where_its_own_class_is_clipped(name: str) -> None:
    outputs = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    dead, wrong = without_gradient(Loss(name), outputs, np.array([1, 2, 0]))
    assert dead.tolist() == [True, True, False]
    assert wrong.tolist() == [False, True, False]


def test_the_best_constant_and_the_lowest_value() -> None:
    assert entropy(np.array([0.5, 0.5, 0.0])) == pytest.approx(np.log(2))
    assert lowest(None, np.array([np.nan, 0.4]), np.array([0.3, np.inf])) == 0.3
    assert lowest(None, np.array([np.nan])) is None
