"""Boosted trees of XGBoost, LightGBM and CatBoost, read from their own files: what they answer and were trained for.

The files hold trees as numbers, no code; an LGBMClassifier in a skops file is read from the text of its trees.
"""

from __future__ import annotations

import importlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.archives import DAMAGED, read_member
from mlflow_clfaudit.evidence.class_indices import known_indices
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.solvers import Solver
from mlflow_clfaudit.evidence.spec import Head, Loss
from mlflow_clfaudit.evidence.weighting import ClassWeighting
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
MAX_SCHEMA_BYTES = 256 * 2**20
MAX_ARRAY_BYTES = 2**22
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


@provides(tier=Tier.FORWARD)
def booster(model_folder: Path, flavors: Mapping[str, Any]) -> Booster:
    """The logged boosted trees."""
    flavor = next((name for name in LIBRARIES if name in flavors), None)
    if flavor is None:
        raise Missing("the logged model is none of boosted trees")
    settings = flavors[flavor]
    path = model_folder / str(settings.get("data", settings.get("lgb_model", "")))
    try:
        library = importlib.import_module(flavor)
    except ImportError:
        raise Missing(f"{LIBRARIES[flavor]} is not installed here", f"pip install {flavor}") from None
    try:
        if flavor == "xgboost":
            found = _of_xgboost(library, path, str(settings.get("model_class", "")))
        elif flavor == "catboost":
            found = _of_catboost(library, path, str(settings.get("save_format", "cbm")))
        elif path.suffix == ".skops":
            found = _of_skops(library, path)
        elif path.suffix in (".lgb", ".txt"):
            found = _of_lightgbm(library.Booster(model_file=str(path)))
        else:
            raise Missing("the model is a pickle, which is not run", "--allow-unsafe, where you trust the model")
    except Missing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library says of a stranger's file
        text = first_line(error, 160)
        raise Missing(f"the model does not load: {text}") from None
    if found.objective not in OBJECTIVES:
        raise Missing(f"the objective {found.objective[:40]} is none of classes")
    return found


def _of_xgboost(xgboost: Any, path: Path, model_class: str) -> Booster:
    trees = xgboost.Booster()
    trees.load_model(path)
    learner = json.loads(trees.save_config())["learner"]
    objective = str(learner["objective"]["name"])
    weight = learner["objective"].get("reg_loss_param", {}).get("scale_pos_weight", 1.0)
    best = trees.attr("best_iteration")
    shared: dict[str, Any] = {
        "library": "XGBoost",
        "objective": objective,
        "rounds": int(trees.num_boosted_rounds()),
        "limit": int(trees.num_boosted_rounds()),
        "best": None if best is None else int(best) + 1,
        "positive_weight": float(weight),
    }
    if model_class.rpartition(".")[2] in ("XGBClassifier", "XGBRFClassifier"):
        model = getattr(xgboost, model_class.rpartition(".")[2])()
        model.load_model(path)
        names = getattr(model, "feature_names_in_", None) if trees.feature_names else None
        score = model.predict_proba
        if OBJECTIVES.get(objective) in ("log-odds", "margin"):
            score = _with_margin(model.predict)
        return Booster(
            answer=lambda inputs: score(_named(inputs, names)),
            decide=lambda inputs: np.asarray(model.predict(_named(inputs, names))).astype(np.int64),
            classes=np.asarray(model.classes_),
            **shared,
        )

    def answer(inputs: np.ndarray) -> np.ndarray:
        rows = xgboost.DMatrix(inputs, feature_names=trees.feature_names)
        margins = trees.predict(rows, output_margin=True)
        match OBJECTIVES.get(objective):
            case "distribution":
                return measures.softmax(np.asarray(margins, dtype=np.float64))
            case "probability":
                return measures.sigmoid(np.asarray(margins, dtype=np.float64))
        return np.asarray(margins)

    return Booster(answer=answer, **shared)


