"""The ends of networks, the labels that they take and how they are decided."""

from __future__ import annotations

from typing import Any

from tests.corpus.program import Array, keras


def sigmoid(*stack: Any) -> list[Any]:
    """A stack that ends in one sigmoid unit."""
    return [*stack, keras.layers.Dense(1, activation="sigmoid")]


def softmax(classes: int, *stack: Any) -> list[Any]:
    """A stack that ends in a softmax over the classes."""
    return [*stack, keras.layers.Dense(classes, activation="softmax")]


def signs(y: Array) -> Array:
    """Class codes 0 and 1 to the labels -1 and +1."""
    return (2 * y - 1).astype("float32")


def each_above_half(served: Array) -> Array:
    """Decide every label of a row on its own."""
    return (served > 0.5).astype(int)
