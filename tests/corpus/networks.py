"""The networks that several programs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.corpus.data import Split
from tests.corpus.program import Array, Training, keras


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


def fitted(
    split: Split,
    stack: Sequence[Any] | Any,
    loss: Any,
    optimizer: Any = None,
    *,
    metrics: Sequence[Any] = ("accuracy",),
    epochs: int = 20,
    batch_size: int = 32,
    encode: Callable[[Array], Array] | None = None,
    decide: Callable[[Array], Array] | None = None,
    fit: dict[str, Any] | None = None,
    **more: Any,
) -> Training:
    """A training on the three parts of `split`: labels encoded for fit, validation given, test kept back.

    `stack` is a list of layers or an uncompiled model, the optimizer Adam at .005 where none is given, `fit` further
    arguments of fit, `more` of the Training.
    """
    model = keras.Sequential(list(stack)) if isinstance(stack, Sequence) else stack
    model.compile(loss=loss, optimizer=optimizer or keras.optimizers.Adam(0.005), metrics=list(metrics))
    coded = encode or (lambda y: y)
    arguments = {
        "epochs": epochs,
        "batch_size": batch_size,
        "validation_data": (split.x_val, coded(split.y_val)),
        **(fit or {}),
    }
    return Training(
        model,
        split.x_train,
        coded(split.y_train),
        {name: value for name, value in arguments.items() if value is not None},
        held_out=split.test,
        decide=decide,
        **more,
    )
