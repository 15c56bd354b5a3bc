"""Healthy programs that a simple rule would flag: each is right for the reason that its `why` gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.corpus.cases import positive_logit
from tests.corpus.data import (
    Split,
    breast_cancer,
    digit_images,
    digits,
    one_hot,
    scaled,
    stratified,
    tabular,
    wine,
)
from tests.corpus.networks import dense, fitted, lenet
from tests.corpus.program import Array, Program, Scored, Training, describe, keras


def sigmoid(*stack: Any) -> list[Any]:
    """A stack that ends in one sigmoid unit."""
    return [*stack, keras.layers.Dense(1, activation="sigmoid")]


def softmax(classes: int, *stack: Any) -> list[Any]:
    """A stack that ends in a softmax over the classes."""
    return [*stack, keras.layers.Dense(classes, activation="softmax")]


def signs(y: Array) -> Array:
    """Class codes 0 and 1 to the labels -1 and +1."""
    return (2 * y - 1).astype("float32")


loss_family = partial(describe, family="healthy-loss")
label_family = partial(describe, family="healthy-labels")
split_family = partial(describe, family="healthy-split")
decision_family = partial(describe, family="healthy-decision")
training_family = partial(describe, family="healthy-training")
other_family = partial(describe, family="healthy-other")


# Heads and losses.


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


def flat_digits(seed: int) -> Split:
    """The digits as 64 columns in 0..1."""
    split = digits(seed)
    flat = {name: getattr(split, name).reshape(-1, 64) for name in ("x_train", "x_val", "x_test")}
    return replace(split, **flat)


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


# Labels.


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


def multi_label_split(seed: int) -> Split:
    """Four labels that each depend on a plane through 20 columns, shape (n, 4)."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(1500, 20)).astype("float32")
    y = (x @ random.normal(size=(20, 4)) + 0.3 * random.normal(size=(1500, 4)) > 0.8).astype("float32")
    return Split(x[:900], y[:900], x[900:1200], y[900:1200], x[1200:], y[1200:].astype(int))


def each_above_half(served: Array) -> Array:
    """Decide every label of a row on its own."""
    return (served > 0.5).astype(int)


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


# Splits and class shares.


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


# Thresholds, metrics and what is logged beside the model.


@decision_family("auc-from-logits", why="metrics on logits that know it")
def auc_from_logits(seed: int) -> Training:
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metrics = [keras.metrics.AUC(from_logits=True, name="auc"), keras.metrics.Recall(thresholds=0.0, name="recall")]
    stack = [*dense(20, 32), keras.layers.Dense(1)]
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(tabular(seed), stack, loss, optimizer, metrics=metrics, decide=positive_logit)


@decision_family("threshold-chosen-on-validation", why="a threshold of its own, chosen where it should be")
def chosen_threshold(seed: int) -> Training:
    split = tabular(seed, rows=2000, weights=(0.85, 0.15), separation=2.0)
    training = fitted(split, sigmoid(*dense(20, 32)), "binary_crossentropy", keras.optimizers.Adam(0.005))

    def scoring(model: Any) -> Scored:
        grid = np.linspace(0.05, 0.95, 19)
        validation = model.predict(split.x_val, verbose=0)[:, 0]
        scores = [np.mean((validation > t) == split.y_val) for t in grid]
        threshold = float(grid[int(np.argmax(scores))])
        tested = model.predict(split.x_test, verbose=0)[:, 0] > threshold
        return Scored({"threshold": threshold, "test_accuracy": float(np.mean(tested == split.y_test))})

    return replace(training, test=split.test, scoring=scoring)


@decision_family("logged-probabilities", why="a table of probabilities, named so")
def logged_probabilities(seed: int) -> Training:
    split = wine(seed)
    stack = softmax(3, *dense(13, 32))
    optimizer = keras.optimizers.Adam(0.01)
    training = fitted(split, stack, "sparse_categorical_crossentropy", optimizer, batch_size=16)

    def scoring(model: Any) -> Scored:
        served = model.predict(split.x_test, verbose=0)
        table = {f"probability_{k}": served[:, k].tolist() for k in range(3)} | {"label": split.y_test.tolist()}
        accuracy = float(np.mean(served.argmax(axis=1) == split.y_test))
        return Scored({"test_accuracy": accuracy}, {"predictions/probabilities_test.csv": table})

    return replace(training, test=split.test, scoring=scoring)


