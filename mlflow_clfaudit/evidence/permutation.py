"""Whether the served classes are the true ones under other names: the best relabelling, found on half of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.types import Tier

MAX_CLASSES = 2_000


@dataclass(frozen=True)
class Permutation:
    """The relabelling `mapping` (unit → class, (K,) int) that fits one half of the rows best, judged on the other half.

    Where the other half finds the same one, each half judges what was found on the other: all rows count. `before` and
    `after` are accuracies without and with it, `p_value` the one-sided McNemar test between them, and `information` U
    of the served probabilities against the relabelled truth, over all rows; None without probabilities. `skill` is the
    balanced accuracy with it, above chance: 0 none, 1 all. `solved` says that the model was fitted to the end by a
    solver, and is not wrong by the luck of a few steps.
    """

    mapping: np.ndarray
    before: float
    after: float
    p_value: float
    rows: int
    information: float | None
    held_out: bool
    skill: float = 0.0
    solved: bool = False

    def is_strong(self, information: float, *, skill: float = 0.3, unsolved: float = 0.5) -> bool:
        """Whether the relabelled answers know the classes: a net that has hardly trained is right or wrong by luck."""
        if self.information is not None and self.information >= information:
            return True
        if self.solved:
            return self.skill >= skill
        return self.information is None and len(self.mapping) > 2 and self.skill >= unsolved

    @property
    def is_identity(self) -> bool:
        return bool(np.array_equal(self.mapping, np.arange(len(self.mapping))))


@provides(tier=Tier.FORWARD)
def permutation(served: Served) -> Permutation:
    """The best relabelling on the evaluation rows."""
    return relabelled(served)


@provides(tier=Tier.FORWARD)
def train_permutation(served_train: Served) -> Permutation:
    """The best relabelling on the training rows."""
    return relabelled(served_train)


def relabelled(served: Served, *, class_rows: int = 10, seed: int = 0) -> Permutation:
    """Hungarian matching of units to classes on half of the rows; classes of fewer than `class_rows` rows are left.

    Raises:
        Missing: fewer than two classes have enough rows, or there are too many to match.
    """
    classes = max(served.classes, int(served.decision.max(initial=0)) + 1)
    if classes > MAX_CLASSES:
        raise Missing(f"more than {MAX_CLASSES} classes: units are not matched with classes")
    counts = np.bincount(served.truth, minlength=classes)
    common = np.flatnonzero(counts >= class_rows)
    if len(common) < 2:
        raise Missing("too few rows of a second class to match units with classes")
    order = np.random.default_rng(seed).permutation(served.rows)
    first, second = order[: served.rows // 2], order[served.rows // 2 :]
    mapping = _matched(served.decision[first], served.truth[first], common, classes)
    again = _matched(served.decision[second], served.truth[second], common, classes)
    judged = order if np.array_equal(mapping, again) else second
    truth, decision = served.truth[judged], served.decision[judged]
    right, relabelled_right = decision == truth, mapping[decision] == truth
    return Permutation(
        mapping=mapping,
        before=float(np.mean(right)),
        after=float(np.mean(relabelled_right)),
        p_value=measures.mcnemar(right, relabelled_right),
        rows=len(judged),
        information=_information(served, mapping),
        held_out=served.held_out,
        skill=_above_chance(truth, mapping[decision]),
        solved=served.head.kind == "Estimator",
    )


def _matched(decision: np.ndarray, truth: np.ndarray, common: np.ndarray, classes: int) -> np.ndarray:
    """The matching (K,) of units with the common classes under which most rows are right."""
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (decision, truth), 1)
    # Of equally good matchings the one that leaves most units where they are.
    units, found = scipy.optimize.linear_sum_assignment(-(confusion + 1e-3 * np.eye(classes))[:, common])
    return _completed(units, common[found], classes)


def _completed(units: np.ndarray, matched: np.ndarray, classes: int) -> np.ndarray:
    """The matching as a permutation (K,): units that no class was found for stay, or take the classes that are left."""
    mapping = np.full(classes, -1)
    mapping[units] = matched
    free = set(range(classes)) - set(matched.tolist())
    for unit in np.flatnonzero(mapping < 0).tolist():
        if unit in free:
            mapping[unit] = unit
            free.remove(unit)
    mapping[mapping < 0] = sorted(free)
    return mapping


def _above_chance(truth: np.ndarray, decision: np.ndarray) -> float:
    chance = 1.0 / max(len(np.unique(truth)), 2)
    return (measures.balanced_accuracy(truth, decision) - chance) / (1.0 - chance)


def cause(mapping: np.ndarray, labels: Labels | None) -> str | None:
    """What makes an encoder number its classes so, where one of the usual ways does: unit → class, (K,)."""
    inverse = np.argsort(mapping)
    for name, order in _orders(len(mapping), labels):
        if np.array_equal(mapping, order) or np.array_equal(inverse, order):
            return name
    return None


def _orders(classes: int, labels: Labels | None) -> Iterator[tuple[str, np.ndarray]]:
    numbers = np.arange(classes)
    if classes == 2:
        yield "the two classes are exchanged", numbers[::-1]
        return
    yield "shifted by one", np.roll(numbers, 1)
    yield "in reverse order", numbers[::-1]
    yield "sorted as text in one place and as numbers in the other", np.array(sorted(numbers, key=str))
    if labels is None:
        return
    if labels.names is not None and len(labels.names) == classes:
        yield "class names in an order that is not sorted", np.argsort(np.array(labels.names), kind="stable")
    given = labels.whole or labels.train
    if given is None or not given.is_single_label or given.has_missing:
        return
    places, count = given.units
    if count == classes and len(np.unique(places)) == classes:
        _, first = np.unique(places, return_index=True)
        yield "numbered in order of appearance", np.argsort(first, kind="stable")
        yield "numbered by frequency", np.argsort(-np.bincount(places, minlength=classes), kind="stable")


def _information(served: Served, mapping: np.ndarray) -> float | None:
    """U against the truth as the units would name it."""
    probabilities = served.probabilities
    if probabilities is None or probabilities.shape[1] < len(mapping) or not np.all(np.isfinite(probabilities)):
        return None
    squared = served.head.loss is not None and served.head.loss.is_regression
    return measures.information_ratio(np.argsort(mapping)[served.truth], probabilities, squared=squared)