def _with_margin(predict: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda inputs: predict(inputs, output_margin=True)


def _named(inputs: np.ndarray, names: Any) -> Any:
    """Rows under the names of the columns that the model was fitted on, where it knows them."""
    if names is None or inputs.ndim != 2 or inputs.shape[1] != len(names):
        return inputs
    import pandas as pd

    return pd.DataFrame(inputs, columns=list(names))


def _of_lightgbm(trees: Any, **fields: Any) -> Booster:
    text = trees.model_to_string(num_iteration=1)
    first = re.search(r"^objective=(\S+)", text, re.MULTILINE)
    options = dict(re.findall(r"^\[(\w+): ([^\]]*)\]$", text, re.MULTILINE))
    rounds = int(trees.current_iteration())
    return Booster(
        library="LightGBM",
        objective=first.group(1) if first is not None else options.get("objective", "unknown"),
        answer=lambda inputs: trees.predict(inputs, validate_features=False),
        rounds=rounds,
        limit=fields.pop("limit", rounds),
        positive_weight=float(options.get("scale_pos_weight", 1.0)),
        unbalanced=options.get("is_unbalance") == "1",
        **fields,
    )


def _of_catboost(catboost: Any, path: Path, form: str) -> Booster:
    """A CatBoostClassifier, a CatBoostRegressor or a plain CatBoost: their file is the same and says all parameters."""
    if form not in ("cbm", "json"):
        raise Missing(f"trees that were saved as {form[:20]} are not read")
    trees = catboost.CatBoost()
    trees.load_model(str(path), format=form)
    options = trees.get_all_params()
    objective = str(options.get("loss_function", "unknown")).partition(":")[0]
    classes = np.asarray(trees.classes_)
    rounds = int(trees.tree_count_)
    best = trees.get_best_iteration()
    shared: dict[str, Any] = {
        "library": "CatBoost",
        "objective": objective,
        "rounds": rounds,
        "limit": int(options.get("iterations", rounds)),
        # The best round is known wherever there was an evaluation set, early stopping or not.
        "best": int(best) + 1 if best is not None and "od_wait" in options else None,
    }
    if not len(classes):
        return Booster(answer=lambda inputs: trees.predict(inputs, prediction_type="RawFormulaVal"), **shared)
    # Those of scale_pos_weight and auto_class_weights are among them.
    weights = options.get("class_weights") or ()
    order = np.argsort(classes, kind="stable")

    def decide(inputs: np.ndarray) -> np.ndarray:
        answers = np.asarray(trees.predict(inputs, prediction_type="Class")).ravel().astype(classes.dtype)
        return np.asarray(order[np.searchsorted(classes[order], answers)], dtype=np.int64)

    return Booster(
        answer=lambda inputs: trees.predict(inputs, prediction_type="Probability"),
        decide=decide,
        classes=classes,
        class_weight=dict(zip(classes.tolist(), weights, strict=True)) if len(weights) == len(classes) else None,
        **shared,
    )


def _of_skops(lightgbm: Any, path: Path) -> Booster:
    """An LGBMClassifier from the text of its trees: nothing of the file is made an object."""
    try:
        with zipfile.ZipFile(path) as archive:
            state = json.loads(read_member(archive, "schema.json", MAX_SCHEMA_BYTES))["content"]["content"]
            handle = state["_Booster"]["content"]["content"]
            text = _plain(handle.get("_handle") or handle.get("handle"))
            classes = _array(archive, state.get("_classes"))
            best, limit = _plain(state.get("_best_iteration")), _plain(state.get("n_estimators"))
            weight = _weights(state.get("class_weight"))
    except (*DAMAGED, TypeError, AttributeError, RecursionError) as error:
        raise Missing(f"the model file cannot be read: {type(error).__name__}") from None
    if not isinstance(text, str):
        raise Missing("the model file holds no trees as text")
    stopped = isinstance(best, int) and best > 0
    return _of_lightgbm(
        lightgbm.Booster(model_str=text),
        classes=classes,
        best=best if stopped else None,
        limit=limit if isinstance(limit, int) else 0,
        class_weight=weight,
    )


def _plain(node: Any) -> Any:
    """The number, text or None that a node of a skops schema stands for; None for what is none."""
    if isinstance(node, dict) and node.get("is_json"):
        return json.loads(str(node.get("content")))
    return None


def _array(archive: zipfile.ZipFile, node: Any) -> np.ndarray | None:
    if not isinstance(node, dict) or not isinstance(node.get("file"), str):
        return None
    content = read_member(archive, node["file"], MAX_ARRAY_BYTES)
    found = np.load(io.BytesIO(content), allow_pickle=False)
    return found if found.ndim == 1 else None


def _weights(node: Any) -> Any:
    """The argument class_weight: balanced, a weight by class, or None."""
    if isinstance(node, dict) and isinstance(node.get("content"), dict):
        return {str(key): _plain(item) for key, item in node["content"].items()}
    return _plain(node)


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

    def reload() -> Any:
        raise Missing("only neural networks are trained on")

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
        reload=reload,
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
        weights *= counts.sum() / (classes * counts)
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