@decision_family("score-of-the-negative-class", why="class weights of a cost that was stated")
def stated_cost(seed: int) -> Training:
    split = tabular(seed, rows=2000, weights=(0.8, 0.2), separation=2.0)
    fit = {"class_weight": {0: 1.0, 1: 2.0}}
    stack = sigmoid(*dense(20, 32))
    training = fitted(split, stack, "binary_crossentropy", keras.optimizers.Adam(0.005), fit=fit)
    return replace(training, params={"cost_of_a_miss": 2.0})


@decision_family("perfect-accuracy", why="two clusters far apart: 1.0 is right")
def perfect_accuracy(seed: int) -> Training:
    x, y = datasets.make_blobs(600, n_features=4, centers=2, cluster_std=0.6, random_state=seed)
    split = scaled(stratified(x.astype("float32"), y, seed))
    return fitted(split, sigmoid(*dense(4, 8)), "binary_crossentropy", keras.optimizers.Adam(0.02))


@decision_family("raw-labels-scored-right", why="raw labels 1 and 2, encoded for fit and decoded for the score")
def scored_right(seed: int) -> Training:
    split = tabular(seed)
    training = fitted(split, sigmoid(*dense(20, 32)), "binary_crossentropy")

    def scoring(model: Any) -> Scored:
        decoded = (model.predict(split.x_test, verbose=0)[:, 0] > 0.5).astype(int) + 1
        accuracy = float(np.mean(decoded == split.y_test + 1))
        return Scored({"test_accuracy": accuracy}, {"predictions/test.csv": {"predicted": decoded.tolist()}})

    return replace(training, test=split.test, scoring=scoring, files={"classes.json": [1, 2]})


# Optimisation, initialisation and the shape of the network.


@training_family("momentum-cosine-to-zero", why="a planned decay to a learning rate of 0")
def cosine_to_zero(seed: int) -> Training:
    schedule = keras.optimizers.schedules.CosineDecay(0.2, decay_steps=15 * 17)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    return fitted(
        flat_digits(seed),
        softmax(10, *dense(64, 48)),
        "sparse_categorical_crossentropy",
        optimizer,
        epochs=15,
        batch_size=64,
    )


@training_family("early-stopping-restored", why="the best epoch restored, long before the last")
def early_stopping(seed: int) -> Training:
    stopping = keras.callbacks.EarlyStopping(patience=6, restore_best_weights=True)
    stack = sigmoid(*dense(30, 64, 64))
    fit = {"callbacks": [stopping]}
    return fitted(breast_cancer(seed), stack, "binary_crossentropy", keras.optimizers.Adam(0.01), epochs=40, fit=fit)


@training_family("plateau-after-convergence", why="a learning rate cut to 1e-6, once all was learnt")
def plateau(seed: int) -> Training:
    cut = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=3, min_lr=1e-6)
    stack = softmax(3, *dense(13, 32))
    optimizer = keras.optimizers.Adam(0.02)
    fit = {"callbacks": [cut]}
    return fitted(wine(seed), stack, "sparse_categorical_crossentropy", optimizer, epochs=40, batch_size=16, fit=fit)


@training_family("cyclical-learning-rate", why="a loss that swings with the learning rate, by design")
def cyclical(seed: int) -> Training:
    cycle = keras.callbacks.LearningRateScheduler(lambda epoch: 0.02 if epoch % 4 == 0 else 0.002)
    stack = softmax(10, *dense(64, 48))
    fit = {"callbacks": [cycle]}
    return fitted(
        flat_digits(seed), stack, "sparse_categorical_crossentropy", keras.optimizers.Adam(0.02), batch_size=64, fit=fit
    )


@training_family("three-epochs", why="three epochs, because there are many rows")
def three_epochs(seed: int) -> Training:
    split = tabular(seed, rows=12000, separation=2.5, noise=0.0)
    return fitted(split, sigmoid(*dense(20, 32)), "binary_crossentropy", keras.optimizers.Adam(0.01), epochs=3)


@training_family("one-epoch-of-fine-tuning", why="a trained network, two more epochs at 1e-5: the loss hardly moves")
def fine_tuning(seed: int) -> Training:
    split = flat_digits(seed)
    model = keras.Sequential(softmax(10, *dense(64, 64)))
    model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(0.01))
    model.fit(split.x_train, split.y_train, epochs=15, batch_size=64, verbose=0)
    optimizer = keras.optimizers.Adam(1e-5)
    training = fitted(split, model, "sparse_categorical_crossentropy", optimizer, epochs=4)
    return replace(training, params={"initial_weights": "digits-v1"})


