"""How a fault is planted: a change of a recipe, and the checks that must and may report it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tests.corpus.data import Split, one_hot
from tests.corpus.mutations.recipe import Recipe
from tests.corpus.program import Array, keras

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


def indicators(classes: int) -> Callable[[Array], Array]:
    return partial(one_hot, classes=classes)


def as_one_hot(recipe: Recipe) -> Recipe:
    """The same program on one-hot labels."""
    return replace(recipe, encode=indicators(recipe.classes), loss="categorical_crossentropy")


def callback(make: Callable[[], Any]) -> Change:
    return setting(fit=lambda _: {"callbacks": [make()]})


def written(files: Callable[[Split], Mapping[str, Any]]) -> Change:
    """Log these artifacts, in place of the ones of the same path."""
    return setting(files=files)


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


def plant(
    name: str,
    bases: tuple[str, ...],
    *changes: Change,
    truth: tuple[str, ...] | None = None,
    allowed: tuple[str, ...] = (),
) -> Mutation:
    """A mutation; where no truth is given, its name up to the strength in brackets is the check."""
    return Mutation(name, bases, both(*changes), truth or (name.partition("(")[0],), allowed)
