"""Healthy thresholds, metrics and artifacts that a simple rule would flag."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn import datasets

from tests.corpus.cases import positive_logit
from tests.corpus.data import scaled, stratified, tabular, wine
from tests.corpus.healthy.heads import sigmoid, softmax
from tests.corpus.networks import dense, fitted
from tests.corpus.program import Scored, Training, describe, keras

decision_family = partial(describe, family="healthy-decision")


@decision_family("auc-from-logits", why="metrics on logits that know it")
def auc_from_logits(seed: int) -> Training:
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metrics = [keras.metrics.AUC(from_logits=True, name="auc"), keras.metrics.Recall(thresholds=0.0, name="recall")]
    stack = [*dense(20, 32), keras.layers.Dense(1)]
    optimizer = keras.optimizers.Adam(0.005)
    return fitted(tabular(seed), stack, loss, optimizer, metrics=metrics, decide=positive_logit)


@decision_family("threshold-chosen-on-validation", why="a threshold of its own, chosen where it should be")
def chosen_threshold(seed: int) -> Training:
    split = tabular(seed, rows=2000, weights=(0.85, 0.15), separation=2.0)
    training = fitted(split, sigmoid(*dense(20, 32)), "binary_crossentropy", keras.optimizers.Adam(0.005))

    def scoring(model: Any) -> Scored:
        grid = np.linspace(0.05, 0.95, 19)
        validation = model.predict(split.x_val, verbose=0)[:, 0]
        scores = [np.mean((validation > t) == split.y_val) for t in grid]
        threshold = float(grid[int(np.argmax(scores))])
        tested = model.predict(split.x_test, verbose=0)[:, 0] > threshold
        return Scored({"threshold": threshold, "test_accuracy": float(np.mean(tested == split.y_test))})

    return replace(training, test=split.test, scoring=scoring)


@decision_family("logged-probabilities", why="a table of probabilities, named so")
def logged_probabilities(seed: int) -> Training:
    split = wine(seed)
    stack = softmax(3, *dense(13, 32))
    optimizer = keras.optimizers.Adam(0.01)
    training = fitted(split, stack, "sparse_categorical_crossentropy", optimizer, batch_size=16)

    def scoring(model: Any) -> Scored:
        served = model.predict(split.x_test, verbose=0)
        table = {f"probability_{k}": served[:, k].tolist() for k in range(3)} | {"label": split.y_test.tolist()}
        accuracy = float(np.mean(served.argmax(axis=1) == split.y_test))
        return Scored({"test_accuracy": accuracy}, {"predictions/probabilities_test.csv": table})

    return replace(training, test=split.test, scoring=scoring)


@decision_family("score-of-the-negative-class", why="class weights of a cost that was stated")
def stated_cost(seed: int) -> Training:
    split = tabular(seed, rows=2000, weights=(0.8, 0.2), separation=2.0)
    fit = {"class_weight": {0: 1.0, 1: 2.0}}
    stack = sigmoid(*dense(20, 32))
    training = fitted(split, stack, "binary_crossentropy", keras.optimizers.Adam(0.005), fit=fit)
    return replace(training, params={"cost_of_a_miss": 2.0})


@decision_family("perfect-accuracy", why="two clusters far apart: 1.0 is right")
def perfect_accuracy(seed: int) -> Training:
    x, y = datasets.make_blobs(600, n_features=4, centers=2, cluster_std=0.6, random_state=seed)
    split = scaled(stratified(x.astype("float32"), y, seed))
    return fitted(split, sigmoid(*dense(4, 8)), "binary_crossentropy", keras.optimizers.Adam(0.02))


@decision_family("raw-labels-scored-right", why="raw labels 1 and 2, encoded for fit and decoded for the score")
def scored_right(seed: int) -> Training:
    split = tabular(seed)
    training = fitted(split, sigmoid(*dense(20, 32)), "binary_crossentropy")

    def scoring(model: Any) -> Scored:
        decoded = (model.predict(split.x_test, verbose=0)[:, 0] > 0.5).astype(int) + 1
        accuracy = float(np.mean(decoded == split.y_test + 1))
        return Scored({"test_accuracy": accuracy}, {"predictions/test.csv": {"predicted": decoded.tolist()}})

    return replace(training, test=split.test, scoring=scoring, files={"classes.json": [1, 2]})