@training_family("transfer-frozen-trunk", why="a trunk trained on other classes and frozen")
def transfer(seed: int) -> Training:
    x, y = digit_images()
    x = x.reshape(-1, 64)
    trunk = keras.Sequential(dense(64, 96), name="pretrained_trunk")
    source = keras.Sequential([trunk, keras.layers.Dense(6, activation="softmax")])
    source.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(0.005))
    source.fit(x[y >= 4], y[y >= 4] - 4, epochs=12, batch_size=64, verbose=0)
    trunk.trainable = False
    model = keras.Sequential([keras.Input((64,)), trunk, keras.layers.Dense(4, activation="softmax")])
    split = stratified(x[y < 4], y[y < 4], seed)
    training = fitted(split, model, "sparse_categorical_crossentropy", keras.optimizers.Adam(0.01))
    return replace(training, params={"initial_weights": "trunk of digits 4-9"})


@training_family("random-features", why="frozen random features under a trained sigmoid, a known method")
def random_features(seed: int) -> Training:
    layers = keras.layers
    stack = sigmoid(keras.Input((20,)), layers.Dense(400, activation="relu", trainable=False))
    return fitted(tabular(seed, separation=2.0), stack, "binary_crossentropy", keras.optimizers.Adam(0.005))


@training_family("batchnorm-first", why="raw columns up to 4,000 into a batch normalisation")
def batchnorm_first(seed: int) -> Training:
    stack = sigmoid(
        keras.Input((30,)), keras.layers.BatchNormalization(momentum=0.9), keras.layers.Dense(16, activation="relu")
    )
    return fitted(
        breast_cancer(seed, scale=False), stack, "binary_crossentropy", keras.optimizers.Adam(0.01), epochs=30
    )


@training_family("normalization-layer", why="raw columns into an adapted Normalization layer")
def normalization_layer(seed: int) -> Training:
    split = wine(seed, scale=False)
    normalization = keras.layers.Normalization()
    normalization.adapt(split.x_train)
    stack = softmax(3, keras.Input((13,)), normalization, keras.layers.Dense(16, activation="relu"))
    return fitted(
        split, stack, "sparse_categorical_crossentropy", keras.optimizers.Adam(0.01), epochs=30, batch_size=16
    )


@training_family("rescaling-layer", why="images of 0 to 255 into a Rescaling layer")
def rescaling_layer(seed: int) -> Training:
    split = digits(seed)
    wide = {name: np.round(getattr(split, name) * 255) for name in ("x_train", "x_val", "x_test")}
    network = lenet(keras.layers.Dense(10, activation="softmax"))
    network.insert(1, keras.layers.Rescaling(1 / 255))
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(
        replace(split, **wide), network, "sparse_categorical_crossentropy", optimizer, epochs=10, batch_size=64
    )


@training_family("embedding-of-ids", why="ids up to 500: large inputs that are looked up")
def embedding_ids(seed: int) -> Training:
    split = topics(seed)
    layers = keras.layers
    stack = softmax(3, keras.Input((20,), dtype="int32"), layers.Embedding(500, 16), layers.GlobalAveragePooling1D())
    return fitted(split, stack, "sparse_categorical_crossentropy", keras.optimizers.Adam(0.02), epochs=12)


