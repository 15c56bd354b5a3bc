"""What a model said, from the predictions that the run kept: for runs without a model that can be asked.

No model is run: the arrays and tables among the artifacts are read, and stand where a model's answers would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.answers import classes_of, read_outputs
from mlflow_clfaudit.evidence.class_indices import known_indices
from mlflow_clfaudit.evidence.label_set import LabelSet, label_set
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.permutation import Permutation, relabelled
from mlflow_clfaudit.evidence.scores import LOG_PREDICTIONS, LoggedPredictions, LoggedScore, Reading
from mlflow_clfaudit.evidence.scores import readings as read_scores
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Spec

ORDER = ("validation", "test", "train")
MIN_CLASS_ROWS = 5


@dataclass(frozen=True)
class Recorded:
    """Predictions by split as a model's answers, and where each was read."""

    splits: Mapping[str, Served]
    sources: Mapping[str, str]

    @property
    def judged(self) -> Served:
        """The split to judge by: held out and of several classes where there is one."""
        found = [self.splits[split] for split in ORDER if split in self.splits]
        return next((item for item in found if np.sum(np.bincount(item.truth) >= MIN_CLASS_ROWS) >= 2), found[0])


@provides()
def recorded(labels: Labels, logged_predictions: tuple[LoggedPredictions, ...], spec: Spec | None = None) -> Recorded:
    """The logged predictions that stand beside labels of the same rows."""
    if spec is not None:
        raise Missing("a model of Keras answers for itself")
    known = classes_of(labels)
    candidates: dict[str, list[tuple[LoggedPredictions, LabelSet]]] = {}
    for predictions in sorted(logged_predictions, key=lambda item: (len(item.source), item.source)):
        split, given = _rows_of(predictions, labels)
        if given is not None and given.is_single_label and not given.has_missing:
            candidates.setdefault(split, []).append((predictions, given))
    found = {split: made for split, items in candidates.items() if (made := _served(split, items, known)) is not None}
    if not found:
        raise Missing("the logged predictions belong to no logged labels", LOG_PREDICTIONS)
    return Recorded(
        {split: served for split, (served, _) in found.items()},
        {split: source for split, (_, source) in found.items()},
    )


def _rows_of(predictions: LoggedPredictions, labels: Labels) -> tuple[str, LabelSet | None]:
    """The split that predictions are of and its labels: those beside them, or those of as many rows."""
    rows = len(predictions.values)
    if predictions.truth is not None and len(predictions.truth) == rows:
        return predictions.split or "test", label_set(predictions.truth, predictions.source)
    if predictions.split is not None:
        given = labels.splits.get(predictions.split)
        return predictions.split, given if given is not None and given.rows == rows else None
    fitting = [split for split, given in labels.splits.items() if given.rows == rows]
    return (fitting[0], labels.splits[fitting[0]]) if len(fitting) == 1 else ("", None)


def _served(
    split: str, candidates: Sequence[tuple[LoggedPredictions, LabelSet]], known: np.ndarray
) -> tuple[Served, str] | None:
    """One split's answers: its scores where they were kept, and the classes beside them as the decision."""
    scores: tuple[Head, np.ndarray, np.ndarray, str] | None = None
    decisions: tuple[np.ndarray, np.ndarray, str] | None = None
    for predictions, given in candidates:
        truth, classes = known_indices(given, known)
        answered = read_outputs(predictions.values, known, classes, predictions.columns, predictions.source)
        if answered is None:
            continue
        head, values = answered
        if head.bare and decisions is None:
            decisions = np.argmax(values, axis=1), truth, predictions.source
        elif not head.bare and scores is None:
            scores = head, values, truth, predictions.source
    if scores is not None:
        head, outputs, truth, source = scores
        answers = decisions[0] if decisions is not None and np.array_equal(decisions[1], truth) else None
        head = _with_cut(head, outputs, answers)
        if head.units == 1 and head.activation == "linear" and head.cut is None:
            # Nobody said where class 1 begins on this scale.
            scores = None
    if scores is None:
        if decisions is None:
            return None
        answers, truth, source = decisions
        outputs = np.eye(max(len(known), int(answers.max(initial=0)) + 1))[answers]
        head = Head(layer="the logged predictions", kind="Predictions", units=outputs.shape[1], bare=True)
    return (
        Served(
            split=split,
            held_out=split != "train",
            head=replace(head, layer="the logged predictions", kind="Predictions"),
            outputs=outputs,
            truth=truth,
            classes=max(len(known), outputs.shape[1], int(truth.max(initial=0)) + 1, 2),
            total=len(truth),
            answers=answers,
        ),
        source,
    )


def _with_cut(head: Head, outputs: np.ndarray, answers: np.ndarray | None) -> Head:
    """The head with the threshold that the decisions beside one column of scores were made at, where there is one."""
    if outputs.shape[1] != 1 or answers is None or len(np.unique(answers)) < 2:
        return head
    column = outputs[:, 0]
    low, high = float(column[answers == 0].max()), float(column[answers == 1].min())
    usual = 0.5 if head.gives_probabilities else 0.0
    if low > high:
        return head
    return replace(head, cut=usual if low <= usual <= high else (low + high) / 2)


@provides(otherwise=True)
def head(recorded: Recorded) -> Head:
    """What the logged predictions are."""
    return recorded.judged.head


@provides(otherwise=True)
def served(recorded: Recorded) -> Served:
    """The logged predictions of the split to judge by."""
    return recorded.judged


@provides(otherwise=True)
def served_train(recorded: Recorded) -> Served:
    """The logged predictions of the training rows."""
    if "train" not in recorded.splits:
        raise Missing("the run logged no predictions of its training rows")
    return recorded.splits["train"]


@provides(otherwise=True)
def served_by_split(recorded: Recorded) -> Mapping[str, Served]:
    """The logged predictions of every split."""
    return recorded.splits


@provides(otherwise=True)
def permutation(recorded: Recorded) -> Permutation:
    """The best relabelling on the split to judge by."""
    return relabelled(recorded.judged)


@provides(otherwise=True)
def train_permutation(recorded: Recorded) -> Permutation:
    """The best relabelling on the training rows."""
    return relabelled(served_train(recorded))


@provides(otherwise=True)
def readings(logged_scores: tuple[LoggedScore, ...], recorded: Recorded, labels: Labels) -> tuple[Reading, ...]:
    """Every logged score beside the logged predictions."""
    found: tuple[Reading, ...] = read_scores(logged_scores, recorded.splits, recorded.judged.head, labels=labels)
    return found
