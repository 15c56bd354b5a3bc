"""What the model says about rows, beside what is true of them: the nouns that checks of decisions take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.inputs import take
from mlflow_clfaudit.evidence.spec import Head


@dataclass(frozen=True)
class Served:
    """What the model says about rows, beside what is true of them.

    `outputs` (N, C) are what predict() returns, `logits` (N, C) the head before any activation, `features` (N, D)
    what the head reads, `truth` (N,) int64 the class index of each row. `inputs` are the rows themselves. `answers`
    (N,) int64 are the class indices that a model decided for by itself.
    """

    split: str
    held_out: bool
    head: Head
    outputs: np.ndarray
    truth: np.ndarray
    classes: int
    logits: np.ndarray | None = None
    features: np.ndarray | None = None
    inputs: Any = None
    total: int = 0
    answers: np.ndarray | None = None

    @property
    def rows(self) -> int:
        return len(self.truth)

    @property
    def width(self) -> int:
        return int(self.outputs.shape[1])

    @cached_property
    def decision(self) -> np.ndarray:
        """The class that the served output stands for: argmax, or the head's own threshold for a single unit."""
        if self.answers is not None:
            return self.answers
        return self.decide(self.outputs, self.head.threshold)

    def decide(self, outputs: np.ndarray, threshold: float) -> np.ndarray:
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > threshold).astype(np.int64)
        return np.asarray(np.argmax(outputs, axis=1), dtype=np.int64)

    @property
    def tells_classes(self) -> bool:
        """Whether the outputs can stand for every class: a unit for each, or one unit for two."""
        return self.width >= self.classes or (self.width == 1 and self.classes == 2)

    @cached_property
    def accuracy(self) -> float:
        return float(np.mean(self.decision == self.truth))

    @cached_property
    def balanced_accuracy(self) -> float:
        return measures.balanced_accuracy(self.truth, self.decision)

    @cached_property
    def shares(self) -> np.ndarray:
        """The share of each class among the rows, (K,)."""
        return np.asarray(np.bincount(self.truth, minlength=self.classes) / max(self.rows, 1))

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """The outputs as class probabilities (N, K) on the scale that the loss assumes, or None where they are none."""
        outputs = self.outputs.astype(np.float64)
        if self.head.bare:
            return None
        if self.head.link is not None:
            outputs = measures.sigmoid(outputs) if self.head.link == "sigmoid" else measures.softmax(outputs)
        elif not self.head.gives_probabilities:
            loss = self.head.loss
            if loss is None or not loss.is_cross_entropy:
                return None
            if loss.from_logits:
                outputs = measures.sigmoid(outputs) if self.width == 1 or loss.is_binary else measures.softmax(outputs)
        if self.width == 1:
            positive = np.clip(outputs[:, 0], 0.0, 1.0)
            return np.column_stack([1 - positive, positive])
        totals = np.clip(outputs, 0.0, None).sum(axis=1, keepdims=True)
        return np.asarray(np.clip(outputs, 0.0, None) / np.where(totals > 0, totals, 1.0))

    @cached_property
    def scores(self) -> np.ndarray | None:
        """The binary score of class 1, (N,), or None for more classes and for answers without scores."""
        if self.head.bare:
            return None
        if self.width == 1 and self.classes == 2:
            return self.outputs[:, 0]
        if self.width != 2 or self.classes != 2:
            return None
        # Of two logits, the second alone ranks nothing.
        return self.outputs[:, 1] if self.head.link is None or self.probabilities is None else self.probabilities[:, 1]

    @cached_property
    def area_under_curve(self) -> float | None:
        return measures.area_under_curve(self.truth, self.scores) if self.scores is not None else None

    @cached_property
    def information(self) -> float | None:
        """U of the served probabilities; see `measures.information_ratio`."""
        if self.probabilities is None or self.probabilities.shape[1] < self.classes:
            return None
        squared = self.head.loss is not None and self.head.loss.is_regression
        return measures.information_ratio(self.truth, self.probabilities, squared=squared)

    @property
    def skill(self) -> float:
        """U, or where the outputs are no probabilities the balanced accuracy above chance: 0 none, 1 all."""
        if self.information is not None:
            return self.information
        chance = 1.0 / max(len(np.unique(self.truth)), 2)
        return (self.balanced_accuracy - chance) / (1.0 - chance)

    def has_learnt(self, *, information: float = 0.5, right: float = 0.9) -> bool:
        """Whether the model knows its task: U of .5 and more, or nine rows in ten of every class decided rightly."""
        return self.skill >= information or self.balanced_accuracy >= right

    @property
    def where(self) -> str:
        """The rows in words: 970 held-out rows, or 653 training rows."""
        return f"{self.rows:,} {'held-out' if self.held_out else 'training'} rows".replace(",", " ")

    def take(self, chosen: np.ndarray) -> Served:
        """The same about some of the rows."""
        return replace(
            self,
            outputs=self.outputs[chosen],
            truth=self.truth[chosen],
            logits=None if self.logits is None else self.logits[chosen],
            features=None if self.features is None else self.features[chosen],
            inputs=None if self.inputs is None else take(self.inputs, chosen),
            answers=None if self.answers is None else self.answers[chosen],
        )


@dataclass(frozen=True)
class Trial:
    """The rows that probes and refits learn from and the rows that they are judged on, never the same."""

    fit: Served
    judge: Served


def stratified(truth: np.ndarray, limit: int, *, seed: int = 0) -> np.ndarray:
    """Row numbers of a sample of at most about `limit` rows that keeps the class shares and every class."""
    random = np.random.default_rng(seed)
    share = min(limit / len(truth), 1.0)
    chosen = [
        random.choice(rows, max(min(len(rows), 5), int(len(rows) * share)), replace=False)
        for rows in (np.flatnonzero(truth == code) for code in np.unique(truth))
    ]
    return np.sort(np.concatenate(chosen))
