"""What the scores of served outputs are under the right post-processing and under every wrong one that people write."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.served import Served


def accuracies(served: Served, labels: np.ndarray) -> Iterator[tuple[str, float]]:
    """The accuracy under the right post-processing, named proper, and under every wrong one that people write."""
    outputs, truth, decision = served.outputs, served.truth, served.decision
    yield "proper", float(np.mean(decision == truth))
    if labels.dtype.kind in "iu" and np.any(labels != truth):
        yield "label space", float(np.mean(decision == labels))
    if served.width == 1:
        column = outputs[:, 0]
        yield "argmax", float(np.mean(truth == 0))
        yield "rounded", float(np.mean(np.round(column) == truth))
        yield "exact", float(np.mean(column == truth))
        other = 0.0 if served.head.threshold else 0.5
        yield f"threshold {other:g}", float(np.mean((column > other) == truth))
        if served.logits is not None and served.head.gives_probabilities:
            yield "logits at 0.5", float(np.mean((served.logits[:, 0] > 0.5) == truth))
        yield "integer cast", float(np.mean(np.trunc(column) == truth))
    else:
        one_hot = np.eye(served.width)[np.minimum(truth, served.width - 1)]
        yield "every column", float(np.mean((outputs > 0.5) == one_hot))
        yield "exact", float(np.mean(outputs == one_hot))
        for number in range(2 if served.width == 2 else 0):
            yield f"column {number}", float(np.mean((outputs[:, number] > 0.5) == truth))
    if served.classes == 2 and served.width <= 2:
        yield "inverted", float(np.mean(1 - decision == truth))
    yield "broadcast", unrelated_accuracy(served)
    yield "labels up by one", float(np.mean(decision == truth + 1))
    yield "labels down by one", float(np.mean(decision == truth - 1))


def unrelated_accuracy(served: Served) -> float:
    """The accuracy of the decisions against labels that have nothing to do with them: Σ share · predicted share."""
    predicted = np.bincount(served.decision, minlength=served.classes) / served.rows
    return float(np.dot(predicted, served.shares))


def is_shuffled(served: Served, logged: float, proper: float, *, apart: float = 0.1, deviations: float = 2.5) -> bool:
    """Whether the logged accuracy is what the decisions score against shuffled labels, give or take chance."""
    independent = unrelated_accuracy(served)
    spread = np.sqrt(independent * (1 - independent) / served.rows)
    return proper - logged >= apart and abs(logged - independent) <= deviations * spread


def areas(served: Served, labels: np.ndarray) -> Iterator[tuple[str, float]]:
    """The AUC of the scores, of hard decisions in their place, and of the other column."""
    del labels
    area = served.area_under_curve
    if area is None or served.scores is None:
        return
    yield "proper", area
    yield "hard labels", served.balanced_accuracy
    yield "inverted", 1.0 - area


def log_losses(served: Served, labels: np.ndarray) -> Iterator[tuple[str, float]]:
    """The log loss of the probabilities, and of hard decisions in their place."""
    from sklearn.metrics import log_loss

    del labels
    probabilities = served.probabilities
    classes = np.arange(served.classes)
    if probabilities is None or probabilities.shape[1] != served.classes or not np.all(np.isfinite(probabilities)):
        return
    yield "proper", float(log_loss(served.truth, probabilities, labels=classes))
    yield "hard labels", float(log_loss(served.truth, np.eye(served.classes)[served.decision], labels=classes))


def balanced(served: Served, labels: np.ndarray) -> Iterator[tuple[str, float]]:
    """The balanced accuracy under the right post-processing and under the inverted one."""
    del labels
    yield "proper", served.balanced_accuracy
    if served.classes == 2 and served.width <= 2:
        yield "inverted", measures.balanced_accuracy(served.truth, 1 - served.decision)


VALUES = {"accuracy": accuracies, "auc": areas, "log loss": log_losses, "balanced accuracy": balanced}
"""The values of each kind of score by the name of the post-processing."""
