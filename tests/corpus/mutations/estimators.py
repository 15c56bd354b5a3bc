"""Faults of scikit-learn's solvers."""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from tests.corpus.data import breast_cancer
from tests.corpus.healthy.estimators import in_sklearn
from tests.corpus.healthy.rows import flat_digits
from tests.corpus.program import Program, Training


def unconverged_logistic(seed: int) -> Training:
    """Logistic regression on raw columns, cut off after 8 iterations."""
    return in_sklearn(LogisticRegression(max_iter=8), breast_cancer(seed, scale=False))


def unconverged_network(seed: int) -> Training:
    """A scikit-learn network cut off after 4 epochs."""
    model = MLPClassifier((32,), max_iter=4, random_state=seed)
    return in_sklearn(model, flat_digits(seed))


PROGRAMS = (
    Program(
        "sklearn+solver-not-converged(logistic)",
        "sklearn",
        unconverged_logistic,
        ("solver-not-converged",),
        ("unscaled-inputs",),
    ),
    Program(
        "sklearn+solver-not-converged(network)",
        "sklearn",
        unconverged_network,
        ("solver-not-converged",),
        ("under-trained", "stopped-early"),
    ),
)
