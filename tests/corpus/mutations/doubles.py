"""Two faults at a time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.corpus.mutations.changes import adam, as_one_hot, plant, rows, setting, slower
from tests.corpus.mutations.row_changes import (
    raw_table,
    resampled_validation,
    sorted_by_class,
    tail,
    thinned,
    validated_on,
    without_class,
)
from tests.corpus.mutations.scores import agreement, scored
from tests.corpus.program import keras

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
