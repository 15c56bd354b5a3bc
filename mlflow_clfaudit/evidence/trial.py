"""Cuts the rows into those that probes and refits learn from and those that they are judged on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.forward import SAMPLE_ROWS, forward
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.served import Served, Trial, stratified
from mlflow_clfaudit.types import Tier


@provides(tier=Tier.FORWARD)
def trial(network: Network, served: Served, served_train: Served | None = None) -> Trial:
    """Rows to learn from and rows to be judged on: the training and the held-out rows, or a 70/30 cut of one set."""
    cut = _cut(served, served_train)
    return Trial(_with_features(network, cut.fit), _with_features(network, cut.judge))


def _with_features(network: Network, served: Served) -> Served:
    if served.features is not None or network.tapped is None or served.inputs is None:
        return served
    return replace(served, features=forward(network, served.inputs)[0])


def _cut(served: Served, served_train: Served | None) -> Trial:
    if served_train is not None and served.held_out and _enough(served_train) and _enough(served):
        return Trial(_sample(served_train), _sample(served))
    one = served_train if served_train is not None and _enough(served_train) else served
    if not _enough(one):
        raise Missing("too few rows of a second class to judge on", "log rows of every class")
    one = _sample(one, 2 * SAMPLE_ROWS)
    from sklearn.model_selection import train_test_split

    rows = np.flatnonzero(np.bincount(one.truth)[one.truth] >= 2)
    try:
        fit_rows, judge_rows = train_test_split(rows, test_size=0.3, stratify=one.truth[rows], random_state=0)
    except ValueError:
        raise Missing("too few rows for so many classes to judge on", "log held-out rows") from None
    return Trial(one.take(fit_rows), one.take(judge_rows))


def _enough(served: Served, *, rows: int = 4) -> bool:
    counts = np.bincount(served.truth)
    return bool(np.sum(counts >= rows) >= 2)


def _sample(served: Served, limit: int = SAMPLE_ROWS) -> Served:
    return served if served.rows <= limit else served.take(stratified(served.truth, limit))
