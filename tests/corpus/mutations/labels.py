"""Faults of the labels and of how they are encoded and named."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tests.corpus.data import Split, one_hot
from tests.corpus.mutations.bases import BINARY
from tests.corpus.mutations.changes import as_one_hot, mutated, plant, setting, written
from tests.corpus.mutations.row_changes import noisy_labels, with_a_score, without_class
from tests.corpus.mutations.scores import agreement, misaligned_score, scored


def as_strings(split: Split) -> dict[str, Any]:
    """Class names of ten digits in the order that sorting text gives, while the codes follow the numbers."""
    return {"class_names.json": [str(k) for k in (1, 10, 2, 3, 4, 5, 6, 7, 8, 9)]}


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
