"""Healthy base programs, and one fault at a time, or two, planted in them at graded strengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.neural_network import MLPClassifier

from tests.corpus.data import Split, breast_cancer, digits, one_hot, stratified, tabular, wine
from tests.corpus.healthy import (
    each_above_half,
    flat_digits,
    in_sklearn,
    multi_label_split,
    signals,
    topics,
    two_input_split,
)
from tests.corpus.program import Array, Program, Scored, Training, keras

Kind = Literal["binary", "multiclass", "multilabel"]


@dataclass(frozen=True)
class Recipe:
    """A healthy program in its parts. A fault replaces one of them.

    `trunk` gives the hidden layers, or an input and a tensor for a functional model. `options` are passed to
    every hidden Dense and Conv layer. `encode` turns class codes into the labels for fit. `fit` are further
    arguments of fit and win over the defaults, None removing one; `files` and `scoring` see the rows.
    """

    name: str
    rows: Callable[[int], Split]
    kind: Kind
    classes: int
    trunk: Callable[[Recipe], Any]
    hidden: str = "relu"
    options: Mapping[str, Any] = field(default_factory=dict)
    units: int = 1
    activation: str | None = "sigmoid"
    after_head: Callable[[], Sequence[Any]] = tuple
    loss: str | Callable[[], Any] = "binary_crossentropy"
    optimizer: Callable[[float], Any] = field(default=lambda rate: keras.optimizers.Adam(learning_rate=rate))
    learning_rate: float = 0.005
    epochs: int = 12
    batch_size: int = 32
    metrics: Callable[[], Sequence[Any]] = lambda: ["accuracy"]
    encode: Callable[[Array], Array] = lambda y: y
    encode_validation: Callable[[Array], Array] | None = None
    decide: Callable[[Array], Array] | None = None
    fit: Callable[[Split], Mapping[str, Any]] = lambda _: {}
    compile: Mapping[str, Any] = field(default_factory=dict)
    test: bool = False
    files: Callable[[Split], Mapping[str, Any]] = lambda _: {}
    scoring: Callable[[Any, Split], Scored] | None = None
    finish: Callable[[Any], None] | None = None

    def dense(self, width: int) -> Any:
        """A hidden Dense layer."""
        return keras.layers.Dense(width, activation=self.hidden, **self.options)


def build(recipe: Recipe, seed: int) -> Training:
    """The training that a recipe describes."""
    split = recipe.rows(seed)
    head = [keras.layers.Dense(recipe.units, activation=recipe.activation), *recipe.after_head()]
    trunk = recipe.trunk(recipe)
    if isinstance(trunk, list):
        model = keras.Sequential([*trunk, *head])
    else:
        entry, features = trunk
        for layer in head:
            features = layer(features)
        model = keras.Model(entry, features)
    model.compile(
        loss=recipe.loss if isinstance(recipe.loss, str) else recipe.loss(),
        optimizer=recipe.optimizer(recipe.learning_rate),
        metrics=list(recipe.metrics()),
        **recipe.compile,
    )
    encode_validation = recipe.encode_validation or recipe.encode
    arguments = {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "validation_data": (split.x_val, encode_validation(split.y_val)),
        **recipe.fit(split),
    }
    scoring = recipe.scoring
    return Training(
        model,
        split.x_train,
        recipe.encode(split.y_train),
        {name: value for name, value in arguments.items() if value is not None},
        test=(split.x_test, recipe.encode(split.y_test)) if recipe.test else None,
        held_out=split.test,
        decide=recipe.decide,
        files=recipe.files(split),
        scoring=None if scoring is None else lambda fitted: scoring(fitted, split),
        finish=recipe.finish,
    )


# The bases.


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


# The faults.

Change = Callable[[Recipe], Recipe]


@dataclass(frozen=True)
class Mutation:
    """A fault, the bases it is planted in, and the checks that must and may report it."""

    name: str
    bases: tuple[str, ...]
    change: Change
    truth: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    measured: bool = False


def setting(**fields: Any) -> Change:
    """Replace parts of the recipe."""
    return lambda recipe: replace(recipe, **fields)


def rows(mutate: Callable[[Split, np.random.Generator], Split]) -> Change:
    """Change the rows; test rows are only to be touched by what the program does to every input."""

    def change(recipe: Recipe) -> Recipe:
        return replace(recipe, rows=partial(mutated, recipe.rows, mutate))

    return change


def mutated(
    original: Callable[[int], Split], mutate: Callable[[Split, np.random.Generator], Split], seed: int
) -> Split:
    return mutate(original(seed), np.random.default_rng(seed))


def inputs(transform: Callable[[Array], Array], *parts: str) -> Change:
    """Transform the inputs of the named parts, or of all."""

    def mutate(split: Split, _: np.random.Generator) -> Split:
        names = [f"x_{part}" for part in parts or ("train", "val", "test")]
        return replace(split, **{name: transform(getattr(split, name)).astype("float32") for name in names})

    return rows(mutate)


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(recipe: Recipe) -> Recipe:
        for each in changes:
            recipe = each(recipe)
        return recipe

    return change


def codes(y: Array) -> Array:
    return y


def indicators(classes: int) -> Callable[[Array], Array]:
    return partial(one_hot, classes=classes)


def as_one_hot(recipe: Recipe) -> Recipe:
    """The same program on one-hot labels."""
    return replace(recipe, encode=indicators(recipe.classes), loss="categorical_crossentropy")


def sorted_by_class(split: Split, _: np.random.Generator, *, last: int | None = None) -> Split:
    """All rows of fit in the order of their class, class `last` moved to the end."""
    x = np.concatenate([split.x_train, split.x_val])
    y = np.concatenate([split.y_train, split.y_val])
    order = np.argsort(np.where(y == last, y.max() + 1, y) if last is not None else y, kind="stable")
    return replace(split, x_train=x[order], y_train=y[order])


def training_rows_by_class(split: Split, _: np.random.Generator) -> Split:
    order = np.argsort(split.y_train, kind="stable")
    return replace(split, x_train=split.x_train[order], y_train=split.y_train[order])


def tail(share: float) -> Change:
    """Split the tail of the training rows off as validation."""
    return setting(fit=lambda _: {"validation_data": None, "validation_split": share})


def thinned(share: float) -> Change:
    """Keep so many of the positives that they are `share` of every part, the test rows included."""

    def mutate(split: Split, random: np.random.Generator) -> Split:
        parts = {}
        for name in ("train", "val", "test"):
            y = getattr(split, f"y_{name}")
            negatives, positives = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
            kept = positives[: max(2, round(len(negatives) * share / (1 - share)))]
            order = random.permutation(np.concatenate([negatives, kept]))
            parts |= {f"x_{name}": getattr(split, f"x_{name}")[order], f"y_{name}": y[order]}
        return replace(split, **parts)

    return rows(mutate)


def resampled_validation(shares: Sequence[float]) -> Change:
    """Draw validation rows so that the classes have these shares there."""

    def mutate(split: Split, random: np.random.Generator) -> Split:
        wanted = [round(share * len(split.y_val) * 0.6) for share in shares]
        kept = [random.choice(np.flatnonzero(split.y_val == k), n) for k, n in enumerate(wanted) if n]
        order = random.permutation(np.concatenate(kept))
        return replace(split, x_val=split.x_val[order], y_val=split.y_val[order])

    return rows(mutate)


def without_class(part: str, missing: int) -> Change:
    """Leave a class out of one part."""

    def mutate(split: Split, _: np.random.Generator) -> Split:
        kept = getattr(split, f"y_{part}") != missing
        return replace(
            split,
            **{f"{name}_{part}": getattr(split, f"{name}_{part}")[kept] for name in ("x", "y")},
        )

    return rows(mutate)


def noisy_labels(share: float) -> Change:
    """Redraw the labels of a share of the training and validation rows."""

    def mutate(split: Split, random: np.random.Generator) -> Split:
        drawn = {}
        for name in ("y_train", "y_val"):
            y = getattr(split, name)
            drawn[name] = np.where(random.random(len(y)) < share, random.integers(0, y.max() + 1, len(y)), y)
        return replace(split, **drawn)

    return rows(mutate)


def blurred(deviation: float) -> Change:
    """Add noise to the inputs of every part."""

    def mutate(split: Split, random: np.random.Generator) -> Split:
        parts = ("x_train", "x_val", "x_test")
        return replace(split, **{name: _noisy(getattr(split, name), deviation, random) for name in parts})

    return rows(mutate)


def _noisy(values: Array, deviation: float, random: np.random.Generator) -> Array:
    return (values + deviation * random.normal(size=values.shape)).astype("float32")


def few_rows(count: int) -> Change:
    return rows(lambda split, _: replace(split, x_train=split.x_train[:count], y_train=split.y_train[:count]))


def leaked(share: float) -> Change:
    """Replace a share of the validation rows by training rows."""

    def mutate(split: Split, random: np.random.Generator) -> Split:
        count = round(share * len(split.y_val))
        picked = random.choice(len(split.y_train), count, replace=False)
        return replace(
            split,
            x_val=np.concatenate([split.x_train[picked], split.x_val[count:]]),
            y_val=np.concatenate([split.y_train[picked], split.y_val[count:]]),
        )

    return rows(mutate)


def validated_on(part: str) -> Change:
    """Pass another part as the validation rows, and stop early on it."""

    def fit(recipe: Recipe, split: Split) -> dict[str, Any]:
        pair = getattr(split, f"x_{part}"), recipe.encode(getattr(split, f"y_{part}"))
        stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
        return {"validation_data": pair, "callbacks": [stopping] if part == "test" else None}

    return lambda recipe: replace(recipe, fit=partial(fit, recipe))


def callback(make: Callable[[], Any]) -> Change:
    return setting(fit=lambda _: {"callbacks": [make()]})


def scored(score: Callable[[Array, Array], Mapping[str, float]]) -> Change:
    """Log what the author computes from the served test outputs and the test codes."""

    def scoring(model: Any, split: Split) -> Scored:
        return Scored(score(model.predict(split.x_test, verbose=0), split.y_test))

    return setting(scoring=scoring, test=True)


def written(files: Callable[[Split], Mapping[str, Any]]) -> Change:
    """Log these artifacts, in place of the ones of the same path."""
    return setting(files=files)


def agreement(a: Array, b: Array) -> float:
    return float(np.mean(a == b))


def probability_metrics(served: Array, y: Array) -> dict[str, float]:
    decided = (served[:, 0] > 0.5).astype(float)
    return {"test_accuracy": agreement(decided, y), "test_log_loss": float(log_loss(y, decided))}


def hard_auc(served: Array, y: Array) -> dict[str, float]:
    decided = (served[:, 0] > 0.5).astype(int)
    return {"test_accuracy": agreement(decided, y), "test_auc": float(roc_auc_score(y, decided))}


def submitted_scores(model: Any, split: Split) -> Scored:
    served = model.predict(split.x_test, verbose=0)[:, 0]
    return Scored(
        {"test_accuracy": agreement(served, split.y_test)},
        {"submission.csv": {"id": list(range(len(served))), "predicted_class": served.tolist()}},
    )


def misaligned_score(model: Any, split: Split) -> Scored:
    """Predictions of shuffled rows against the labels in their own order, both logged as they were scored."""
    order = np.random.default_rng(0).permutation(len(split.y_test))
    served = model.predict(split.x_test[order], verbose=0)
    decided = served.argmax(axis=1) if served.shape[1] > 1 else (served[:, 0] > 0.5).astype(int)
    return Scored({"test_accuracy": agreement(decided, split.y_test)}, {"data/X_test.npy": split.x_test[order]})


def threshold_from_test(model: Any, split: Split) -> Scored:
    served = model.predict(split.x_test, verbose=0)[:, 0]
    grid = np.unique(served)
    scores = [agreement(served > cut, split.y_test) for cut in grid]
    best = int(np.argmax(scores))
    return Scored({"threshold": float(grid[best]), "test_accuracy": scores[best]})


def as_strings(split: Split) -> dict[str, Any]:
    """Class names of ten digits in the order that sorting text gives, while the codes follow the numbers."""
    return {"class_names.json": [str(k) for k in (1, 10, 2, 3, 4, 5, 6, 7, 8, 9)]}


def adam(rate: float) -> Change:
    return setting(optimizer=lambda _: keras.optimizers.Adam(rate))


def sgd(rate: float) -> Change:
    return setting(optimizer=lambda _: keras.optimizers.SGD(rate))


def slower(factor: float) -> Change:
    return lambda recipe: replace(recipe, learning_rate=recipe.learning_rate / factor)


def initialised(make: Callable[[], Any]) -> Change:
    """Start every hidden kernel from this initializer."""

    def change(recipe: Recipe) -> Recipe:
        return replace(recipe, trunk=partial(trunk_with, recipe.trunk, "kernel_initializer", make))

    return change


def trunk_with(trunk: Callable[[Recipe], Any], option: str, make: Callable[[], Any], recipe: Recipe) -> Any:
    return trunk(replace(recipe, options={**recipe.options, option: make()}))


def hidden_option(option: str, make: Callable[[], Any]) -> Change:
    return lambda recipe: replace(recipe, trunk=partial(trunk_with, recipe.trunk, option, make))


def rounded_accuracy() -> list[Any]:
    from tests.corpus.cases import rounded_accuracy as metric

    return [metric()]


def name_accuracy(model: Any) -> None:
    model.compile(loss=model.loss, optimizer=model.optimizer, metrics=["accuracy"])


BINARY = ("table", "cancer", "rings")
SOFTMAX = ("digits", "wine", "text", "signal")


def plant(
    name: str,
    bases: tuple[str, ...],
    *changes: Change,
    truth: tuple[str, ...] | None = None,
    allowed: tuple[str, ...] = (),
) -> Mutation:
    """A mutation; where no truth is given, its name up to the strength in brackets is the check."""
    return Mutation(name, bases, both(*changes), truth or (name.partition("(")[0],), allowed)


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

LABEL_FAULTS = (
    plant(
        "labels-out-of-range",
        ("digits", "wine", "text"),
        setting(encode=lambda y: y + 1, compile={"jit_compile": True}, decide=None),
    ),
    plant("binary-labels-not-01(1-2)", BINARY, setting(encode=lambda y: y + 1)),
    plant("binary-labels-not-01(signs)", ("table", "cancer"), setting(encode=lambda y: 2 * y - 1)),
    plant("binary-labels-not-01(0-255)", ("cancer", "rings"), setting(encode=lambda y: 255 * y)),
    plant(
        "multiclass-on-one-unit",
        ("digits", "wine", "signal"),
        setting(units=1, activation="sigmoid", loss="binary_crossentropy"),
    ),
    plant(
        "labels-off-by-one",
        ("wine", "vectors"),
        lambda recipe: replace(
            recipe,
            units=recipe.classes + 1,
            encode=lambda y: y + 1,
            files=lambda _: {"class_names.json": [f"class {k}" for k in range(recipe.classes)]},
        ),
        allowed=("class-names-misordered", "output-width-mismatch", "permuted-labels"),
    ),
    plant(
        "permuted-labels",
        ("vectors", "digits"),
        written(lambda split: {f"data/y_{part}.npy": 9 - getattr(split, f"y_{part}") for part in ("train", "val")}),
    ),
    plant(
        "permuted-labels(two-classes)",
        ("cancer", "table"),
        written(lambda split: {f"data/y_{part}.npy": 1 - getattr(split, f"y_{part}") for part in ("train", "val")}),
    ),
    plant("encoder-refit", ("vectors", "wine", "text"), setting(encode_validation=lambda y: y.max() - y)),
    plant(
        "encoder-refit(absent-class)",
        ("vectors", "digits"),
        without_class("val", 3),
        setting(encode_validation=lambda y: np.where(y > 3, y - 1, y)),
    ),
    plant(
        "invalid-one-hot(zero-rows)",
        ("digits", "wine"),
        lambda recipe: replace(
            as_one_hot(recipe), encode=lambda y: one_hot(y + 1, recipe.classes + 1)[:, : recipe.classes]
        ),
        allowed=("labels-off-by-one", "labels-out-of-range"),
    ),
    plant(
        "invalid-one-hot(all-ones-column)",
        ("table", "cancer"),
        setting(
            units=2, activation="softmax", loss="categorical_crossentropy", encode=lambda y: one_hot(np.ones_like(y), 2)
        ),
    ),
    plant("single-class-labels", ("table", "cancer"), setting(encode=lambda y: 0 * y)),
    plant(
        "scored-in-wrong-label-space",
        ("table", "cancer"),
        scored(lambda served, y: {"test_accuracy": agreement((served[:, 0] > 0.5).astype(int), y + 1)}),
        written(lambda split: {"classes.json": [1, 2], "data/labels_test.npy": split.y_test + 1}),
    ),
    plant(
        "scored-in-wrong-label-space(classes)",
        ("vectors", "wine"),
        scored(lambda served, y: {"test_accuracy": agreement(served.argmax(axis=1), y + 1)}),
        written(lambda split: {"data/labels_test.npy": split.y_test + 1}),
    ),
    plant("misaligned-rows", ("vectors", "table", "wine"), setting(scoring=misaligned_score, test=True)),
    plant("labels-unrelated-to-inputs", ("table", "vectors", "signal"), noisy_labels(1.0)),
    plant(
        "class-names-misordered",
        ("digits", "vectors"),
        written(lambda split: as_strings(split) | {"label_encoder_classes.json": [str(k) for k in range(1, 11)]}),
    ),
    plant("dirty-labels(scaled)", ("vectors", "wine"), setting(encode=lambda y: y / 255)),
    plant(
        "continuous-targets",
        ("table", "cancer"),
        lambda recipe: replace(
            recipe,
            rows=partial(mutated, recipe.rows, with_a_score),
            decide=lambda served: (served[:, 0] > 0.5).astype(int),
        ),
    ),
)


def with_a_score(split: Split, random: np.random.Generator) -> Split:
    """Replace the classes of the rows for fit by a score between 0 and 1."""
    weights = random.normal(size=split.x_train.shape[1])

    def score(x: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(-x @ weights / np.linalg.norm(weights))), dtype="float32")

    y_test = (score(split.x_test) > 0.5).astype("int64")
    return replace(split, y_train=score(split.x_train), y_val=score(split.x_val), y_test=y_test)


SPLIT_FAULTS = (
    plant("tail-split-of-ordered-data(one-class)", ("table", "cancer"), rows(sorted_by_class), tail(0.2)),
    plant("tail-split-of-ordered-data(classes)", ("digits", "wine", "text"), rows(sorted_by_class), tail(0.25)),
    plant("tail-split-of-ordered-data(mixed-tail)", ("vectors", "signal"), rows(sorted_by_class), tail(0.45)),
    plant("class-shift(.15)", ("table",), resampled_validation([0.3, 0.7])),
    plant("class-shift(.15)", ("cancer",), resampled_validation([0.22, 0.78])),
    plant("class-shift(.4)", ("table", "rings"), resampled_validation([0.9, 0.1])),
    plant("class-shift(classes)", ("signal", "text"), resampled_validation([0.7, 0.2, 0.1])),
    plant("class-missing-from-split(train)", ("digits", "wine", "text"), without_class("train", 2)),
    plant("class-missing-from-split(val)", ("vectors", "signal"), without_class("val", 1)),
    plant("class-imbalance(.04)", ("table", "rings"), thinned(0.04), noisy_labels(0.02)),
    plant("class-imbalance(.015)", ("table",), thinned(0.015)),
    plant(
        "class-weight-without-effect(keys)",
        ("table", "rings"),
        thinned(0.06),
        setting(fit=lambda _: {"class_weight": {1: 1.0, 2: 16.0}}, epochs=6),
    ),
    plant(
        "class-weight-overcorrected",
        ("table", "rings"),
        setting(fit=lambda _: {"class_weight": {0: 1.0, 1: 40.0}}, epochs=6),
    ),
    plant(
        "class-weight-overcorrected(imbalance)",
        ("table",),
        thinned(0.1),
        noisy_labels(0.1),
        setting(fit=lambda _: {"class_weight": {0: 1.0, 1: 60.0}}, epochs=5),
    ),
    plant(
        "rows-in-both-splits(.3)",
        ("table", "vectors"),
        noisy_labels(0.3),
        leaked(0.3),
        setting(epochs=40),
        allowed=("overfit", "baseline-wins"),
    ),
    plant(
        "rows-in-both-splits(.8)",
        ("table", "signal"),
        noisy_labels(0.3),
        leaked(0.8),
        setting(epochs=40),
        allowed=("overfit",),
    ),
    plant("validation-is-training", ("table", "text"), noisy_labels(0.3), validated_on("train"), setting(epochs=30)),
    plant("test-used-for-validation", ("cancer", "digits"), validated_on("test"), setting(test=True)),
    plant("inputs-differ-between-splits(x255)", ("digits", "vectors"), inputs(lambda x: 255 * x, "val")),
    plant(
        "inputs-differ-between-splits(raw)",
        ("wine", "cancer"),
        lambda recipe: replace(recipe, rows=partial(raw_validation, recipe.rows, recipe.name)),
    ),
    plant(
        "inputs-transformed-differently",
        ("digits", "vectors"),
        written(lambda split: {f"data/X_{part}.npy": 255 * getattr(split, f"x_{part}") for part in ("train", "val")}),
    ),
)


def raw_validation(original: Callable[[int], Split], name: str, seed: int) -> Split:
    """Training rows standardised, validation rows left as they were measured."""
    raw = (wine if name == "wine" else breast_cancer)(seed, scale=False)
    return replace(original(seed), x_val=raw.x_val)


DECISION_FAULTS = (
    # Classes that overlap, one of them rare: what the scores rank well, few of them put above .5.
    plant(
        "threshold-off",
        ("table",),
        setting(rows=partial(tabular, rows=6000, separation=0.8, noise=0.0), epochs=6),
        blurred(1.0),
        thinned(0.12),
    ),
    plant("threshold-off", ("rings",), setting(rows=overlapping_rings, epochs=8), thinned(0.12)),
    plant(
        "argmax-on-one-column",
        BINARY,
        scored(lambda served, y: {"test_accuracy": agreement(served.argmax(axis=1), y)}),
    ),
    plant(
        "threshold-on-wrong-scale(accuracy)",
        ("table", "rings"),
        setting(
            activation=None,
            loss=lambda: keras.losses.BinaryCrossentropy(from_logits=True),
            decide=lambda served: (served[:, 0] > 0).astype(int),
            epochs=3,
        ),
        noisy_labels(0.2),
    ),
    plant(
        "threshold-on-wrong-scale(recall)",
        ("table",),
        setting(
            activation=None,
            loss=lambda: keras.losses.BinaryCrossentropy(from_logits=True),
            decide=lambda served: (served[:, 0] > 0).astype(int),
            metrics=lambda: [keras.metrics.AUC(name="auc"), keras.metrics.Recall(name="recall")],
            epochs=4,
        ),
        thinned(0.1),
        noisy_labels(0.1),
    ),
    plant(
        "rounded-unbounded-output",
        ("cancer", "table"),
        setting(activation=None, metrics=rounded_accuracy, finish=name_accuracy, epochs=25),
    ),
    plant(
        "exact-match-accuracy",
        ("table", "cancer"),
        setting(metrics=lambda: [keras.metrics.Accuracy(name="accuracy")]),
    ),
    # On classes of equal size argmax over one column gives the same number: either name is right.
    plant(
        "broadcast-comparison(balanced)",
        ("rings", "table"),
        scored(lambda served, y: {"test_accuracy": float(np.mean((served > 0.5).astype(int) == y))}),
        truth=("broadcast-comparison", "argmax-on-one-column"),
    ),
    plant(
        "broadcast-comparison",
        tuple(base for base in BINARY if base not in ("rings", "table")),
        scored(lambda served, y: {"test_accuracy": float(np.mean((served > 0.5).astype(int) == y))}),
    ),
    plant(
        "metric-misresolved(f1)",
        ("table", "cancer"),
        setting(
            encode=lambda y: y[:, None].astype("float32"), metrics=lambda: [keras.metrics.F1Score(name="f1_score")]
        ),
    ),
    plant(
        "metric-misresolved(categorical)",
        ("rings", "cancer"),
        setting(
            encode=lambda y: y[:, None].astype("float32"),
            metrics=lambda: [keras.metrics.CategoricalAccuracy(name="accuracy")],
        ),
    ),
    plant(
        "metric-misresolved(binary-of-classes)",
        ("digits", "vectors"),
        as_one_hot,
        setting(metrics=lambda: [keras.metrics.BinaryAccuracy(name="accuracy")]),
    ),
    plant(
        "metric-misresolved(precision-of-two)",
        ("table",),
        thinned(0.12),
        setting(
            units=2,
            activation="softmax",
            loss="categorical_crossentropy",
            encode=indicators(2),
            metrics=lambda: [keras.metrics.Precision(name="precision"), keras.metrics.Recall(name="recall")],
        ),
    ),
    plant(
        "metric-misresolved(top-k)",
        ("wine", "text"),
        setting(metrics=lambda: [keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="accuracy")]),
    ),
    plant("metric-misresolved(labels-argmax)", ("labels",), setting(metrics=lambda: ["accuracy"])),
    plant(
        "inverted-positive-class",
        ("table", "cancer"),
        scored(lambda served, y: {"test_auc": float(roc_auc_score(y, 1 - served[:, 0]))}),
    ),
    plant("auc-on-labels", ("table", "rings"), noisy_labels(0.2), setting(epochs=5), scored(hard_auc)),
    plant("logloss-on-labels", ("table", "cancer"), scored(probability_metrics)),
    plant("scores-used-as-classes", ("table", "rings"), setting(scoring=submitted_scores, test=True)),
    plant(
        "threshold-tuned-on-test",
        ("table", "cancer"),
        noisy_labels(0.25),
        setting(scoring=threshold_from_test, test=True, epochs=6),
    ),
)

TRAINING_FAULTS = (
    plant(
        "ordered-batches",
        ("table", "vectors"),
        rows(training_rows_by_class),
        setting(fit=lambda _: {"shuffle": False}),
        allowed=("under-trained", "learning-rate-too-high"),
    ),
    plant("under-trained(rate/30)", ("table", "digits", "wine"), slower(30)),
    plant("under-trained(rate/300)", ("vectors", "rings", "text"), slower(300)),
    plant("under-trained(rate/3000)", ("signal", "cancer"), slower(3000)),
    plant("under-trained(sgd)", ("digits", "table", "recurrent"), sgd(0.0005)),
    plant("under-trained(two-epochs)", ("text", "recurrent", "two-inputs"), setting(epochs=2), slower(5)),
    # A tenth of the rate and half of the epochs: it was stopped early, and it is under-trained.
    plant(
        "stopped-early",
        ("vectors", "wine"),
        slower(10),
        setting(epochs=12),
        truth=("stopped-early", "under-trained"),
    ),
    plant("learning-rate-too-high(adam-1)", ("digits", "table", "text"), adam(1.0)),
    plant("learning-rate-too-high(sgd-30)", ("vectors", "signal", "cancer"), sgd(30.0)),
    plant("learning-rate-too-high(sgd-1000)", ("wine", "recurrent"), sgd(1000.0)),
    plant("invalid-learning-rate(negative)", ("table", "wine"), adam(-0.01)),
    plant("invalid-learning-rate(100)", ("vectors", "rings"), adam(100.0)),
    plant(
        "dead-units",
        ("table", "vectors"),
        hidden_option("bias_initializer", lambda: keras.initializers.Constant(-60.0)),
    ),
    plant(
        "vanishing-gradient",
        ("table", "vectors", "wine"),
        lambda recipe: replace(
            recipe,
            hidden="sigmoid",
            trunk=lambda inner: [recipe.trunk(inner)[0], *(inner.dense(8) for _ in range(9))],
            learning_rate=0.001,
        ),
    ),
    plant("no-gradient", ("two-inputs",), setting(trunk=partial(two_inputs, image_gain=0.0)), allowed=("dead-units",)),
    plant("frozen-random-layers", ("digits", "signal"), hidden_option("trainable", lambda: False)),
    plant(
        "frozen-random-layers(narrow)",
        ("vectors",),
        setting(trunk=stack(6, 6, 6, columns=64)),
        hidden_option("trainable", lambda: False),
        allowed=("bottleneck",),
    ),
    plant("unscaled-inputs(x255)", ("digits", "vectors"), inputs(lambda x: 255 * x), sgd(0.01)),
    plant("unscaled-inputs(x4000)", ("signal", "table"), inputs(lambda x: 4000 * x)),
    plant(
        "unscaled-inputs(raw)", ("wine", "cancer"), lambda recipe: replace(recipe, rows=partial(raw_table, recipe.name))
    ),
    plant("low-contrast-inputs", ("table", "cancer", "signal"), inputs(lambda x: -1.06 + 0.002 * x)),
    plant(
        "batchnorm-gap",
        ("signal",),
        setting(trunk=partial(waves, momentum=0.999), epochs=6),
        inputs(lambda x: 3 + 4 * x),
    ),
    plant(
        "batchnorm-gap(frozen)",
        ("signal",),
        setting(trunk=partial(waves, momentum=0.99999)),
        inputs(lambda x: 3 + 4 * x),
    ),
    plant(
        "bottleneck",
        ("digits", "vectors"),
        lambda recipe: replace(recipe, trunk=lambda inner: [*recipe.trunk(inner), inner.dense(1)]),
    ),
    plant("symmetric-initialisation(zeros)", ("table", "vectors"), initialised(lambda: "zeros")),
    plant("symmetric-initialisation(ones)", ("wine", "vectors"), initialised(lambda: "ones")),
    plant(
        "poor-initialisation",
        ("vectors", "table"),
        initialised(lambda: keras.initializers.RandomNormal(stddev=5.0, seed=1)),
    ),
    plant(
        "over-regularised(l2)",
        ("vectors", "cancer"),
        hidden_option("kernel_regularizer", lambda: keras.regularizers.L2(1.0)),
    ),
    plant(
        "over-regularised(dropout)",
        ("vectors", "wine"),
        lambda recipe: replace(recipe, trunk=lambda inner: [*recipe.trunk(inner), keras.layers.Dropout(0.97)]),
    ),
    plant(
        "overfit",
        ("table", "signal", "text"),
        few_rows(150),
        noisy_labels(0.3),
        setting(epochs=60, learning_rate=0.01),
        allowed=("label-noise-ceiling", "baseline-wins"),
    ),
    plant(
        "learning-rate-exhausted",
        ("table", "vectors"),
        callback(lambda: keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=0, min_delta=0.5)),
        slower(3),
    ),
    plant(
        "misconfigured-callback(mode)",
        ("vectors", "text", "rings"),
        callback(lambda: keras.callbacks.EarlyStopping(monitor="val_accuracy", mode="min", patience=1)),
        slower(3),
    ),
    plant(
        "misconfigured-callback(absent)",
        ("digits", "table"),
        # Without a mode Keras 3 ends the training with an error that says what is wrong.
        callback(lambda: keras.callbacks.ReduceLROnPlateau(monitor="val_acc", mode="max", factor=0.1, patience=2)),
    ),
)

DOUBLE_FAULTS = (
    plant(
        "double(softmax+tail)",
        ("table", "cancer"),
        setting(activation="softmax"),
        rows(sorted_by_class),
        tail(0.2),
        truth=("softmax-on-one-unit", "tail-split-of-ordered-data"),
    ),
    plant(
        "double(softmax+unscaled)",
        ("cancer",),
        setting(activation="softmax"),
        lambda recipe: replace(recipe, rows=partial(raw_table, recipe.name)),
        truth=("softmax-on-one-unit", "unscaled-inputs"),
    ),
    plant(
        "double(relu-head+unscaled)",
        ("wine", "cancer"),
        setting(activation="relu"),
        lambda recipe: replace(
            as_one_hot(recipe) if recipe.kind == "multiclass" else recipe, rows=partial(raw_table, recipe.name)
        ),
        truth=("clipped-output", "unscaled-inputs"),
    ),
    plant(
        "double(slow+tail)",
        ("table", "wine"),
        slower(300),
        rows(sorted_by_class),
        tail(0.2),
        truth=("under-trained", "tail-split-of-ordered-data"),
    ),
    plant(
        "double(slow+test-as-validation)",
        ("vectors", "rings"),
        slower(300),
        validated_on("test"),
        setting(test=True),
        truth=("under-trained", "test-used-for-validation"),
    ),
    plant(
        "double(labels-1-2+shift)",
        ("table", "rings"),
        setting(encode=lambda y: y + 1),
        resampled_validation([0.9, 0.1]),
        truth=("binary-labels-not-01", "class-shift"),
    ),
    plant(
        "double(sigmoid-classes+slow)",
        ("digits", "wine"),
        setting(activation="sigmoid"),
        slower(300),
        truth=("under-trained", "sigmoid-multiclass"),
    ),
    plant(
        "double(vanishing+missing-class)",
        ("vectors",),
        lambda recipe: replace(
            recipe,
            hidden="sigmoid",
            trunk=lambda inner: [recipe.trunk(inner)[0], *(inner.dense(8) for _ in range(9))],
            learning_rate=0.001,
        ),
        without_class("train", 2),
        truth=("vanishing-gradient", "class-missing-from-split"),
    ),
    plant(
        "double(logits+argmax)",
        ("table", "cancer"),
        setting(activation=None),
        scored(lambda served, y: {"test_accuracy": agreement(served.argmax(axis=1), y)}),
        truth=("argmax-on-one-column", "logits-in-probability-loss"),
    ),
    plant(
        "double(high-rate+validation-is-training)",
        ("digits", "text"),
        adam(1.0),
        validated_on("train"),
        truth=("learning-rate-too-high", "validation-is-training"),
    ),
    plant("double(imbalance+slow)", ("table",), thinned(0.06), slower(300), truth=("under-trained", "class-imbalance")),
    plant(
        "double(f1+tail)",
        ("table",),
        setting(
            encode=lambda y: y[:, None].astype("float32"), metrics=lambda: [keras.metrics.F1Score(name="f1_score")]
        ),
        rows(sorted_by_class),
        tail(0.2),
        truth=("tail-split-of-ordered-data", "metric-misresolved"),
    ),
)


def raw_table(name: str, seed: int) -> Split:
    """The columns as they were measured."""
    return (wine if name == "wine" else breast_cancer)(seed, scale=False)


HARM_IS_MEASURED = (*MODEL_FAULTS, *TRAINING_FAULTS)
MUTATIONS = (
    *(replace(mutation, measured=True) for mutation in HARM_IS_MEASURED),
    *LABEL_FAULTS,
    *SPLIT_FAULTS,
    *DECISION_FAULTS,
    *DOUBLE_FAULTS,
)


def unconverged_logistic(seed: int) -> Training:
    """Logistic regression on raw columns, cut off after 8 iterations."""
    return in_sklearn(LogisticRegression(max_iter=8), breast_cancer(seed, scale=False))


def unconverged_network(seed: int) -> Training:
    """A scikit-learn network cut off after 4 epochs."""
    model = MLPClassifier((32,), max_iter=4, random_state=seed)
    return in_sklearn(model, flat_digits(seed))


def base_program(recipe: Recipe) -> Program:
    """The healthy program that the mutants of a base are compared with."""
    name = f"base-{recipe.name}"
    return Program(name, name, partial(build, recipe), healthy=True)


def mutant(mutation: Mutation, recipe: Recipe) -> Program:
    """A base program with a fault planted."""
    return Program(
        f"{recipe.name}+{mutation.name}",
        f"base-{recipe.name}",
        partial(build, mutation.change(recipe)),
        mutation.truth,
        mutation.allowed,
        parent=f"base-{recipe.name}",
        measured=mutation.measured,
    )


PROGRAMS: tuple[Program, ...] = (
    *map(base_program, BASES.values()),
    *(mutant(mutation, BASES[base]) for mutation in MUTATIONS for base in mutation.bases),
    Program(
        "sklearn+solver-not-converged(logistic)",
        "sklearn",
        unconverged_logistic,
        ("solver-not-converged",),
        ("unscaled-inputs",),
    ),
    Program(
        "sklearn+solver-not-converged(network)",
        "sklearn",
        unconverged_network,
        ("solver-not-converged",),
        ("under-trained", "stopped-early"),
    ),
)
