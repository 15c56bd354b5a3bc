"""The model under repair, as it is at the moment, and the rows that it learns from, is tuned on and is judged on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.forward import SAMPLE_ROWS, forward, serve
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.inputs import RowHashes, Rows
from mlflow_clfaudit.evidence.keras_backend import import_keras
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.served import Served, Trial, stratified
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.types import Finding

MIN_HALF = 40
SEED = 20_240_301


@dataclass(frozen=True)
class Wards:
    """The rows of a repair, as one model serves them; no row is in two of the parts.

    `learn` is what weights are fitted to, `tune` what thresholds are chosen on and training is stopped by, `judge`
    what before and after are measured on. `told` says where the judged rows come from.
    """

    learn: Served
    tune: Served
    judge: Served
    told: str

    def served_by(self, network: Network, head: Head) -> Wards:
        """The same rows as another model serves them."""
        learn, tune, judge = (served_by(network, head, part) for part in (self.learn, self.tune, self.judge))
        return Wards(learn, tune, judge, self.told)


@dataclass(frozen=True)
class Patient:
    """What a repair is given: the model as it is now, why it is mended, and how long training may take.

    `evidence` is about the model as it is now; `seconds` bound one training, and `telling` is told how far it is.
    """

    finding: Finding
    evidence: Evidence
    rows: Wards
    seconds: float
    seed: int = SEED
    telling: Callable[[str], None] = lambda _: None

    @property
    def head(self) -> Head:
        head: Head = self.evidence.get("head")
        return head

    @property
    def spec(self) -> Spec:
        spec: Spec = self.evidence.get("spec")
        return spec

    @property
    def fit(self) -> FitArguments:
        fit: FitArguments = self.evidence.get("fit")
        return fit

    @property
    def keras(self) -> Any:
        return import_keras(self.spec.backend, "auto")

    @property
    def backend(self) -> str:
        return str(self.evidence.get("network").backend)

    @property
    def logged_epochs(self) -> int:
        """How many epochs the run trained for, by its curves or its params; 0 where neither says so."""
        history: History | None = self.evidence.find("history")
        return (history.epochs if history is not None else 0) or self.fit.epochs or 0

    def fresh(self) -> Network:
        """A copy of the model that may be changed, with its head tapped."""
        network: Network = self.evidence.replaced(keras_file=self.evidence.get("keras_file")).get("network")
        return network


def served_by(network: Network, head: Head, rows: Served) -> Served:
    """What a model says about rows that another one served. Outputs that are not finite decide for class 0.

    Raises:
        Missing: its outputs are none for these classes.
    """
    features, logits, outputs = forward(network, rows.inputs)
    outputs = outputs[:, None] if outputs.ndim == 1 else outputs
    if outputs.ndim != 2:
        raise Missing(f"outputs of shape {outputs.shape} are not judged")
    return replace(rows, head=head, outputs=outputs, logits=logits, features=features)


def wards(evidence: Evidence, *, mixed: bool = False) -> Wards:
    """Sort the run's rows into what is learnt from, tuned on and judged on.

    With `mixed`, training and validation rows are pooled and split anew, every class in every part. Where the run has
    a test set of its own, that is judged on; else held-out rows are halved into tuned and judged ones, if they are
    enough; where no rows were held out, the parts are cut from the training rows.

    Raises:
        Missing: the rows or the model are not there, or too few of a class.
    """
    test = _own_test(evidence)
    if mixed:
        pool = _sample(_pooled(evidence), 3 * SAMPLE_ROWS)
        rest, judge = (pool, test) if test is not None else _cut(pool, 0.2)
        learn, tune = _cut(rest, 0.2)
        told = "the test rows" if test is not None else "rows of the new split, which the logged model had seen in part"
        return Wards(learn, tune, judge, told)
    trial: Trial = evidence.get("trial")
    learn, judge = trial.fit, trial.judge
    if test is not None and trial.judge.split != "test":
        return Wards(learn, judge, test, "the test rows")
    told = f"{judge.split} rows" if judge.held_out else "training rows that the repair did not learn from"
    counts = np.bincount(judge.truth)
    if judge.rows >= 2 * MIN_HALF and counts[counts > 0].min() >= 4:
        tune, judge = _cut(judge, 0.5)
    else:
        learn, tune = _cut(learn, 0.2)
    return Wards(learn, tune, judge, told)


def _own_test(evidence: Evidence) -> Served | None:
    """The test rows, where they are of several classes and none of them was trained or validated on."""
    rows = evidence.find("rows") or {}
    hashes: RowHashes | None = evidence.find("row_hashes")
    test: Rows | None = rows.get("test")
    if test is None or hashes is None or "test" not in hashes.splits:
        return None
    others = [split for split in ("train", "validation") if split in hashes.splits]
    if any(hashes.shared("test", other).any() for other in others) or len(test.labels.classes) < 2:
        return None
    return _sample(serve(evidence.get("network"), test, evidence.get("head")), SAMPLE_ROWS)


def _pooled(evidence: Evidence) -> Served:
    """Training and validation rows together, in the order of the splits."""
    rows = evidence.get("rows")
    network, head = evidence.get("network"), evidence.get("head")
    parts = [serve(network, rows[split], head) for split in ("train", "validation") if split in rows]
    if not parts:
        raise Missing("the run has no training rows with labels")
    whole = parts[0]
    for part in parts[1:]:
        whole = joined(whole, part)
    return replace(whole, held_out=False)


def joined(first: Served, second: Served) -> Served:
    """The rows of both, the first ones first."""

    def both(name: str) -> Any:
        one, other = getattr(first, name), getattr(second, name)
        if one is None or other is None:
            return None
        if isinstance(one, dict):
            return {key: np.concatenate([one[key], other[key]]) for key in one}
        return np.concatenate([np.asarray(one), np.asarray(other)])

    names = ("outputs", "truth", "logits", "features", "inputs")
    classes = max(first.classes, second.classes)
    return replace(first, classes=classes, **{name: both(name) for name in names})


def _cut(served: Served, share: float) -> tuple[Served, Served]:
    """Two parts with the same class shares, the second with that share of the rows; a class of one row is in one."""
    common = np.bincount(served.truth)[served.truth] >= 2
    rows = np.flatnonzero(common)
    try:
        first, second = train_test_split(rows, test_size=share, stratify=served.truth[rows], random_state=SEED)
    except ValueError:
        raise Missing("too few rows of a class to learn from some and judge on others") from None
    return served.take(np.sort(np.concatenate([first, np.flatnonzero(~common)]))), served.take(np.sort(second))


def _sample(served: Served, limit: int) -> Served:
    return served if served.rows <= limit else served.take(stratified(served.truth, limit))


class Budget:
    """The seconds that all trainings of a repair may take together."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds

    def share(self, trainings: int) -> float:
        """What one of so many trainings that are still to come may take."""
        return max(self.until - time.monotonic(), 0.0) / max(trainings, 1)
