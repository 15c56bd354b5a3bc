"""A healthy program in its parts, of which a fault replaces one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.corpus.data import Split
from tests.corpus.program import Array, Scored, Training, keras

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
