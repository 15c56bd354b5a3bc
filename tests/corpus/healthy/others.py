"""Healthy programs of other kinds of network and input."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from tests.corpus.data import tabular
from tests.corpus.healthy.heads import sigmoid, softmax
from tests.corpus.healthy.rows import signals, topics, two_input_split
from tests.corpus.networks import dense, fitted
from tests.corpus.program import Array, Training, describe, keras

other_family = partial(describe, family="healthy-other")


@other_family("sample-weights", why="rows weighted one by one")
def sample_weights(seed: int) -> Training:
    split = tabular(seed)
    weight = np.random.default_rng(seed).uniform(0.5, 1.5, len(split.y_train)).astype("float32")
    return fitted(split, sigmoid(*dense(20, 32)), "binary_crossentropy", fit={"sample_weight": weight})


@other_family("recurrent", why="a recurrent network with gradients that shrink over time")
def recurrent(seed: int) -> Training:
    split = signals(seed)
    stack = softmax(3, keras.Input((24, 1)), keras.layers.GRU(16))
    return fitted(
        split, stack, "sparse_categorical_crossentropy", keras.optimizers.Adam(0.02), epochs=15, batch_size=64
    )


@other_family("two-inputs", why="a table and an image into one network")
def two_inputs(seed: int) -> Training:
    split = two_input_split(seed)
    layers = keras.layers
    image, table = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="table")
    seen = layers.Dense(32, activation="relu")(layers.Flatten()(layers.Conv2D(8, 3, activation="relu")(image)))
    joined = layers.Dense(32, activation="relu")(layers.Concatenate()([seen, table]))
    model = keras.Model({"image": image, "table": table}, layers.Dense(3, activation="softmax")(joined))
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(split, model, "sparse_categorical_crossentropy", optimizer, epochs=8, batch_size=64)


@other_family("masked-text", why="rows padded with zeros, masked by the embedding")
def masked_text(seed: int) -> Training:
    split = topics(seed)
    random = np.random.default_rng(seed)

    def padded(x: Array) -> Array:
        length = random.integers(10, 21, size=(len(x), 1))
        return np.where(np.arange(20) < length, x + 1, 0).astype("int32")

    split = replace(split, x_train=padded(split.x_train), x_val=padded(split.x_val), x_test=padded(split.x_test))
    layers = keras.layers
    stack = [
        keras.Input((20,), dtype="int32"),
        layers.Embedding(501, 16, mask_zero=True),
        layers.GlobalAveragePooling1D(),
    ]
    return fitted(split, softmax(3, *stack), "sparse_categorical_crossentropy", keras.optimizers.Adam(0.02), epochs=12)
