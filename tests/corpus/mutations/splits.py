"""Faults of the splits, the class shares and the class weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.corpus.mutations.bases import overlapping_rings, overlapping_table
from tests.corpus.mutations.changes import inputs, plant, rows, setting, written
from tests.corpus.mutations.row_changes import (
    leaked,
    noisy_labels,
    raw_validation,
    resampled_validation,
    sorted_by_class,
    tail,
    thinned,
    validated_on,
    without_class,
)

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
    # Enough rows to measure a rare class on, and classes that overlap, so that accuracy pays for neglecting it.
    plant("class-imbalance(.08)", ("rings",), setting(rows=overlapping_rings), thinned(0.08)),
    plant("class-imbalance(.04)", ("rings",), setting(rows=overlapping_rings), thinned(0.04)),
    plant("class-imbalance(.04)", ("table",), setting(rows=overlapping_table, epochs=6), thinned(0.04)),
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
