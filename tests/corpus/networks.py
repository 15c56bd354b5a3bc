"""The networks that several programs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.corpus.program import keras


def compiled(
    stack: Sequence[Any], loss: Any, optimizer: Any, metrics: Sequence[Any] = ("accuracy",), **how: Any
) -> Any:
    """A compiled Sequential of the given layers, the first of them an Input."""
    model = keras.Sequential(list(stack))
    model.compile(loss=loss, optimizer=optimizer, metrics=list(metrics), **how)
    return model


def lenet(*head: Any, shape: tuple[int, int, int] = (8, 8, 1), hidden: str = "relu") -> list[Any]:
    """LeNet at the size of the bundled digits, followed by `head`."""
    layers = keras.layers
    return [
        keras.Input(shape),
        layers.Conv2D(6, 3, padding="same", activation=hidden),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 3, padding="same", activation=hidden),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation=hidden),
        *head,
    ]


def dense(columns: int, *widths: int, hidden: str = "relu") -> list[Any]:
    """An input of `columns` and a stack of hidden Dense layers."""
    return [keras.Input((columns,)), *(keras.layers.Dense(width, activation=hidden) for width in widths)]
