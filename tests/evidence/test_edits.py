"""What a counterfactual changes about a real network, and what it leaves as it is."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.edits import EDITS, begin, glorot, standardised
from mlflow_clfaudit.evidence.served import Trial
from mlflow_clfaudit.evidence.spec import Layer
from tests.kit import GOOD, TRUTH, make_head, make_served, make_spec

HEAD = make_head(units=3, activation="softmax", layer="head", name="head")
X = np.random.default_rng(0).normal(5.0, 3.0, (200, 4)).astype("float32")


def net(*layers: Any) -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3, "softmax", name="head")])


def dense(units: int, activation: str | None = "tanh", **options: Any) -> Any:
    return keras.layers.Dense(units, activation, **options)


def test_relu_takes_the_place_of_what_squashes_and_the_head_is_left() -> None:
    model = net(dense(5, "sigmoid"), dense(6, "tanh"), dense(7, "elu"))
    edited = EDITS["relu"](keras, model, HEAD)
    assert [layer.activation.__name__ for layer in edited.layers] == ["relu", "relu", "elu", "softmax"]
    assert edited.layers[0].kernel_initializer.__class__.__name__ == "HeUniform"
    assert [layer.activation.__name__ for layer in model.layers] == ["sigmoid", "tanh", "elu", "softmax"]
    with pytest.raises(Missing, match="no hidden sigmoid or tanh"):
        EDITS["relu"](keras, net(dense(5, "relu")), HEAD)


def adapted() -> Any:
    scale = keras.layers.Normalization()
    scale.adapt(X)
    return scale


@pytest.mark.parametrize("edit", ["relu", "wider", "unregularised"])
def test_an_adapted_normalization_scales_in_an_edited_copy_as_before(edit: str) -> None:
    scale = adapted()
    edited = EDITS[edit](keras, net(scale, dense(5, "sigmoid")), HEAD)
    assert np.allclose(edited.layers[0](X), scale(X), atol=1e-4)


def test_what_is_fixed_inside_a_nested_model_keeps_its_values() -> None:
    scale, frozen = adapted(), dense(3, trainable=False)
    edited = EDITS["relu"](keras, net(keras.Sequential([scale, frozen, dense(5, "sigmoid")])), HEAD)
    inside = edited.layers[0].layers
    assert np.allclose(inside[0](X), scale(X), atol=1e-4)
    assert np.array_equal(inside[1].get_weights()[0], frozen.get_weights()[0])
    assert inside[1].activation.__name__ == inside[2].activation.__name__ == "relu"


def test_the_narrowest_layers_are_widened_and_others_left() -> None:
    edited = EDITS["wider"](keras, net(dense(8), dense(2), dense(2)), HEAD)
    assert [layer.units for layer in edited.layers] == [8, 8, 8, 3]
    with pytest.raises(Missing, match="no hidden layer"):
        EDITS["wider"](keras, net(), HEAD)


def test_a_layer_narrower_than_a_quarter_of_the_head_is_as_wide_as_the_head() -> None:
    wide = make_head(units=30, activation="softmax", layer="head", name="head")
    edited = EDITS["wider"](keras, net(dense(2)), wide)
    assert edited.layers[0].units == 30


def test_dropout_and_penalties_go_and_the_weights_stay() -> None:
    model = net(dense(5, kernel_regularizer="l2"), keras.layers.Dropout(0.6), keras.layers.BatchNormalization())
    edited = EDITS["unregularised"](keras, model, HEAD)
    assert edited.layers[0].kernel_regularizer is None
    assert edited.layers[1].rate == 0.0
    assert edited.layers[2].momentum == model.layers[2].momentum
    for before, after in zip(model.get_weights(), edited.get_weights(), strict=True):
        assert np.array_equal(before, after)


def test_every_layer_can_be_trained_after_unfreezing() -> None:
    model = net(dense(5), dense(5))
    model.layers[0].trainable = False
    assert len(EDITS["unfrozen"](keras, model, HEAD).trainable_variables) == 6


def test_an_architecture_that_cannot_be_cloned_is_said_to_be_so() -> None:
    class Own(keras.Model):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            super().__init__()
            self.inside = dense(5, "sigmoid")

        def call(self, inputs: Any) -> Any:
            return self.inside(inputs)

    model = Own()
    model(X)
    with pytest.raises(Missing, match="cannot be edited so"):
        EDITS["relu"](keras, model, HEAD)


def test_begin_sets_what_is_trained_and_leaves_what_is_frozen() -> None:
    model = net(dense(5), keras.layers.BatchNormalization())
    model.layers[0].trainable = False
    before = [variable.numpy().copy() for variable in model.variables]
    begin(model, [value + 1.0 for value in before])
    # Kernel and bias are frozen; gamma, beta, both statistics and the head are not.
    moved = [not np.array_equal(old, new.numpy()) for old, new in zip(before, model.variables, strict=True)]
    assert moved == [False, False, True, True, True, True, True, True]


def test_glorot_draws_kernels_in_its_limits_and_the_same_for_a_seed() -> None:
    kernel, bias, filters = np.zeros((30, 20), "float32"), np.full(20, 7.0), np.zeros((3, 3, 4, 8), "float32")
    drawn = glorot([kernel, bias, filters], 0)
    assert drawn[0].dtype == np.float32
    assert 0.9 * np.sqrt(6 / 50) < np.abs(drawn[0]).max() <= np.sqrt(6 / 50)
    assert 0.9 * np.sqrt(6 / 108) < np.abs(drawn[2]).max() <= np.sqrt(6 / 108)
    assert drawn[1] is bias
    assert np.array_equal(drawn[0], glorot([kernel, bias, filters], 0)[0])


def test_inputs_are_standardised_by_the_training_rows() -> None:
    fit, judge = make_served(GOOD, TRUTH, inputs=X), make_served(GOOD, TRUTH, inputs=X + 1)
    scaled = standardised(Trial(fit, judge), make_spec())
    assert np.allclose(np.mean(scaled.fit.inputs, axis=0), 0, atol=1e-5)
    assert np.allclose(np.mean(scaled.judge.inputs, axis=0), 1 / X.std(axis=0), atol=1e-4)


def test_images_are_standardised_by_channel() -> None:
    images = np.random.default_rng(0).normal([10.0, 200.0], 3.0, (200, 4, 4, 2))
    rows = make_served(GOOD, TRUTH, inputs=images)
    scaled = np.asarray(standardised(Trial(rows, rows), make_spec()).fit.inputs)
    assert np.allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    assert scaled[..., 0].mean(axis=0).std() > 0


def test_what_is_looked_up_has_no_scale() -> None:
    spec = make_spec(
        layers=(
            Layer("words", "InputLayer", {}),
            Layer("size", "InputLayer", {}),
            Layer("embedding", "Embedding", {}, reads=("words",)),
        )
    )
    ids = np.arange(200)[:, None]
    rows = make_served(GOOD, TRUTH, inputs={"words": ids, "size": X})
    scaled = standardised(Trial(rows, rows), spec).fit.inputs
    assert scaled["words"] is ids
    assert np.allclose(scaled["size"].mean(axis=0), 0, atol=1e-5)
    alone = make_served(GOOD, TRUTH, inputs={"words": ids})
    with pytest.raises(Missing, match="ids, not quantities"):
        standardised(Trial(alone, alone), spec)
    with pytest.raises(Missing, match="not kept"):
        standardised(Trial(make_served(GOOD, TRUTH), rows), spec)