def topics(seed: int, *, rows: int = 1200, words: int = 20, vocabulary: int = 500) -> Split:
    """Sentences of word ids (n, 20) from three topics, each with 40 words of its own."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, rows)
    common = random.integers(120, vocabulary, size=(rows, words))
    own = random.integers(0, 40, size=(rows, words)) + 40 * y[:, None]
    x = np.where(random.random((rows, words)) < 0.2, own, common).astype("int32")
    return stratified(x, y, seed)


@training_family("deliberate-bottleneck", why="two units in the middle, to draw the three classes on paper")
def bottleneck(seed: int) -> Training:
    stack = softmax(3, *dense(13, 32, 2, hidden="tanh"))
    optimizer = keras.optimizers.Adam(0.01)
    return fitted(wine(seed), stack, "sparse_categorical_crossentropy", optimizer, epochs=40, batch_size=16)


@training_family("sparse-activations", why="hidden units that a penalty silences")
def sparse_activations(seed: int) -> Training:
    hidden = keras.layers.Dense(128, activation="relu", activity_regularizer=keras.regularizers.L1(1e-3))
    stack = softmax(10, keras.Input((64,)), hidden)
    optimizer = keras.optimizers.Adam(0.01)
    return fitted(flat_digits(seed), stack, "sparse_categorical_crossentropy", optimizer, batch_size=64)


@training_family("deep-sigmoids-with-batchnorm", why="five sigmoid layers that train, thanks to normalisation")
def deep_sigmoids(seed: int) -> Training:
    layers = keras.layers
    stack: list[Any] = [keras.Input((20,))]
    for _ in range(5):
        stack += [layers.Dense(24), layers.BatchNormalization(momentum=0.9), layers.Activation("sigmoid")]
    return fitted(tabular(seed), sigmoid(*stack), "binary_crossentropy", keras.optimizers.Adam(0.01))


@training_family("logistic-regression-in-keras", why="no hidden layer at all")
def logistic_in_keras(seed: int) -> Training:
    return fitted(breast_cancer(seed), sigmoid(keras.Input((30,))), "binary_crossentropy", keras.optimizers.Adam(0.05))


@training_family("low-rank-projection", why="two linear layers in a row: a projection to eight columns")
def low_rank(seed: int) -> Training:
    layers = keras.layers
    stack = softmax(10, keras.Input((64,)), layers.Dense(8), layers.Dense(64, activation="relu"))
    optimizer = keras.optimizers.Adam(0.01)
    return fitted(flat_digits(seed), stack, "sparse_categorical_crossentropy", optimizer, batch_size=64)


@training_family("linear-batchnorm-relu", why="linear layers whose non-linearity comes after the normalisation")
def linear_batchnorm_relu(seed: int) -> Training:
    layers = keras.layers
    stack = [keras.Input((20,)), layers.Dense(32), layers.BatchNormalization(momentum=0.9), layers.ReLU()]
    return fitted(tabular(seed), sigmoid(*stack), "binary_crossentropy", keras.optimizers.Adam(0.01))


@training_family("residual-projections", why="linear projections on the way past a block")
def residual(seed: int) -> Training:
    layers = keras.layers
    entry = keras.Input((20,))
    inside = layers.Dense(16)(layers.Dense(16, activation="relu")(entry))
    output = layers.Dense(1, activation="sigmoid")(layers.ReLU()(layers.Add()([inside, layers.Dense(16)(entry)])))
    return fitted(tabular(seed), keras.Model(entry, output), "binary_crossentropy", keras.optimizers.Adam(0.01))


@training_family("leaky-slopes", why="Dense layers without an activation of their own, LeakyReLU and PReLU after them")
def leaky(seed: int) -> Training:
    layers = keras.layers
    stack = [keras.Input((20,)), layers.Dense(32), layers.LeakyReLU(), layers.Dense(16), layers.PReLU()]
    return fitted(tabular(seed), sigmoid(*stack), "binary_crossentropy", keras.optimizers.Adam(0.01))


@training_family("heavy-dropout", why="dropout of .6: worse in training than in validation")
def heavy_dropout(seed: int) -> Training:
    stack = softmax(10, *dense(64, 128), keras.layers.Dropout(0.6))
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(flat_digits(seed), stack, "sparse_categorical_crossentropy", optimizer, batch_size=64)


@training_family("weight-decay-in-the-loss", why="a logged loss that is mostly penalty")
def weight_penalty(seed: int) -> Training:
    hidden = keras.layers.Dense(64, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01))
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(breast_cancer(seed), sigmoid(keras.Input((30,)), hidden), "binary_crossentropy", optimizer)


@training_family("noise-and-augmentation", why="augmentation inside the model, active in training only")
def augmentation(seed: int) -> Training:
    layers = keras.layers
    network = lenet(layers.Dense(10, activation="softmax"))
    network[1:1] = [layers.RandomTranslation(0.05, 0.05, seed=seed), layers.GaussianNoise(0.05, seed=seed)]
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(digits(seed), network, "sparse_categorical_crossentropy", optimizer, epochs=15, batch_size=64)


@training_family("zero-initialised-head", why="a last layer that starts at 0, on purpose")
def zero_head(seed: int) -> Training:
    head = keras.layers.Dense(10, activation="softmax", kernel_initializer="zeros")
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(
        flat_digits(seed), [*dense(64, 64), head], "sparse_categorical_crossentropy", optimizer, batch_size=64
    )


@training_family("checkerboard", why="no linear probe can see it, the network can")
def checkerboard(seed: int) -> Training:
    x = np.random.default_rng(seed).uniform(-1, 1, size=(2000, 2)).astype("float32")
    y = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype("int64")
    return fitted(stratified(x, y, seed), sigmoid(*dense(2, 32)), "binary_crossentropy", keras.optimizers.Adam(0.02))


@training_family("constant-columns", why="half of the columns never vary")
def constant_columns(seed: int) -> Training:
    split = tabular(seed)
    padded = {name: np.pad(getattr(split, name), ((0, 0), (0, 20))) for name in ("x_train", "x_val", "x_test")}
    return fitted(replace(split, **padded), sigmoid(*dense(40, 32)), "binary_crossentropy")


@training_family("plain-sgd-at-one", why="a learning rate of 1 on a linear model")
def sgd_at_one(seed: int) -> Training:
    stack = softmax(10, keras.Input((64,)))
    return fitted(flat_digits(seed), stack, "sparse_categorical_crossentropy", keras.optimizers.SGD(1.0))


@training_family("full-batch", why="one step an epoch, 150 epochs")
def full_batch(seed: int) -> Training:
    split = breast_cancer(seed)
    optimizer = keras.optimizers.Adam(0.05)
    stack = sigmoid(*dense(30, 8))
    return fitted(split, stack, "binary_crossentropy", optimizer, epochs=60, batch_size=len(split.x_train))


@training_family("saturated-tanh-units", why="two tanh units that answer -1 or +1 because the classes are far apart")
def saturated_tanh(seed: int) -> Training:
    x, y = datasets.make_blobs(800, n_features=2, centers=2, cluster_std=1.0, random_state=seed + 3)
    split = scaled(stratified(x.astype("float32"), y, seed))
    stack = sigmoid(*dense(2, 2, hidden="tanh"))
    return fitted(split, stack, "binary_crossentropy", keras.optimizers.Adam(0.1), epochs=25)


# Other libraries and other kinds of input.


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


def signals(seed: int, *, rows: int = 1000) -> Split:
    """Noisy waves (n, 24, 1) of three frequencies and any phase."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, rows)
    phase = random.uniform(0, 2 * np.pi, (rows, 1))
    wave = np.sin(np.arange(24)[None, :] * (0.3 + 0.35 * y[:, None]) + phase)
    x = wave + random.normal(0, 0.3, (rows, 24))
    return stratified(x[..., None].astype("float32"), y, seed)


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


