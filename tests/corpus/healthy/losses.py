"""Healthy heads and losses that a simple rule would flag."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from tests.corpus.cases import positive_logit
from tests.corpus.data import breast_cancer, one_hot, stratified, tabular, wine
from tests.corpus.healthy.heads import sigmoid, signs, softmax
from tests.corpus.healthy.rows import flat_digits
from tests.corpus.networks import dense, fitted
from tests.corpus.program import Array, Training, describe, keras

loss_family = partial(describe, family="healthy-loss")


@loss_family("brier-sigmoid", why="squared error on a sigmoid is the Brier score")
def brier_sigmoid(seed: int) -> Training:
    return fitted(breast_cancer(seed), sigmoid(*dense(30, 16)), "mse", keras.optimizers.Adam(0.01))


@loss_family("brier-softmax", why="squared error on a softmax is the multiclass Brier score")
def brier_softmax(seed: int) -> Training:
    stack = softmax(3, *dense(13, 16))
    return fitted(
        wine(seed), stack, "mse", keras.optimizers.Adam(0.01), batch_size=16, encode=partial(one_hot, classes=3)
    )


@loss_family("hinge-linear-01", why="labels 0 and 1 under the hinge loss: Keras converts them")
def hinge_linear(seed: int) -> Training:
    stack = [*dense(30, 16), keras.layers.Dense(1)]
    return fitted(breast_cancer(seed), stack, "hinge", keras.optimizers.Adam(0.01), metrics=(), decide=positive_logit)


@loss_family("squared-hinge-tanh", why="labels -1 and +1 on a tanh")
def squared_hinge(seed: int) -> Training:
    stack = [*dense(20, 16), keras.layers.Dense(1, activation="tanh")]
    return fitted(tabular(seed), stack, "squared_hinge", metrics=(), encode=signs, decide=positive_logit)


@loss_family("categorical-hinge", why="a linear head with a margin loss")
def categorical_hinge(seed: int) -> Training:
    stack = [*dense(13, 32), keras.layers.Dense(3)]
    encode = partial(one_hot, classes=3)
    return fitted(wine(seed), stack, "categorical_hinge", keras.optimizers.Adam(0.01), batch_size=16, encode=encode)


@loss_family("label-smoothing", why="a loss that cannot fall below the entropy of its smoothed labels")
def label_smoothing(seed: int) -> Training:
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.2)
    stack = softmax(10, *dense(64, 64))
    return fitted(flat_digits(seed), stack, loss, keras.optimizers.Adam(0.005), encode=one_hot)


@loss_family("label-smoothing-binary", why="probabilities kept away from 0 and 1")
def label_smoothing_binary(seed: int) -> Training:
    loss = keras.losses.BinaryCrossentropy(label_smoothing=0.1)
    return fitted(breast_cancer(seed), sigmoid(*dense(30, 16)), loss, keras.optimizers.Adam(0.01))


@loss_family("binary-focal", why="the focal loss flattens the probabilities")
def binary_focal(seed: int) -> Training:
    loss = keras.losses.BinaryFocalCrossentropy(gamma=2.0)
    split = tabular(seed, weights=(0.8, 0.2), separation=2.0)
    return fitted(split, sigmoid(*dense(20, 32)), loss, keras.optimizers.Adam(0.01))


@loss_family("categorical-focal", why="the focal loss over ten classes")
def categorical_focal(seed: int) -> Training:
    loss = keras.losses.CategoricalFocalCrossentropy()
    stack = softmax(10, *dense(64, 64))
    return fitted(flat_digits(seed), stack, loss, keras.optimizers.Adam(0.005), encode=one_hot)


@loss_family("own-loss-applies-the-link", why="a linear head whose own loss applies the sigmoid")
def own_loss(seed: int) -> Training:
    def logistic_loss(y: Any, z: Any) -> Any:
        ops = keras.ops
        y = ops.reshape(ops.cast(y, z.dtype), ops.shape(z))
        return ops.mean(ops.softplus(z) - y * z, axis=-1)

    stack = [*dense(30, 16), keras.layers.Dense(1)]
    metrics = [keras.metrics.BinaryAccuracy(threshold=0.0)]
    optimizer = keras.optimizers.Adam(0.01)
    return fitted(breast_cancer(seed), stack, logistic_loss, optimizer, metrics=metrics, decide=positive_logit)


@loss_family("tanh-mse-signs", why="squared error on a tanh with labels -1 and +1")
def tanh_mse(seed: int) -> Training:
    stack = [*dense(30, 16), keras.layers.Dense(1, activation="tanh")]
    optimizer = keras.optimizers.Adam(0.01)
    return fitted(breast_cancer(seed), stack, "mse", optimizer, metrics=(), encode=signs, decide=positive_logit)


@loss_family("linear-probability-model", why="least squares on 0 and 1, decided at .5")
def linear_probability(seed: int) -> Training:
    stack = [keras.Input((30,)), keras.layers.Dense(1)]
    return fitted(breast_cancer(seed), stack, "mse", keras.optimizers.Adam(0.02), epochs=40)


@loss_family("ordinal-regression", why="five ordered grades on one linear unit, by design")
def ordinal_regression(seed: int) -> Training:
    random = np.random.default_rng(seed)
    x = random.normal(size=(1500, 8)).astype("float32")
    grade = x @ random.normal(size=8) + 0.15 * random.normal(size=1500)
    y = np.digitize(grade, np.quantile(grade, [0.2, 0.4, 0.6, 0.8])).astype("int64")

    def nearest_grade(served: Array) -> Array:
        return np.clip(np.round(served[:, 0]), 0, 4).astype(int)

    stack = [*dense(8, 32), keras.layers.Dense(1)]
    optimizer = keras.optimizers.Adam(0.01)
    return fitted(
        stratified(x, y, seed),
        stack,
        "mse",
        optimizer,
        metrics=["mae"],
        epochs=30,
        decide=nearest_grade,
        params={"target": "ordinal grade 0-4"},
    )


@loss_family(
    "softmax-two-binary-crossentropy", why="binary cross-entropy on a softmax of two: the decision is the same"
)
def softmax_two(seed: int) -> Training:
    stack = softmax(2, *dense(30, 16))
    optimizer = keras.optimizers.Adam(0.01)
    return fitted(breast_cancer(seed), stack, "binary_crossentropy", optimizer, encode=partial(one_hot, classes=2))


@loss_family("activation-layers", why="a linear Dense whose link is a layer of its own, after a rescaling")
def activation_layers(seed: int) -> Training:
    layers = keras.layers
    stack = [*dense(64, 64), layers.Dense(10), layers.Rescaling(0.5), layers.Softmax()]
    return fitted(flat_digits(seed), stack, "sparse_categorical_crossentropy", keras.optimizers.Adam(0.01))


@loss_family("distillation", why="soft targets of a teacher under the Kullback-Leibler divergence")
def distillation(seed: int) -> Training:
    split = flat_digits(seed)
    teacher = LogisticRegression(max_iter=2000, C=0.3).fit(split.x_train, split.y_train)
    soft = teacher.predict_proba(split.x_train).astype("float32")
    training = fitted(split, softmax(10, *dense(64, 48)), "kl_divergence", keras.optimizers.Adam(0.01), encode=one_hot)
    return replace(training, y=soft)


@loss_family("attention-over-one-key", why="a softmax over one value, inside the network")
def attention_one_key(seed: int) -> Training:
    layers = keras.layers
    entry = keras.Input((20,))
    hidden = layers.Dense(32, activation="relu")(entry)
    gate = layers.Dense(1, activation="softmax", name="attention")(hidden)
    output = layers.Dense(1, activation="sigmoid")(layers.Multiply()([hidden, gate]))
    model = keras.Model(entry, output)
    return fitted(tabular(seed), model, "binary_crossentropy", keras.optimizers.Adam(0.005))


@loss_family("spare-output-units", why="twelve units for ten classes: two are reserved")
def spare_units(seed: int) -> Training:
    stack = softmax(12, *dense(64, 64))
    files = {"classes.json": [*"0123456789", "reserved-1", "reserved-2"]}
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(flat_digits(seed), stack, "sparse_categorical_crossentropy", optimizer, files=files)
