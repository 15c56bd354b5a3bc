"""Faults of the training, the inputs' scale and the initialisation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.corpus.mutations.bases import stack, two_inputs, waves
from tests.corpus.mutations.changes import (
    adam,
    callback,
    hidden_option,
    initialised,
    inputs,
    plant,
    rows,
    setting,
    sgd,
    slower,
)
from tests.corpus.mutations.row_changes import few_rows, noisy_labels, raw_table, training_rows_by_class
from tests.corpus.program import keras

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
