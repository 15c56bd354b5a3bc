"""Boosted trees of XGBoost, LightGBM and CatBoost: what they were trained for, and what their answers are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.class_indices import known_indices
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.network import Network, not_trained_on
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.solvers import Solver
from mlflow_clfaudit.evidence.spec import Head, Loss
from mlflow_clfaudit.evidence.weighting import ClassWeighting, balanced_weights
from mlflow_clfaudit.types import Tier

LIBRARIES: Mapping[str, str] = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost"}
# What a booster that was trained for it answers with: margins are log-odds, a number is a regression's.
OBJECTIVES: Mapping[str, str] = {
    "binary:logistic": "probability",
    "reg:logistic": "probability",
    "binary:logitraw": "log-odds",
    "binary:hinge": "margin",
    "multi:softprob": "distribution",
    "multi:softmax": "distribution",
    "binary": "probability",
    "cross_entropy": "probability",
    "xentropy": "probability",
    "multiclass": "distribution",
    "softmax": "distribution",
    "multiclassova": "scores",
    "reg:squarederror": "number",
    "reg:linear": "number",
    "reg:absoluteerror": "number",
    "reg:pseudohubererror": "number",
    "regression": "number",
    "regression_l2": "number",
    "regression_l1": "number",
    "l2": "number",
    "l1": "number",
    "huber": "number",
    "fair": "number",
    "Logloss": "probability",
    "CrossEntropy": "probability",
    "MultiClass": "distribution",
    "MultiClassOneVsAll": "scores",
    "RMSE": "number",
    "MAE": "number",
    "Huber": "number",
}
ABSOLUTE = ("reg:absoluteerror", "regression_l1", "l1", "MAE")
# Metrics that only a classification has.
CLASSIFYING = re.compile(r"acc(uracy)?|auc|f1|precision|recall|log_?loss|error")


@dataclass(frozen=True)
class Booster:
    """Boosted trees and what they were trained for.

    `answer(inputs)` are the outputs (N, C) of the kind that the objective names. `classes` (K,) where the model names
    them, which one of the library's own interface does not. `best` is the best of the `rounds` by early stopping,
    counted from 1, `limit` how many were allowed; `decide(inputs)` the class indices (N,) of the model's own predict.
    """

    library: str
    objective: str
    answer: Callable[[Any], np.ndarray]
    rounds: int
    limit: int
    best: int | None = None
    classes: np.ndarray | None = None
    decide: Callable[[Any], np.ndarray] | None = None
    positive_weight: float = 1.0
    unbalanced: bool = False
    class_weight: Any = None

    @property
    def kind(self) -> str:
        return OBJECTIVES[self.objective]

    def predict_on_batch(self, inputs: Any) -> np.ndarray:
        """The outputs (N, C) of rows (N, D)."""
        found = np.asarray(self.answer(np.asarray(inputs)), dtype=np.float64)
        return found[:, None] if found.ndim == 1 else found


@provides(tier=Tier.FORWARD, where="booster")
def head(booster: Booster) -> Head:
    """What the objective makes of the trees' sum."""
    size = 1 if booster.classes is None else 2
    shared: dict[str, Any] = {"layer": booster.library, "kind": "Estimator"}
    match booster.kind:
        case "probability" if size == 1 or booster.library == "LightGBM":
            return Head(units=1, activations=("sigmoid",), **shared)
        case "log-odds":
            return Head(units=1, link="sigmoid", cut=0.0, **shared)
        case "margin":
            return Head(units=1, cut=0.0, **shared)
        case "number":
            name = "mean_absolute_error" if booster.objective in ABSOLUTE else "mean_squared_error"
            return Head(units=1, loss=Loss(name), **shared)
        case "scores":
            return Head(activations=("sigmoid",), **shared)
    return Head(activations=("softmax",), **shared)


@provides(tier=Tier.FORWARD, where="booster")
def network(booster: Booster, head: Head, labels: Labels | None = None, run: Run | None = None) -> Network:
    """The trees as a model whose rows can be judged; a regression only where the run is a classification."""
    decide = booster.decide
    if booster.kind == "number":
        classes = labels.classes if labels is not None else np.array([])
        if classes.dtype.kind not in "iub" or not np.array_equal(classes.astype(int), np.arange(len(classes))):
            raise Missing("a regression is judged as a classifier only on classes 0, 1, …")
        if len(classes) > 2 and not _classifies(run):
            raise Missing("nothing says that this regression is a classifier", 'mlflow.log_metric("test_accuracy", …)')
        most = len(classes) - 1

        def decide(inputs: Any) -> np.ndarray:
            nearest = np.rint(booster.predict_on_batch(inputs)[:, 0])
            return np.asarray(np.clip(nearest, 0, most), dtype=np.int64)

    return Network(
        model=booster,
        tapped=None,
        reload=not_trained_on("only neural networks are trained on"),
        backend=booster.library,
        device="CPU",
        classes=booster.classes,
        decide=decide,
        head=head,
    )


def _classifies(run: Run | None) -> bool:
    return run is not None and any(CLASSIFYING.search(name.lower()) for name in run.metrics if "-" not in name)


@provides(tier=Tier.FORWARD, where="booster")
def class_weighting(booster: Booster, train_labels: LabelSet) -> ClassWeighting:
    """The weights of the classes: scale_pos_weight, is_unbalance or class_weight."""
    if booster.classes is None:
        codes, classes = train_labels.units
    else:
        codes, classes = known_indices(train_labels, booster.classes)
    counts = np.bincount(codes, minlength=classes).astype(np.float64)
    weights = np.ones(classes)
    if classes == 2 and counts.min() > 0:
        if booster.unbalanced:
            weights[int(np.argmin(counts))] = counts.max() / counts.min()
        weights[1] *= booster.positive_weight
    if booster.class_weight == "balanced" and counts.min() > 0:
        weights *= balanced_weights(counts)
    elif isinstance(booster.class_weight, dict) and booster.classes is not None:
        given = {str(key): value for key, value in booster.class_weight.items()}
        found = [given.get(str(name)) for name in booster.classes.tolist()]
        weights *= [float(item) if isinstance(item, int | float) else 1.0 for item in found]
    if np.ptp(weights) == 0:
        raise Missing("the trees were given no class weights")
    declared: dict[object, float] = dict(enumerate(weights.tolist()))
    return ClassWeighting(declared, np.arange(classes), counts.astype(np.int64), weights, library=booster.library)


@provides(tier=Tier.FORWARD, where="booster")
def solvers(booster: Booster) -> tuple[Solver, ...]:
    """The best round beside the rounds allowed, where early stopping was asked for."""
    if booster.best is None:
        raise Missing("the trees were trained without early stopping", "early_stopping_rounds=20")
    return (Solver(booster.library, booster.best, max(booster.limit, booster.best), is_boosting=True),)
