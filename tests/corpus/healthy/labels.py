"""Healthy labels that a simple rule would flag."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from tests.corpus.data import breast_cancer, one_hot, stratified, tabular, wine
from tests.corpus.healthy.heads import each_above_half, sigmoid, softmax
from tests.corpus.healthy.rows import flat_digits, multi_label_split
from tests.corpus.networks import dense, fitted
from tests.corpus.program import Training, describe, keras

label_family = partial(describe, family="healthy-labels")


@label_family("mixup", why="rows of soft labels that sum to 1")
def mixup(seed: int) -> Training:
    split = flat_digits(seed)
    random = np.random.default_rng(seed)
    share = random.beta(0.3, 0.3, size=(len(split.x_train), 1)).astype("float32")
    other = random.permutation(len(split.x_train))
    labels = one_hot(split.y_train)
    mixed = replace(split, x_train=share * split.x_train + (1 - share) * split.x_train[other])
    stack = softmax(10, *dense(64, 64))
    training = fitted(mixed, stack, "categorical_crossentropy", keras.optimizers.Adam(0.005), encode=one_hot)
    return replace(training, y=share * labels + (1 - share) * labels[other])


@label_family("multi-label", why="rows whose labels sum to 0, 2 or 3")
def multi_label(seed: int) -> Training:
    split = multi_label_split(seed)
    stack = [*dense(20, 64), keras.layers.Dense(4, activation="sigmoid")]
    metrics = [keras.metrics.BinaryAccuracy(name="binary_accuracy")]
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(split, stack, "binary_crossentropy", optimizer, metrics=metrics, decide=each_above_half)


@label_family("labels-as-a-column", why="labels of shape (n, 1)")
def label_column(seed: int) -> Training:
    stack = sigmoid(*dense(20, 32))
    return fitted(tabular(seed), stack, "binary_crossentropy", encode=lambda y: y[:, None].astype("float32"))


@label_family("boolean-labels", why="labels of type bool")
def boolean_labels(seed: int) -> Training:
    return fitted(tabular(seed), sigmoid(*dense(20, 32)), "binary_crossentropy", encode=lambda y: y.astype(bool))


@label_family("reserved-unknown-class", why="labels from 1 to 3 on four units: 0 is the vocabulary's unknown")
def reserved_unknown(seed: int) -> Training:
    files = {"classes.json": ["[UNK]", "class_0", "class_1", "class_2"]}
    return fitted(
        wine(seed),
        softmax(4, *dense(13, 32)),
        "sparse_categorical_crossentropy",
        keras.optimizers.Adam(0.01),
        batch_size=16,
        encode=lambda y: y + 1,
        decide=lambda served: served.argmax(axis=1) - 1,
        files=files,
    )


@label_family("label-noise-at-its-ceiling", why="a third of the labels is noise: .83 is all there is")
def label_noise(seed: int) -> Training:
    split = tabular(seed, rows=2000, separation=2.5, noise=0.35)
    stopping = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    fit = {"callbacks": [stopping]}
    return fitted(split, sigmoid(*dense(20, 16)), "binary_crossentropy", keras.optimizers.Adam(0.01), fit=fit)


@label_family("weak-signal", why="an honest .65: no model does better on these columns")
def weak_signal(seed: int) -> Training:
    random = np.random.default_rng(seed)
    x = random.normal(size=(3000, 10)).astype("float32")
    y = (random.random(3000) < 1 / (1 + np.exp(-0.9 * x[:, 0] + 0.5 * x[:, 1]))).astype("int64")
    stopping = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    stack = sigmoid(keras.Input((10,)))
    optimizer = keras.optimizers.Adam(0.02)
    return fitted(stratified(x, y, seed), stack, "binary_crossentropy", optimizer, fit={"callbacks": [stopping]})


@label_family("repeated-rows-that-disagree", why="few distinct rows, measured again and again with random outcomes")
def repeated_rows(seed: int) -> Training:
    random = np.random.default_rng(seed)
    x = random.integers(0, 2, size=(2000, 6)).astype("float32")
    chance = 1 / (1 + np.exp(-(x @ np.array([2.0, -2.0, 1.5, 1.0, -1.0, 0.5]) - 0.5)))
    y = (random.random(2000) < chance).astype("int64")
    return fitted(stratified(x, y, seed), sigmoid(*dense(6, 16)), "binary_crossentropy", keras.optimizers.Adam(0.02))


@label_family("ignored-class", why="rows labelled -1 that the loss is told to ignore")
def ignored_class(seed: int) -> Training:
    split = flat_digits(seed)
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    training = fitted(split, softmax(10, *dense(64, 64)), loss, keras.optimizers.Adam(0.005), metrics=())
    unlabelled = np.random.default_rng(seed).random(len(split.y_train)) < 0.3
    return replace(training, y=np.where(unlabelled, -1, split.y_train))


@label_family("named-classes", why="class names as text beside the codes")
def named_classes(seed: int) -> Training:
    split = breast_cancer(seed)
    files = {"classes.json": ["malignant", "benign"]}
    return fitted(split, sigmoid(*dense(30, 16)), "binary_crossentropy", keras.optimizers.Adam(0.01), files=files)
