"""Healthy optimisation, initialisation and shapes of networks that a simple rule would flag."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn import datasets

from tests.corpus.data import breast_cancer, digit_images, digits, scaled, stratified, tabular, wine
from tests.corpus.healthy.heads import sigmoid, softmax
from tests.corpus.healthy.rows import flat_digits, topics
from tests.corpus.networks import dense, fitted, lenet
from tests.corpus.program import Training, describe, keras

training_family = partial(describe, family="healthy-training")


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
