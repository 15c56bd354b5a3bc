"""Faults of the head, its activation and the loss."""

from __future__ import annotations

import numpy as np

from tests.corpus.mutations.bases import BINARY
from tests.corpus.mutations.changes import as_one_hot, indicators, inputs, plant, setting
from tests.corpus.program import keras

MODEL_FAULTS = (
    plant("softmax-on-one-unit", BINARY, setting(activation="softmax")),
    plant(
        "softmax-on-one-unit(shortcut-lost)",
        ("table", "cancer"),
        setting(activation="softmax", after_head=lambda: [keras.layers.Reshape((1,))]),
    ),
    plant("logits-in-probability-loss", BINARY, setting(activation=None)),
    plant(
        "logits-in-probability-loss(inputs-x16)",
        ("table", "cancer"),
        setting(activation=None),
        inputs(lambda x: 16 * x),
        truth=("logits-in-probability-loss", "unscaled-inputs"),
    ),
    plant("logits-in-probability-loss(classes)", ("vectors", "wine", "text"), as_one_hot, setting(activation=None)),
    plant("clipped-output(relu)", ("table", "cancer"), setting(activation="relu")),
    plant("clipped-output(tanh)", ("table", "rings"), setting(activation="tanh")),
    plant("clipped-output(relu-classes)", ("digits", "wine"), as_one_hot, setting(activation="relu")),
    plant(
        "double-activation(direct)",
        ("vectors", "wine"),
        setting(loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ),
    plant(
        "double-activation(behind-a-layer)",
        ("digits", "wine", "text"),
        setting(
            loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            after_head=lambda: [keras.layers.Rescaling(1.0)],
        ),
    ),
    plant("sigmoid-multiclass", ("digits", "wine", "signal"), setting(activation="sigmoid")),
    plant(
        "softmax-with-binary-crossentropy",
        ("vectors", "text"),
        as_one_hot,
        setting(loss="binary_crossentropy"),
    ),
    plant("softmax-multilabel", ("labels",), setting(activation="softmax", loss="categorical_crossentropy")),
    plant(
        "categorical-loss-on-one-unit",
        ("table", "rings"),
        setting(loss="categorical_crossentropy", encode=lambda y: y[:, None].astype("float32")),
    ),
    plant(
        "broadcast-loss(codes)", ("vectors", "wine"), setting(loss="mse", encode=lambda y: y[:, None].astype("float32"))
    ),
    plant("broadcast-loss(one-hot)", ("table", "cancer"), setting(loss="mse", encode=indicators(2), metrics=tuple)),
    plant(
        "regression-loss(classes-as-numbers)",
        ("vectors", "wine"),
        setting(
            units=1,
            activation=None,
            loss="mse",
            metrics=lambda: ["mae"],
            decide=lambda served: np.round(served[:, 0]).astype(int),
        ),
    ),
    plant("regression-loss(percentage)", ("table", "cancer"), setting(loss="mean_absolute_percentage_error")),
    plant("hinge-mismatch", ("table", "cancer"), setting(loss="hinge")),
    plant("no-nonlinearity", ("rings", "table"), setting(hidden="linear")),
    plant(
        "softmax-on-wrong-axis",
        ("vectors", "wine"),
        setting(activation=None, after_head=lambda: [keras.layers.Softmax(axis=0)]),
        allowed=("outputs-not-probabilities", "served-loss-gap"),
    ),
    plant("output-width-mismatch(spare)", ("wine", "text"), setting(units=6)),
)
