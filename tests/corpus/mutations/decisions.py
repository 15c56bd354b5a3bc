"""Faults of thresholds, metrics and logged scores."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from tests.corpus.data import tabular
from tests.corpus.mutations.bases import BINARY, overlapping_rings
from tests.corpus.mutations.changes import as_one_hot, indicators, plant, setting
from tests.corpus.mutations.row_changes import blurred, noisy_labels, thinned
from tests.corpus.mutations.scores import (
    agreement,
    hard_auc,
    probability_metrics,
    scored,
    submitted_scores,
    threshold_from_test,
)
from tests.corpus.program import keras


def rounded_accuracy() -> list[Any]:
    from tests.corpus.cases import rounded_accuracy as metric

    return [metric()]


def name_accuracy(model: Any) -> None:
    model.compile(loss=model.loss, optimizer=model.optimizer, metrics=["accuracy"])


DECISION_FAULTS = (
    # Classes that overlap, one of them rare: what the scores rank well, few of them put above .5.
    plant(
        "threshold-off",
        ("table",),
        setting(rows=partial(tabular, rows=6000, separation=0.8, noise=0.0), epochs=6),
        blurred(1.0),
        thinned(0.12),
    ),
    plant("threshold-off", ("rings",), setting(rows=overlapping_rings, epochs=8), thinned(0.12)),
    plant(
        "argmax-on-one-column",
        BINARY,
        scored(lambda served, y: {"test_accuracy": agreement(served.argmax(axis=1), y)}),
    ),
    plant(
        "threshold-on-wrong-scale(accuracy)",
        ("table", "rings"),
        setting(
            activation=None,
            loss=lambda: keras.losses.BinaryCrossentropy(from_logits=True),
            decide=lambda served: (served[:, 0] > 0).astype(int),
            epochs=3,
        ),
        noisy_labels(0.2),
    ),
    plant(
        "threshold-on-wrong-scale(recall)",
        ("table",),
        setting(
            activation=None,
            loss=lambda: keras.losses.BinaryCrossentropy(from_logits=True),
            decide=lambda served: (served[:, 0] > 0).astype(int),
            metrics=lambda: [keras.metrics.AUC(name="auc"), keras.metrics.Recall(name="recall")],
            epochs=4,
        ),
        thinned(0.1),
        noisy_labels(0.1),
    ),
    plant(
        "rounded-unbounded-output",
        ("cancer", "table"),
        setting(activation=None, metrics=rounded_accuracy, finish=name_accuracy, epochs=25),
    ),
    plant(
        "exact-match-accuracy",
        ("table", "cancer"),
        setting(metrics=lambda: [keras.metrics.Accuracy(name="accuracy")]),
    ),
    # On classes of equal size argmax over one column gives the same number: either name is right.
    plant(
        "broadcast-comparison(balanced)",
        ("rings", "table"),
        scored(lambda served, y: {"test_accuracy": float(np.mean((served > 0.5).astype(int) == y))}),
        truth=("broadcast-comparison", "argmax-on-one-column"),
    ),
    plant(
        "broadcast-comparison",
        tuple(base for base in BINARY if base not in ("rings", "table")),
        scored(lambda served, y: {"test_accuracy": float(np.mean((served > 0.5).astype(int) == y))}),
    ),
    plant(
        "metric-misresolved(f1)",
        ("table", "cancer"),
        setting(
            encode=lambda y: y[:, None].astype("float32"), metrics=lambda: [keras.metrics.F1Score(name="f1_score")]
        ),
    ),
    plant(
        "metric-misresolved(categorical)",
        ("rings", "cancer"),
        setting(
            encode=lambda y: y[:, None].astype("float32"),
            metrics=lambda: [keras.metrics.CategoricalAccuracy(name="accuracy")],
        ),
    ),
    plant(
        "metric-misresolved(binary-of-classes)",
        ("digits", "vectors"),
        as_one_hot,
        setting(metrics=lambda: [keras.metrics.BinaryAccuracy(name="accuracy")]),
    ),
    plant(
        "metric-misresolved(precision-of-two)",
        ("table",),
        thinned(0.12),
        setting(
            units=2,
            activation="softmax",
            loss="categorical_crossentropy",
            encode=indicators(2),
            metrics=lambda: [keras.metrics.Precision(name="precision"), keras.metrics.Recall(name="recall")],
        ),
    ),
    plant(
        "metric-misresolved(top-k)",
        ("wine", "text"),
        setting(metrics=lambda: [keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="accuracy")]),
    ),
    plant("metric-misresolved(labels-argmax)", ("labels",), setting(metrics=lambda: ["accuracy"])),
    plant(
        "inverted-positive-class",
        ("table", "cancer"),
        scored(lambda served, y: {"test_auc": float(roc_auc_score(y, 1 - served[:, 0]))}),
    ),
    plant("auc-on-labels", ("table", "rings"), noisy_labels(0.2), setting(epochs=5), scored(hard_auc)),
    plant("logloss-on-labels", ("table", "cancer"), scored(probability_metrics)),
    plant("scores-used-as-classes", ("table", "rings"), setting(scoring=submitted_scores, test=True)),
    plant(
        "threshold-tuned-on-test",
        ("table", "cancer"),
        noisy_labels(0.25),
        setting(scoring=threshold_from_test, test=True, epochs=6),
    ),
)
