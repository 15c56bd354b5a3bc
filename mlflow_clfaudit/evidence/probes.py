"""Small models fitted beside the logged one: what turns a suspicion about it into a proof.

Every probe learns from `trial.fit` and is judged on `trial.judge`; the served decision is judged on the same rows.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.served import Trial, stratified
from mlflow_clfaudit.types import Tier

MAX_COLUMNS = 1_000
MAX_FIT_ROWS = 3_000
MAX_CLASSES = 200
WORDS = 512
NOT_FINITE = "inputs or features that are not finite"
# All numberings of up to so many classes are compared, of more a sample.
LISTED_CLASSES = 6
NUMBERINGS = 2_000


@dataclass(frozen=True)
class Probe:
    """A fitted probe's decisions (N,) on the judged rows, beside the served ones.

    `scores` (N, k) are its probabilities of `classes` (k,), the class indices that it was fitted on.
    """

    name: str
    decision: np.ndarray
    scores: np.ndarray
    truth: np.ndarray
    served: np.ndarray
    held_out: bool
    classes: np.ndarray | None = None

    @property
    def information(self) -> float | None:
        """U of the probe's probabilities, as `Served.information` is of the served ones."""
        if self.classes is None:
            return None
        size = int(max(self.truth.max(), self.classes.max())) + 1
        probabilities = np.zeros((self.rows, size))
        probabilities[:, self.classes] = self.scores
        return measures.information_ratio(self.truth, probabilities)

    @property
    def balanced_accuracy(self) -> float:
        return measures.balanced_accuracy(self.truth, self.decision)

    @property
    def served_balanced_accuracy(self) -> float:
        return measures.balanced_accuracy(self.truth, self.served)

    @property
    def gain(self) -> float:
        return self.balanced_accuracy - self.served_balanced_accuracy

    @property
    def p_value(self) -> float:
        """That the probe beats the served decision on the same rows."""
        return measures.accuracy_p_value(self.truth, self.served, self.decision)

    @property
    def rows(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class ClassOrder:
    """The share of the class numbers' variance that the inputs explain, and of numberings that they explain as well."""

    explained: float
    as_well: float


@provides(tier=Tier.PROBE)
def input_probe(trial: Trial) -> Probe:
    """Logistic regression on the standardised inputs: what a linear model knows from the same rows."""
    return _fitted("logistic regression on the inputs", trial, _inputs(trial.fit), _inputs(trial.judge))


@provides(tier=Tier.PROBE)
def tree_probe(trial: Trial) -> Probe:
    """A forest of extremely randomised trees on the inputs: whether there is anything to learn that is not linear.

    Gradient boosting is a little better on tables, but its threads wait for each other: on a machine whose cores are
    busy, 60 rounds on the 1,797 digits were measured at 525 s, this forest at .6 s.
    """
    fit, judge = _inputs(trial.fit), _inputs(trial.judge)
    return _fitted("a forest on the inputs", trial, fit, judge, trees=True)


@provides(tier=Tier.PROBE)
def feature_probe(trial: Trial) -> Probe:
    """Logistic regression on the penultimate features: the head refitted on what the network has learnt."""
    if trial.fit.features is None or trial.judge.features is None:
        raise Missing("the model's graph is not known, so its penultimate features are not")
    return _fitted("the head refitted on frozen features", trial, trial.fit.features, trial.judge.features)


@provides(tier=Tier.PROBE)
def class_order(trial: Trial) -> ClassOrder:
    """How well a linear model of the inputs explains the class numbers, beside other numberings of the classes."""
    inputs, truth = _fit_rows(_inputs(trial.fit), trial.fit.truth)
    codes, truth = np.unique(truth, return_inverse=True)
    if len(codes) < 3:
        raise Missing("fewer than three classes have no order")
    inputs, _ = _reduced(inputs, inputs[:1], MAX_COLUMNS)
    members = np.eye(len(codes))[truth]
    members -= members.mean(axis=0)
    basis, singular, _ = np.linalg.svd(inputs - inputs.mean(axis=0), full_matrices=False)
    explained = basis[:, singular > 1e-6 * singular[0]].T @ members
    if len(codes) <= LISTED_CLASSES:
        numberings = np.array(list(permutations(range(len(codes)))), dtype=float)
    else:
        random = np.random.default_rng(0)
        drawn = [random.permutation(len(codes)) for _ in range(NUMBERINGS)]
        numberings = np.array([np.arange(len(codes)), *drawn], dtype=float)
    shares = np.sum((explained @ numberings.T) ** 2, axis=0) / np.sum((members @ numberings.T) ** 2, axis=0)
    return ClassOrder(float(shares[0]), float(np.mean(shares >= shares[0] - 1e-9)))


@provides(tier=Tier.PROBE)
def balanced_probe(trial: Trial) -> Probe:
    """The feature probe with every class weighing the same."""
    if trial.fit.features is None or trial.judge.features is None:
        raise Missing("the model's graph is not known, so its penultimate features are not")
    name = "the head refitted on frozen features, every class weighing the same"
    return _fitted(name, trial, trial.fit.features, trial.judge.features, balanced=True)


def _fitted(
    name: str, trial: Trial, fit: np.ndarray, judge: np.ndarray, *, trees: bool = False, balanced: bool = False
) -> Probe:
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if not np.all(np.isfinite(judge)):
        raise Missing(NOT_FINITE)
    fit, truth = _fit_rows(fit, trial.fit.truth)
    fit, judge = _reduced(fit, judge, MAX_COLUMNS)
    if trees:
        model: Any = ExtraTreesClassifier(100, max_depth=16, random_state=0)
    else:
        weight = "balanced" if balanced else None
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, class_weight=weight))
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        model.fit(fit, truth)
        scores = model.predict_proba(judge)
    return Probe(
        name=name,
        decision=model.classes_[np.argmax(scores, axis=1)],
        scores=scores,
        truth=trial.judge.truth,
        served=trial.judge.decision,
        held_out=trial.judge.held_out,
        classes=np.asarray(model.classes_),
    )


