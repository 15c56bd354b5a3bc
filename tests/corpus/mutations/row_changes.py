"""Faults of the rows: their order, their shares, their labels, and what the splits share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tests.corpus.data import Split, breast_cancer, wine
from tests.corpus.mutations.changes import Change, rows, setting
from tests.corpus.mutations.recipe import Recipe
from tests.corpus.program import Array, keras


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


def with_a_score(split: Split, random: np.random.Generator) -> Split:
    """Replace the classes of the rows for fit by a score between 0 and 1."""
    weights = random.normal(size=split.x_train.shape[1])

    def score(x: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(-x @ weights / np.linalg.norm(weights))), dtype="float32")

    y_test = (score(split.x_test) > 0.5).astype("int64")
    return replace(split, y_train=score(split.x_train), y_val=score(split.x_val), y_test=y_test)


def raw_validation(original: Callable[[int], Split], name: str, seed: int) -> Split:
    """Training rows standardised, validation rows left as they were measured."""
    raw = (wine if name == "wine" else breast_cancer)(seed, scale=False)
    return replace(original(seed), x_val=raw.x_val)


def raw_table(name: str, seed: int) -> Split:
    """The columns as they were measured."""
    return (wine if name == "wine" else breast_cancer)(seed, scale=False)
