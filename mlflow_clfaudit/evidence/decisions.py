"""What decisions are for, and the decisions of models that answer several labels a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy

from mlflow_clfaudit.errors import Missing, UsageError
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.forward import forward
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.names import GOAL
from mlflow_clfaudit.thresholds import best_threshold, cross_fitted_thresholds, threshold_for
from mlflow_clfaudit.types import Tier

WAYS = "fp=COST,fn=COST, precision=SHARE or recall=SHARE"


@dataclass(frozen=True)
class Judged:
    """What a goal is measured by, at the served threshold and at thresholds chosen on the other half of the rows.

    `p_value` is that the served threshold misses the goal by chance; `lower` says that less is better.
    """

    what: str
    before: float
    after: float
    thresholds: tuple[float, float]
    p_value: float
    lower: bool

    @property
    def threshold(self) -> float:
        return sum(self.thresholds) / 2

    @property
    def improves(self) -> bool:
        return self.after < self.before if self.lower else self.after > self.before


@dataclass(frozen=True)
class Goal:
    """What a threshold is chosen for: the costs of a false positive and a false negative, or a share to be reached.

    `precision` and `recall` are of class 1; where one is given, the other is as high as the scores allow.
    """

    false_positive: float = 1.0
    false_negative: float = 1.0
    precision: float | None = None
    recall: float | None = None

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Read `fp=1,fn=20`, `precision=0.9` or `recall=0.95`; UsageError for anything else."""
        fields = {"fp": "false_positive", "fn": "false_negative", "precision": "precision", "recall": "recall"}
        given: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = part.strip().partition("=")
            try:
                given[fields[name.strip().lower()]] = float(value)
            except (KeyError, ValueError):
                raise UsageError(f"{text!r} is no goal of a threshold; write {WAYS}") from None
        shares = [given[name] for name in ("precision", "recall") if name in given]
        costs = [given[name] for name in ("false_positive", "false_negative") if name in given]
        if len(shares) + bool(costs) != 1 or any(not 0 < share <= 1 for share in shares) or any(c <= 0 for c in costs):
            raise UsageError(f"{text!r} is no goal of a threshold; write {WAYS}")
        return cls(**given)

    def judge(self, served: Served) -> Judged | None:
        """The served threshold and one chosen for this goal on the other half of the rows; None where there is none."""
        scores, truth = served.scores, served.truth
        if scores is None:
            return None
        share = float(np.mean(truth))
        choose: Callable[[np.ndarray, np.ndarray], float | None]
        if self.precision is not None or self.recall is not None:
            choose = partial(threshold_for, recall=self.recall, precision=self.precision)
        else:
            choose = partial(
                best_threshold,
                positive=self.false_negative * share,
                negative=self.false_positive * (1 - share),
            )
        found = cross_fitted_thresholds(truth, scores, choose)
        if found is None:
            return None
        decision, thresholds = found
        if self.precision is None and self.recall is None:
            before, after = (self._costs(truth, item) for item in (served.decision, decision))
            p_value = (
                float(scipy.stats.ttest_rel(after, before, alternative="less").pvalue)
                if np.any(before != after)
                else 1.0
            )
            return Judged("cost a row", float(before.mean()), float(after.mean()), thresholds, p_value, lower=True)
        what, target = ("recall", self.recall) if self.recall is not None else ("precision", self.precision)
        reached = [self._share(truth, item) for item in (served.decision, decision)]
        (right, of), (right_after, of_after) = reached
        if of == 0 or of_after == 0:
            return None
        p_value = float(scipy.stats.binomtest(right, of, target or 1.0, alternative="less").pvalue)
        return Judged(what, right / of, right_after / of_after, thresholds, p_value, lower=False)

    def _costs(self, truth: np.ndarray, decision: np.ndarray) -> np.ndarray:
        """What each row (N,) costs."""
        costs = np.where(truth == 0, (decision == 1) * self.false_positive, (decision == 0) * self.false_negative)
        return np.asarray(costs, dtype=np.float64)

    def _share(self, truth: np.ndarray, decision: np.ndarray) -> tuple[int, int]:
        """True positives, and the rows that they are a share of."""
        hits = int(np.sum((truth == 1) & (decision == 1)))
        return hits, int(np.sum(truth == 1) if self.recall is not None else np.sum(decision == 1))

    def __str__(self) -> str:
        if self.precision is not None:
            return f"a precision of {self.precision:g}"
        if self.recall is not None:
            return f"a recall of {self.recall:g}"
        return f"costs of {self.false_positive:g} a false positive and {self.false_negative:g} a false negative"


@provides()
def goal(run: Run, overrides: Overrides | None = None) -> Goal:
    """What the caller or the tag clfaudit.goal of the run or its experiment says; Missing where nothing does."""
    given = overrides.goal if overrides is not None else None
    text = given or run.tags.get(GOAL) or run.experiment_tags.get(GOAL)
    if not text:
        raise Missing("no goal of the threshold was stated", f'mlflow.set_tag("{GOAL}", "fp=1,fn=20")')
    try:
        return Goal.parse(text)
    except UsageError as error:
        raise Missing(str(error)) from None


@provides(tier=Tier.FORWARD)
def served_labels(network: Network, evaluation_rows: Rows, head: Head) -> tuple[Served, ...]:
    """Each label of a model that answers several a row, as a binary model of its own."""
    values = np.asarray(evaluation_rows.labels.values)
    if evaluation_rows.labels.form != "multi-hot":
        raise Missing("the labels are one class a row")
    _, _, outputs = forward(network, evaluation_rows.inputs)
    if outputs.shape != values.shape or not np.all(np.isfinite(outputs)):
        raise Missing(f"outputs of shape {outputs.shape} for labels of shape {values.shape}")
    single = replace(head, units=1)
    return tuple(
        Served(
            split=evaluation_rows.split,
            held_out=evaluation_rows.held_out,
            head=single,
            outputs=outputs[:, [column]],
            truth=values[:, column].astype(np.int64),
            classes=2,
            total=evaluation_rows.count,
        )
        for column in range(values.shape[1])
    )
