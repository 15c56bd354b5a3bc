"""Healthy programs of scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.corpus.data import Split, breast_cancer, tabular, wine
from tests.corpus.healthy.others import other_family
from tests.corpus.healthy.rows import flat_digits
from tests.corpus.program import Scored, Training


@other_family("sklearn-logistic", why="a pipeline of scikit-learn, without curves")
def sklearn_logistic(seed: int) -> Training:
    return in_sklearn(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), breast_cancer(seed, scale=False)
    )


@other_family("sklearn-forest", why="trees on raw columns, perfect on their training rows")
def sklearn_forest(seed: int) -> Training:
    return in_sklearn(RandomForestClassifier(60, random_state=seed), wine(seed, scale=False))


@other_family("sklearn-boosting", why="boosted trees on a table of 95 to 5")
def sklearn_boosting(seed: int) -> Training:
    split = tabular(seed, rows=2000, weights=(0.95, 0.05), separation=3.0, noise=0.0)
    return in_sklearn(HistGradientBoostingClassifier(max_iter=60, random_state=seed), split)


@other_family("sklearn-network-stopped-early", why="fewer iterations than allowed, because it stopped by itself")
def sklearn_network(seed: int) -> Training:
    model = MLPClassifier((32,), learning_rate_init=0.01, early_stopping=True, max_iter=300, random_state=seed)
    return in_sklearn(model, flat_digits(seed))


def in_sklearn(model: Any, split: Split) -> Training:
    """A scikit-learn model, its validation and test rows logged beside it and the test accuracy scored."""

    def scoring(fitted_model: Any) -> Scored:
        return Scored({"test_accuracy": float(fitted_model.score(split.x_test, split.y_test))})

    files = {"data/X_val.npy": split.x_val, "data/y_val.npy": split.y_val}
    training = Training(model, split.x_train, split.y_train, test=split.test, held_out=split.test, scoring=scoring)
    decide = (lambda served: np.asarray(served).argmax(axis=1)) if hasattr(model, "predict_proba") else None
    return replace(training, files=files, decide=decide)
