"""The healthy programs that faults are planted in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sklearn import datasets

from tests.corpus.data import Split, breast_cancer, digits, stratified, tabular, wine
from tests.corpus.healthy.heads import each_above_half
from tests.corpus.healthy.rows import flat_digits, multi_label_split, signals, topics, two_input_split
from tests.corpus.mutations.recipe import Recipe
from tests.corpus.program import keras


def stack(*widths: int, columns: int) -> Callable[[Recipe], list[Any]]:
    """Dense layers on a table of so many columns."""
    return lambda recipe: [keras.Input((columns,)), *map(recipe.dense, widths)]


def images(recipe: Recipe) -> list[Any]:
    layers = keras.layers
    return [
        keras.Input((8, 8, 1)),
        layers.Conv2D(8, 3, padding="same", activation=recipe.hidden, **recipe.options),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 3, padding="same", activation=recipe.hidden, **recipe.options),
        layers.MaxPooling2D(),
        layers.Flatten(),
        recipe.dense(48),
    ]


def waves(recipe: Recipe, *, momentum: float = 0.9) -> list[Any]:
    layers = keras.layers
    return [
        keras.Input((24, 1)),
        layers.Conv1D(16, 5, **recipe.options),
        layers.BatchNormalization(momentum=momentum),
        layers.Activation(recipe.hidden),
        layers.GlobalMaxPooling1D(),
        recipe.dense(24),
    ]


def words(recipe: Recipe) -> list[Any]:
    layers = keras.layers
    return [
        keras.Input((20,), dtype="int32"),
        layers.Embedding(500, 12),
        layers.GlobalAveragePooling1D(),
        recipe.dense(16),
    ]


def recurrent(recipe: Recipe) -> list[Any]:
    return [keras.Input((24, 1)), keras.layers.GRU(16), recipe.dense(16)]


def two_inputs(recipe: Recipe, *, image_gain: float | None = None) -> tuple[Any, Any]:
    layers = keras.layers
    image, table = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="table")
    seen = layers.Conv2D(8, 3, activation=recipe.hidden, **recipe.options)(image)
    seen = recipe.dense(32)(layers.Flatten()(seen))
    if image_gain is not None:
        seen = layers.Rescaling(image_gain)(seen)
    return {"image": image, "table": table}, recipe.dense(32)(layers.Concatenate()([seen, table]))


def rings(seed: int) -> Split:
    """Two noisy circles, one inside the other."""
    x, y = datasets.make_circles(1000, noise=0.1, factor=0.5, random_state=seed)
    return stratified((2 * x).astype("float32"), y.astype("int64"), seed)


def overlapping_rings(seed: int) -> Split:
    """More rows of circles so noisy that they overlap."""
    x, y = datasets.make_circles(4000, noise=0.35, factor=0.5, random_state=seed)
    return stratified((2 * x).astype("float32"), y.astype("int64"), seed)


def overlapping_table(seed: int) -> Split:
    """More rows of a table whose classes overlap."""
    return tabular(seed, rows=6000, separation=0.4, noise=0.0)


TABLE = Recipe("table", partial(tabular, rows=1500, separation=1.6, noise=0.0), "binary", 2, stack(32, 16, columns=20))
CANCER = Recipe("cancer", breast_cancer, "binary", 2, stack(16, columns=30), learning_rate=0.01, epochs=20)
RINGS = Recipe("rings", rings, "binary", 2, stack(16, 16, columns=2), learning_rate=0.02, epochs=15)
CODED = Recipe(
    "",
    digits,
    "multiclass",
    10,
    images,
    units=10,
    activation="softmax",
    loss="sparse_categorical_crossentropy",
    batch_size=64,
)
DIGITS = replace(CODED, name="digits", epochs=14)
VECTORS = replace(CODED, name="vectors", rows=flat_digits, trunk=stack(64, 32, columns=64), epochs=15)
WINE = replace(CODED, name="wine", rows=wine, classes=3, units=3, trunk=stack(32, columns=13), epochs=25, batch_size=16)
SIGNAL = replace(CODED, name="signal", rows=signals, classes=3, units=3, trunk=waves, epochs=15, batch_size=32)
TEXT = replace(CODED, name="text", rows=topics, classes=3, units=3, trunk=words, learning_rate=0.01, epochs=10)
RECURRENT = replace(CODED, name="recurrent", rows=signals, classes=3, units=3, trunk=recurrent, learning_rate=0.02)
TWO_INPUTS = replace(CODED, name="two-inputs", rows=two_input_split, classes=3, units=3, trunk=two_inputs, epochs=8)
LABELS = Recipe(
    "labels",
    multi_label_split,
    "multilabel",
    4,
    stack(64, columns=20),
    units=4,
    metrics=lambda: [keras.metrics.BinaryAccuracy(name="binary_accuracy")],
    decide=each_above_half,
    epochs=15,
)
BASES = {
    recipe.name: recipe
    for recipe in (TABLE, CANCER, RINGS, DIGITS, VECTORS, WINE, SIGNAL, TEXT, RECURRENT, TWO_INPUTS, LABELS)
}
BINARY = ("table", "cancer", "rings")
