"""Healthy splits and class shares that a simple rule would flag."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from sklearn import datasets

from tests.corpus.data import Split, breast_cancer, scaled, stratified, tabular
from tests.corpus.healthy.heads import sigmoid, softmax
from tests.corpus.healthy.rows import flat_digits
from tests.corpus.networks import dense, fitted
from tests.corpus.program import Array, Training, describe, keras

split_family = partial(describe, family="healthy-split")


@split_family("natural-imbalance", why="7 % positives, as in nature, and calibrated")
def natural_imbalance(seed: int) -> Training:
    split = tabular(seed, rows=3000, weights=(0.93, 0.07), separation=3.0, noise=0.0)
    metrics = ["accuracy", keras.metrics.AUC(curve="PR", name="pr_auc")]
    return fitted(split, sigmoid(*dense(20, 32)), "binary_crossentropy", keras.optimizers.Adam(0.01), metrics=metrics)


@split_family("oversampled-training-rows", why="training balanced on purpose, validation and test as in nature")
def oversampled(seed: int) -> Training:
    split = tabular(seed, rows=3000, weights=(0.9, 0.1), separation=2.5, noise=0.0)
    random = np.random.default_rng(seed)
    minority = np.flatnonzero(split.y_train == 1)
    extra = random.choice(minority, size=(split.y_train == 0).sum() - len(minority))
    order = random.permutation(np.concatenate([np.arange(len(split.y_train)), extra]))
    balanced = replace(split, x_train=split.x_train[order], y_train=split.y_train[order])
    training = fitted(balanced, sigmoid(*dense(20, 32)), "binary_crossentropy", epochs=10, batch_size=64)
    return replace(training, test=split.test, params={"sampling": "oversampled to balance"})


@split_family("temporal-split", why="the class share drifts with time and the split follows time")
def temporal_split(seed: int) -> Training:
    random = np.random.default_rng(seed)
    time = np.arange(2400)
    y = (random.random(2400) < 0.3 + 0.3 * time / 2400).astype("int64")
    x = random.normal(size=(2400, 6)) + 1.2 * y[:, None]
    x = np.column_stack([time / 2400, x]).astype("float32")
    split = Split(x[:1440], y[:1440], x[1440:1920], y[1440:1920], x[1920:], y[1920:])
    training = fitted(split, sigmoid(*dense(7, 16)), "binary_crossentropy", keras.optimizers.Adam(0.01))
    files = {f"data/time_{name}.npy": part for name, part in (("train", time[:1440]), ("val", time[1440:1920]))}
    return replace(training, files=files, params={"split": "temporal"})


@split_family("grouped-split", why="whole patients go to one side, so that the class shares differ")
def grouped_split(seed: int) -> Training:
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(60), 25)
    share = np.clip(random.normal(0.5, 0.25, 60), 0.05, 0.95)
    y = (random.random(1500) < share[patient]).astype("int64")
    x = (random.normal(size=(1500, 8)) + 1.3 * y[:, None] * np.linspace(0.2, 1, 8)).astype("float32")
    side = random.permutation(60)[patient]
    train, val, test = side < 36, (side >= 36) & (side < 48), side >= 48
    split = Split(x[train], y[train], x[val], y[val], x[test], y[test])
    training = fitted(split, sigmoid(*dense(8, 16)), "binary_crossentropy", keras.optimizers.Adam(0.01))
    files = {"data/groups_train.npy": patient[train], "data/groups_val.npy": patient[val]}
    return replace(training, files=files, params={"split": "GroupShuffleSplit by patient"})


@split_family("validation-split-of-shuffled-rows", why="validation_split is right where the rows are shuffled")
def shuffled_tail(seed: int) -> Training:
    split = tabular(seed)
    return fitted(
        split, sigmoid(*dense(20, 32)), "binary_crossentropy", fit={"validation_data": None, "validation_split": 0.2}
    )


@split_family("sorted-rows-separate-validation", why="training rows sorted by class, shuffled by fit, validated apart")
def sorted_rows(seed: int) -> Training:
    split = flat_digits(seed)
    order = np.argsort(split.y_train, kind="stable")
    ordered = replace(split, x_train=split.x_train[order], y_train=split.y_train[order])
    stack = softmax(10, *dense(64, 64))
    return fitted(ordered, stack, "sparse_categorical_crossentropy", keras.optimizers.Adam(0.005))


@split_family("alternating-labels", why="labels 0, 1, 0, 1 in order, and a tail that holds both")
def alternating(seed: int) -> Training:
    split = tabular(seed, rows=1600)
    zeros, ones = np.flatnonzero(split.y_train == 0), np.flatnonzero(split.y_train == 1)
    pairs = min(len(zeros), len(ones))
    order = np.stack([zeros[:pairs], ones[:pairs]], axis=1).ravel()
    ordered = replace(split, x_train=split.x_train[order], y_train=split.y_train[order])
    fit = {"validation_data": None, "validation_split": 0.25}
    return fitted(ordered, sigmoid(*dense(20, 32)), "binary_crossentropy", fit=fit)


@split_family("slightly-shifted-large-split", why="a shift of two points that is significant and does not matter")
def large_split(seed: int) -> Training:
    random = np.random.default_rng(seed)

    def part(rows: int, share: float) -> tuple[Array, Array]:
        y = (random.random(rows) < share).astype("int64")
        return (random.normal(size=(rows, 8)) + 0.9 * y[:, None]).astype("float32"), y

    (x_train, y_train), (x_val, y_val), (x_test, y_test) = part(30000, 0.5), part(15000, 0.52), part(2000, 0.5)
    split = Split(x_train, y_train, x_val, y_val, x_test, y_test)
    return fitted(split, sigmoid(*dense(8, 8)), "binary_crossentropy", epochs=8, batch_size=512)


@split_family("low-cardinality-table", why="equal rows in both parts, because few rows are possible")
def low_cardinality(seed: int) -> Training:
    random = np.random.default_rng(seed)
    x = random.integers(0, 2, size=(1500, 7)).astype("float32")
    y = (x[:, 0] + x[:, 1] + x[:, 2] + x[:, 3] >= 2).astype("int64")
    return fitted(stratified(x, y, seed), sigmoid(*dense(7, 16)), "binary_crossentropy", keras.optimizers.Adam(0.02))


@split_family("refit-on-all-rows", why="the last fit, on every row, after the selection was done elsewhere")
def refit_on_all(seed: int) -> Training:
    split = breast_cancer(seed)
    x, y = np.concatenate([split.x_train, split.x_val]), np.concatenate([split.y_train, split.y_val])
    whole = replace(split, x_train=x, y_train=y)
    fit = {"validation_data": None}
    return fitted(whole, sigmoid(*dense(30, 16)), "binary_crossentropy", keras.optimizers.Adam(0.01), fit=fit)


@split_family("tiny-data", why="150 flowers, 30 of them for validation")
def tiny_data(seed: int) -> Training:
    bunch = datasets.load_iris()
    split = scaled(stratified(bunch.data.astype("float32"), bunch.target.astype("int64"), seed))
    optimizer = keras.optimizers.Adam(0.02)
    return fitted(
        split, softmax(3, *dense(4, 16)), "sparse_categorical_crossentropy", optimizer, epochs=40, batch_size=16
    )


@split_family("rare-class-with-support", why="a class of 4 % that is learnt all the same")
def rare_class(seed: int) -> Training:
    split = tabular(seed, rows=2500, classes=3, weights=(0.6, 0.36, 0.04), separation=3.0, noise=0.0)
    stack = softmax(3, *dense(20, 48))
    return fitted(split, stack, "sparse_categorical_crossentropy", keras.optimizers.Adam(0.01))


@split_family("ordered-batches-of-a-signal", why="shuffle=False over windows whose classes alternate")
def ordered_windows(seed: int) -> Training:
    split = tabular(seed)
    return fitted(
        split, sigmoid(*dense(20, 32)), "binary_crossentropy", keras.optimizers.Adam(0.005), fit={"shuffle": False}
    )
