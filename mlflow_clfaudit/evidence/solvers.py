"""How far an iterative fit went, as a saved model says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Solver:
    """An iterative solver inside the model: the estimator's class, the iterations it took and those it was allowed.

    For boosted trees (`is_boosting`), the iterations are the best round by early stopping.
    """

    estimator: str
    iterations: int
    limit: int
    is_boosting: bool = False
