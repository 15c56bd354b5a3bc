"""What an author computes from the served test outputs, right or wrong, and logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from tests.corpus.data import Split
from tests.corpus.mutations.changes import Change, setting
from tests.corpus.program import Array, Scored


def scored(score: Callable[[Array, Array], Mapping[str, float]]) -> Change:
    """Log what the author computes from the served test outputs and the test codes."""

    def scoring(model: Any, split: Split) -> Scored:
        return Scored(score(model.predict(split.x_test, verbose=0), split.y_test))

    return setting(scoring=scoring, test=True)


def agreement(a: Array, b: Array) -> float:
    return float(np.mean(a == b))


def probability_metrics(served: Array, y: Array) -> dict[str, float]:
    decided = (served[:, 0] > 0.5).astype(float)
    return {"test_accuracy": agreement(decided, y), "test_log_loss": float(log_loss(y, decided))}


def hard_auc(served: Array, y: Array) -> dict[str, float]:
    decided = (served[:, 0] > 0.5).astype(int)
    return {"test_accuracy": agreement(decided, y), "test_auc": float(roc_auc_score(y, decided))}


def submitted_scores(model: Any, split: Split) -> Scored:
    served = model.predict(split.x_test, verbose=0)[:, 0]
    return Scored(
        {"test_accuracy": agreement(served, split.y_test)},
        {"submission.csv": {"id": list(range(len(served))), "predicted_class": served.tolist()}},
    )


def misaligned_score(model: Any, split: Split) -> Scored:
    """Predictions of shuffled rows against the labels in their own order, both logged as they were scored."""
    order = np.random.default_rng(0).permutation(len(split.y_test))
    served = model.predict(split.x_test[order], verbose=0)
    decided = served.argmax(axis=1) if served.shape[1] > 1 else (served[:, 0] > 0.5).astype(int)
    return Scored({"test_accuracy": agreement(decided, split.y_test)}, {"data/X_test.npy": split.x_test[order]})


def threshold_from_test(model: Any, split: Split) -> Scored:
    served = model.predict(split.x_test, verbose=0)[:, 0]
    grid = np.unique(served)
    scores = [agreement(served > cut, split.y_test) for cut in grid]
    best = int(np.argmax(scores))
    return Scored({"threshold": float(grid[best]), "test_accuracy": scores[best]})
