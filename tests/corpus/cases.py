"""The programs of real questions and research benchmarks, and the healthy controls beside them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn import datasets

from tests.corpus.data import (
    breast_cancer,
    digit_images,
    digits,
    one_hot,
    ordered_minority,
    sequences,
    squares,
    stratified,
    tabular,
    wine,
)
from tests.corpus.networks import compiled, dense, lenet
from tests.corpus.program import Array, Program, Scored, Training, describe, keras

case = partial(describe, family="cases")
control = partial(describe, family="controls")


@case("seed-000", truth=("under-trained",), allowed=("stopped-early", "no-validation-data", "bottleneck"))
def seed_000(seed: int) -> Training:
    """Two uniform squares, sigmoid(2)-softmax(2), Adam at 1e-3 for 50 epochs."""
    x, y = squares(seed)
    stack = [*dense(2, 2, hidden="sigmoid"), keras.layers.Dense(2, activation="softmax")]
    model = compiled(stack, "categorical_crossentropy", "adam")
    return Training(model, x, one_hot(y), {"epochs": 50, "batch_size": 32}, held_out=squares(seed + 100))


@case(
    "seed-002",
    truth=(
        "softmax-on-one-unit",
        "test-used-for-validation",
        "misconfigured-callback",
        "low-contrast-inputs",
    ),
    allowed=("batchnorm-gap", "unscaled-inputs", "learning-rate-exhausted"),
)
def seed_002(seed: int) -> Training:
    """Low-contrast sequences, batch normalisation, softmax on one unit, the test set as validation."""
    x, y = sequences(seed, rows=2400, positives=1512)
    test = sequences(seed + 100, rows=970, positives=608)
    layers = keras.layers
    model = compiled(
        [
            keras.Input((10, 4)),
            layers.Conv1D(16, 4, padding="same"),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Dropout(0.2),
            layers.Conv1D(8, 4, padding="same"),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(64),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Dense(1),
            layers.Activation("softmax"),
        ],
        "binary_crossentropy",
        "adam",
    )
    reduce = keras.callbacks.ReduceLROnPlateau(monitor="val_accuracy", factor=0.9, patience=30, min_lr=1e-6)
    fit = {"epochs": 40, "batch_size": 128, "validation_data": test, "callbacks": [reduce]}
    return Training(model, x, y, fit, test=test, held_out=test)


@case(
    "seed-003",
    truth=("logits-in-probability-loss",),
    allowed=("frozen-random-layers", "outputs-not-probabilities", "no-validation-data"),
)
def seed_003(seed: int) -> Training:
    """Digits 0 and 1, frozen random features, a linear unit under binary cross-entropy, full-batch Adam."""
    x, y = digit_images()
    kept = y < 2
    enlarged = np.kron(x[kept, :, :, 0], np.ones((2, 2))).reshape(kept.sum(), 256).astype("float32")
    split = stratified(enlarged, y[kept], seed)
    frozen = keras.layers.Dense(6000, activation="relu", trainable=False)
    head = keras.layers.Dense(1, activation="linear")
    model = compiled([keras.Input((256,)), frozen, head], "binary_crossentropy", "adam")
    fit = {"epochs": 150, "batch_size": len(split.x_train)}

    def scoring(model: Any) -> Scored:
        decided = model.predict(split.x_test, verbose=0)[:, 0] > 0.5
        return Scored({"test_accuracy": float(np.mean(decided == split.y_test))})

    return Training(model, split.x_train, split.y_train, fit, test=split.test, held_out=split.test, scoring=scoring)


@case(
    "seed-003-old-accuracy",
    truth=("rounded-unbounded-output", "logits-in-probability-loss"),
    allowed=("frozen-random-layers", "outputs-not-probabilities", "no-validation-data"),
)
def seed_003_old_accuracy(seed: int) -> Training:
    """The same, with the accuracy that Keras 2.3.1 and older computed: equality with the rounded output."""
    training = seed_003.build(seed)
    training.model.compile(loss="binary_crossentropy", optimizer="adam", metrics=[rounded_accuracy()])

    def finish(model: Any) -> None:
        model.compile(loss="binary_crossentropy", optimizer=model.optimizer, metrics=["accuracy"])

    def scoring(model: Any) -> Scored:
        x, y = training.test or training.held_out or (training.x, training.y)
        return Scored({"test_accuracy": float(np.mean(np.round(model.predict(x, verbose=0)[:, 0]) == y))})

    return replace(training, finish=finish, scoring=scoring)


def rounded_accuracy() -> object:
    """mean(y == round(p)), under the name "accuracy", as standalone Keras up to 2.3.1 had it."""

    def accuracy(y: object, p: object) -> object:
        ops = keras.ops
        # Without the reshape, labels (n,) and outputs (n, 1) are compared all against all.
        y = ops.reshape(ops.cast(y, "float32"), ops.shape(p))
        return ops.mean(ops.cast(ops.equal(y, ops.round(p)), "float32"), axis=-1)

    return accuracy


@case(
    "seed-004",
    truth=("under-trained", "tail-split-of-ordered-data", "single-class-validation", "class-imbalance"),
    allowed=("regression-loss", "class-missing-from-split", "class-shift", "threshold-off", "stopped-early"),
)
def seed_004(seed: int) -> Training:
    """Fifty positives first, then 767 negatives, one sigmoid unit, mse, SGD .01, the tail as validation."""
    x, y = ordered_minority(seed)
    model = compiled([keras.Input((5,)), keras.layers.Dense(1, activation="sigmoid")], "mse", "sgd")
    fit = {"epochs": 50, "batch_size": 10, "validation_split": 0.2}
    return Training(model, x, y, fit, held_out=ordered_minority(seed + 100))


@case(
    "SO-31880720",
    truth=("softmax-on-one-unit", "under-trained"),
    allowed=("rows-in-both-splits", "ordered-batches", "stopped-early"),
)
def so_31880720(seed: int) -> Training:
    """All ones against all zeros in 128 equal columns, softmax on one unit."""
    x, y = ones_and_zeros(1000)
    test = ones_and_zeros(100)
    layers = keras.layers
    model = compiled([*ones_network(), layers.Dense(1, activation="softmax")], "binary_crossentropy", "rmsprop")
    fit = {"epochs": 3, "batch_size": 32, "validation_data": test}
    return Training(model, x, y, fit, held_out=test)


def ones_and_zeros(rows: int) -> tuple[Array, Array]:
    """`rows` rows of ones (class 1), then as many of zeros (class 0), 128 columns."""
    y = np.repeat([1, 0], rows)
    return np.repeat(y[:, None], 128, axis=1).astype("float32"), y


def ones_network() -> list[object]:
    layers = keras.layers
    return [
        keras.Input((128,)),
        layers.Dense(50, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(50, activation="relu"),
        layers.Dropout(0.2),
    ]


@case(
    "SO-44066044",
    truth=("clipped-output", "unscaled-inputs"),
    allowed=("evaluation-too-small", "dead-units", "no-gradient", "no-validation-data", "under-trained"),
)
def so_44066044(seed: int) -> Training:
    """Twenty-one rows with columns up to 3.2e9 and a relu output under binary cross-entropy."""
    random = np.random.default_rng(seed)
    y = random.permutation(np.repeat([1, 0], [13, 8]))
    x = np.abs(random.normal(1, 0.3, (21, 8))) * np.array([3.2e9, 1e6, 1e3, 50, 10, 1, 1, 0.1]) * (1 + 0.5 * y[:, None])
    model = compiled([*dense(8, 12, 12), keras.layers.Dense(1, activation="relu")], "binary_crossentropy", "adam")
    return Training(model, x.astype("float32"), y, {"epochs": 40, "batch_size": 10}, held_out=(x.astype("float32"), y))


@case(
    "SO-47352366",
    truth=("clipped-output", "unscaled-inputs"),
    allowed=("dead-units", "under-trained", "no-gradient"),
)
def so_47352366(seed: int) -> Training:
    """Digits at 0 to 255 into a small convolutional net whose ten outputs are relu."""
    split = digits(seed)
    layers = keras.layers
    stack = [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="relu"),
    ]
    model = compiled(stack, "categorical_crossentropy", "adam")
    validation = (split.x_val * 255, one_hot(split.y_val))
    fit = {"epochs": 5, "batch_size": 32, "validation_data": validation}
    return Training(
        model, split.x_train * 255, one_hot(split.y_train), fit, held_out=(split.x_test * 255, split.y_test)
    )


@case("SO-50079585", truth=("multiclass-on-one-unit", "binary-labels-not-01"))
def so_50079585(seed: int) -> Training:
    """Digits 0, 1 and 2 on one sigmoid unit under binary cross-entropy."""
    x, y = digit_images()
    split = stratified(x[y < 3], y[y < 3], seed)
    model = compiled(lenet(keras.layers.Dense(1, activation="sigmoid")), "binary_crossentropy", "adam")
    fit = {"epochs": 25, "batch_size": 32, "validation_data": split.validation}
    return Training(model, split.x_train, split.y_train, fit, held_out=split.test)


@case(
    "SO-56103207",
    truth=("tail-split-of-ordered-data", "single-class-validation", "class-missing-from-split"),
    allowed=("class-shift",),
)
def so_56103207(seed: int) -> Training:
    """Digits 0 to 4 sorted by class, a fifth of them split off the tail as validation."""
    x, y = digit_images()
    split = stratified(x[y < 5], y[y < 5], seed, share=0.1)
    order = np.argsort(np.concatenate([split.y_train, split.y_val]), kind="stable")
    x_all = np.concatenate([split.x_train, split.x_val])[order]
    y_all = np.concatenate([split.y_train, split.y_val])[order]
    head = keras.layers.Dense(5, activation="softmax")
    model = compiled(lenet(head), "sparse_categorical_crossentropy", "adam")
    fit = {"epochs": 15, "batch_size": 32, "validation_split": 0.2}
    return Training(model, x_all, y_all, fit, held_out=split.test)


@case(
    "SO-48385830",
    truth=("learning-rate-too-high", "no-nonlinearity"),
    allowed=("regression-loss", "poor-initialisation", "logits-in-probability-loss"),
)
def so_48385830(seed: int) -> Training:
    """Digits through two linear layers started at N(0, 1), mean squared error, SGD at 3.0: NaN."""
    split = digits(seed)
    start = {"kernel_initializer": keras.initializers.RandomNormal(stddev=1.0, seed=seed)}
    layers = keras.layers
    stack = [keras.Input((64,)), layers.Dense(30, **start), layers.Dense(10, **start)]
    model = compiled(stack, "mse", keras.optimizers.SGD(3.0))
    flat = [part.reshape(len(part), 64) for part in (split.x_train, split.x_val, split.x_test)]
    fit = {"epochs": 10, "batch_size": 10, "validation_data": (flat[1], one_hot(split.y_val))}
    return Training(model, flat[0], one_hot(split.y_train), fit, held_out=(flat[2], split.y_test))


@case("TDC-base-low-lr", truth=("under-trained",), allowed=("stopped-early",))
def tdc_low_lr(seed: int) -> Training:
    """LeNet on the digits with SGD at .001 for 5 epochs."""
    split = digits(seed)
    head = keras.layers.Dense(10, activation="softmax")
    model = compiled(lenet(head), "sparse_categorical_crossentropy", keras.optimizers.SGD(0.001))
    fit = {"epochs": 5, "batch_size": 32, "validation_data": split.validation}
    return Training(model, split.x_train, split.y_train, fit, held_out=split.test)


@case("AT-demo-gradient-vanish", truth=("vanishing-gradient",), allowed=("bottleneck",))
def gradient_vanish(seed: int) -> Training:
    """Two circles through eight sigmoid layers of five units."""
    x, y = datasets.make_circles(1000, noise=0.05, factor=0.5, random_state=seed)
    split = stratified(x.astype("float32"), y, seed)
    stack = [*dense(2, *[5] * 8, hidden="sigmoid"), keras.layers.Dense(1, activation="sigmoid")]
    model = compiled(stack, "binary_crossentropy", keras.optimizers.Adam(0.001))
    fit = {"epochs": 40, "batch_size": 32, "validation_data": split.validation}
    return Training(model, split.x_train, split.y_train, fit, held_out=split.test)


@case(
    "SO-59325381",
    truth=("dirty-labels", "inputs-differ-between-splits"),
    allowed=("continuous-targets", "labels-out-of-range", "scored-in-wrong-label-space", "unscaled-inputs"),
)
def so_59325381(seed: int) -> Training:
    """Labels divided by 255 along with the training images; the validation images were left at 0 to 255."""
    split = digits(seed)
    head = keras.layers.Dense(10, activation="softmax")
    model = compiled(lenet(head), "sparse_categorical_crossentropy", "adam")
    fit = {"epochs": 5, "batch_size": 32, "validation_data": (split.x_val * 255, split.y_val)}
    return Training(model, split.x_train, split.y_train / 255, fit, held_out=split.test)


@case(
    "SO-31627380",
    truth=("unscaled-inputs",),
    allowed=("under-trained", "learning-rate-too-high", "dead-units", "scores-used-as-classes"),
)
def so_31627380(seed: int) -> Training:
    """A raw table of 891 passengers, with ids in the hundreds of thousands, into 512-softmax(2)."""
    random = np.random.default_rng(seed)
    y = random.permutation((np.arange(891) < 342).astype(int))
    scales = np.array([1, 1, 30, 1, 1, 3e5, 60, 150, 2, 900])
    x = random.normal(1, 0.6, (891, 10)) + np.outer(y - 0.5, [1.2, 1.5, 0.4, 0, 0.3, 0, 0.8, 0.5, 0, 0])
    split = stratified((x * scales).astype("float32"), y, seed)
    head = keras.layers.Dense(2, activation="softmax")
    model = compiled([*dense(10, 512), head], "categorical_crossentropy", "adam")
    fit = {"epochs": 12, "batch_size": 32, "validation_data": (split.x_val, one_hot(split.y_val))}
    return Training(model, split.x_train, one_hot(split.y_train), fit, held_out=split.test)


@case("TDC-base-unbalanced", truth=("class-imbalance",), allowed=("class-shift",))
def tdc_unbalanced(seed: int) -> Training:
    """Training digits thinned geometrically, .55 a class, against a balanced validation set."""
    split = digits(seed)
    kept = np.concatenate([np.flatnonzero(split.y_train == k)[: max(1, round(108 * 0.55**k))] for k in range(10)])
    kept = np.random.default_rng(seed).permutation(kept)
    head = keras.layers.Dense(10, activation="softmax")
    model = compiled(lenet(head), "sparse_categorical_crossentropy", keras.optimizers.SGD(0.1))
    fit = {"epochs": 40, "batch_size": 32, "validation_data": split.validation}
    return Training(model, split.x_train[kept], split.y_train[kept], fit, held_out=split.test)


@case("NL-wrong-loss-inputs", truth=("double-activation",), harmless=True)
def wrong_loss_inputs(seed: int) -> Training:
    """Softmax outputs under a loss for logits: TensorFlow takes the logits and trains as if right."""
    split = digits(seed)
    head = keras.layers.Dense(10, activation="softmax")
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model = compiled(lenet(head), loss, "adam")
    fit = {"epochs": 12, "batch_size": 32, "validation_data": (split.x_val, one_hot(split.y_val))}
    return Training(model, split.x_train, one_hot(split.y_train), fit, held_out=split.test)


@control("SO-31880720-fixed", why="constant columns, perfect accuracy")
def so_31880720_fixed(seed: int) -> Training:
    """The same ones and zeros on a sigmoid."""
    training = so_31880720.build(seed)
    head = keras.layers.Dense(1, activation="sigmoid")
    model = compiled([*ones_network(), head], "binary_crossentropy", "rmsprop")
    return Training(model, training.x, training.y, training.fit, held_out=training.held_out)


@control("SO-48385830-fixed", why="a learning rate of 3.0 that works")
def so_48385830_fixed(seed: int) -> Training:
    """Digits, mean-scaled, relu(30)-softmax(10), mean squared error, SGD at 3.0."""
    split = digits(seed)
    flat = [part.reshape(len(part), 64) for part in (split.x_train, split.x_val, split.x_test)]
    mean = flat[0].mean(axis=0)
    head = keras.layers.Dense(10, activation="softmax")
    model = compiled([*dense(64, 30), head], "mse", keras.optimizers.SGD(3.0))
    fit = {"epochs": 20, "batch_size": 10, "validation_data": (flat[1] - mean, one_hot(split.y_val))}
    return Training(model, flat[0] - mean, one_hot(split.y_train), fit, held_out=(flat[2] - mean, split.y_test))


@control("linear-head-from-logits", why="a linear head")
def linear_head(seed: int) -> Training:
    """Breast cancer on a logit, with a loss and a metric that know it."""
    split = breast_cancer(seed)
    model = compiled(
        [*dense(30, 16), keras.layers.Dense(1)],
        keras.losses.BinaryCrossentropy(from_logits=True),
        keras.optimizers.Adam(0.01),
        [keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    fit = {"epochs": 20, "batch_size": 32, "validation_data": split.validation}
    return Training(model, split.x_train, split.y_train, fit, held_out=split.test, decide=positive_logit)


def positive_logit(served: Array) -> Array:
    """Decide a column of logits, or of margins, at 0."""
    return (served[:, 0] > 0).astype(int)


@control("tanh-hinge", why="labels outside 0 and 1, no accuracy logged")
def tanh_hinge(seed: int) -> Training:
    """Breast cancer with labels -1 and +1 under the hinge loss."""
    split = breast_cancer(seed)
    model = compiled([*dense(30, 16), keras.layers.Dense(1, activation="tanh")], "hinge", "adam", metrics=())
    fit = {"epochs": 30, "batch_size": 16, "validation_data": (split.x_val, 2 * split.y_val - 1)}
    return Training(model, split.x_train, 2 * split.y_train - 1, fit, held_out=split.test, decide=positive_logit)


@control("weighted-imbalance", why="95 to 5, weighted, stratified")
def weighted_imbalance(seed: int) -> Training:
    """A 95:5 table with class weights 1 and 19."""
    split = tabular(seed, rows=2000, weights=(0.95, 0.05), separation=2.0)
    model = compiled([*dense(20, 16), keras.layers.Dense(1, activation="sigmoid")], "binary_crossentropy", "adam")
    fit = {
        "epochs": 30,
        "batch_size": 32,
        "validation_data": split.validation,
        "class_weight": {0: 1, 1: 19},
    }
    return Training(model, split.x_train, split.y_train, fit, held_out=split.test)


@control("wine-three-classes", why="3 classes, 178 rows, dropout")
def wine_three_classes(seed: int) -> Training:
    """Wine through 32 units, dropout .3 and softmax(3)."""
    split = wine(seed)
    layers = keras.layers
    stack = [*dense(13, 32), layers.Dropout(0.3), layers.Dense(3, activation="softmax")]
    model = compiled(stack, "sparse_categorical_crossentropy", keras.optimizers.Adam(0.01))
    fit = {"epochs": 30, "batch_size": 16, "validation_data": split.validation}
    return Training(model, split.x_train, split.y_train, fit, held_out=split.test)


@control("lenet-logits", why="a linear head, learning rate .1")
def lenet_logits(seed: int) -> Training:
    """LeNet on the digits with ten logits and SGD at .1."""
    split = digits(seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = compiled(lenet(keras.layers.Dense(10)), loss, keras.optimizers.SGD(0.1))
    fit = {"epochs": 15, "batch_size": 32, "validation_data": split.validation}
    return Training(model, split.x_train, split.y_train, fit, held_out=split.test)


@control("squares-two-units", why="learning rate .1, a bottleneck of two units, perfect accuracy")
def squares_two_units(seed: int) -> Training:
    """The two squares with sigmoid(2)-sigmoid(1) and Adam at .1."""
    x, y = squares(seed)
    split = stratified(x, y, seed)
    head = keras.layers.Dense(1, activation="sigmoid")
    model = compiled([*dense(2, 2, hidden="sigmoid"), head], "binary_crossentropy", keras.optimizers.Adam(0.1))
    fit = {"epochs": 15, "batch_size": 32, "validation_data": split.validation}
    return Training(model, split.x_train, split.y_train, fit, held_out=split.test)


PROGRAMS = tuple(value for value in list(globals().values()) if isinstance(value, Program))