def _fit_rows(fit: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows (N, D) that are fitted, at most MAX_FIT_ROWS of them with the classes' shares, and their truth."""
    if not 2 <= len(np.unique(truth)) <= MAX_CLASSES:
        few = len(np.unique(truth)) < 2
        raise Missing(
            "the training rows hold one class" if few else f"more than {MAX_CLASSES} classes: no probe is fitted"
        )
    if not np.all(np.isfinite(fit)):
        raise Missing(NOT_FINITE)
    if len(truth) <= MAX_FIT_ROWS:
        return fit, truth
    chosen = stratified(truth, MAX_FIT_ROWS)
    return fit[chosen], truth[chosen]


def _inputs(served: Any) -> np.ndarray:
    """The inputs as columns (N, D) of numbers; texts by the words in them."""
    if served.inputs is None:
        raise Missing("the inputs were not kept")
    if not isinstance(served.inputs, dict) and served.inputs.dtype.kind == "U" and served.inputs.size == served.rows:
        from sklearn.feature_extraction.text import HashingVectorizer

        words = HashingVectorizer(n_features=WORDS, alternate_sign=False).transform(served.inputs.ravel().tolist())
        return np.asarray(words.toarray(), dtype=np.float32)
    arrays = served.inputs.values() if isinstance(served.inputs, dict) else [served.inputs]
    flat = [np.asarray(array).reshape(served.rows, -1) for array in arrays]
    if any(array.dtype.kind not in "fiub" for array in flat):
        raise Missing("inputs that are not numbers")
    return np.concatenate([array.astype(np.float32) for array in flat], axis=1)


def _reduced(fit: np.ndarray, judge: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """At most that many columns, by a random projection fitted on the training rows."""
    if fit.shape[1] <= columns:
        return fit, judge
    from sklearn.decomposition import TruncatedSVD

    reduction = TruncatedSVD(n_components=min(columns, 100), random_state=0).fit(fit)
    return reduction.transform(fit), reduction.transform(judge)