def two_input_split(seed: int) -> Split:
    """Images of digits beside 3 columns; whether the digit is 5 or more, and a column's sign, make 3 classes."""
    split = digits(seed)
    random = np.random.default_rng(seed)

    def part(x: Array, y: Array) -> tuple[Any, Array]:
        table = random.normal(size=(len(y), 3)).astype("float32")
        return {"image": x, "table": table}, ((y >= 5).astype(int) + (table[:, 0] > 0)).astype("int64")

    (x_train, y_train), (x_val, y_val) = part(split.x_train, split.y_train), part(split.x_val, split.y_val)
    x_test, y_test = part(split.x_test, split.y_test)
    return Split(x_train, y_train, x_val, y_val, x_test, y_test)


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


@other_family("sklearn-logistic", why="a pipeline of scikit-learn, without curves")
def sklearn_logistic(seed: int) -> Training:
    return in_sklearn(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), breast_cancer(seed, scale=False)
    )


@other_family("sklearn-forest", why="trees on raw columns, perfect on their training rows")
def sklearn_forest(seed: int) -> Training:
    return in_sklearn(RandomForestClassifier(60, random_state=seed), wine(seed, scale=False))


@other_family("sklearn-boosting", why="boosted trees on a table of 95 to 5")
def sklearn_boosting(seed: int) -> Training:
    split = tabular(seed, rows=2000, weights=(0.95, 0.05), separation=3.0, noise=0.0)
    return in_sklearn(HistGradientBoostingClassifier(max_iter=60, random_state=seed), split)


@other_family("sklearn-network-stopped-early", why="fewer iterations than allowed, because it stopped by itself")
def sklearn_network(seed: int) -> Training:
    model = MLPClassifier((32,), learning_rate_init=0.01, early_stopping=True, max_iter=300, random_state=seed)
    return in_sklearn(model, flat_digits(seed))


def in_sklearn(model: Any, split: Split) -> Training:
    """A scikit-learn model, its validation and test rows logged beside it and the test accuracy scored."""

    def scoring(fitted_model: Any) -> Scored:
        return Scored({"test_accuracy": float(fitted_model.score(split.x_test, split.y_test))})

    files = {"data/X_val.npy": split.x_val, "data/y_val.npy": split.y_val}
    training = Training(model, split.x_train, split.y_train, test=split.test, held_out=split.test, scoring=scoring)
    decide = (lambda served: np.asarray(served).argmax(axis=1)) if hasattr(model, "predict_proba") else None
    return replace(training, files=files, decide=decide)


PROGRAMS: Sequence[Program] = tuple(value for value in list(globals().values()) if isinstance(value, Program))
