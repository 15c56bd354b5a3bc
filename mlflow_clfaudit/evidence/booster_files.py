"""Reads boosted trees from the files of XGBoost, LightGBM and CatBoost, which hold trees as numbers, no code.

An LGBMClassifier in a skops file is read from the text of its trees.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides, skops_files
from mlflow_clfaudit.evidence.boosters import LIBRARIES, OBJECTIVES, Booster
from mlflow_clfaudit.evidence.columns import under_names
from mlflow_clfaudit.evidence.network import TRUST
from mlflow_clfaudit.evidence.skops_files import plain
from mlflow_clfaudit.types import Tier

MAX_SCHEMA_BYTES = 256 * 2**20
MAX_ARRAY_BYTES = 2**22


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
            raise Missing("the model is a pickle, which is not run", TRUST)
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
            answer=lambda inputs: score(under_names(inputs, names)),
            decide=lambda inputs: np.asarray(model.predict(under_names(inputs, names))).astype(np.int64),
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
    with skops_files.opened(path) as archive:
        state = skops_files.schema(archive, MAX_SCHEMA_BYTES)["content"]["content"]
        handle = state["_Booster"]["content"]["content"]
        text = plain(handle.get("_handle") or handle.get("handle"))
        classes = skops_files.array(archive, state.get("_classes"), MAX_ARRAY_BYTES)
        classes = classes if classes is not None and classes.ndim == 1 else None
        best, limit = plain(state.get("_best_iteration")), plain(state.get("n_estimators"))
        weight = _weights(state.get("class_weight"))
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


def _weights(node: Any) -> Any:
    """The argument class_weight: balanced, a weight by class, or None."""
    if isinstance(node, dict) and isinstance(node.get("content"), dict):
        return {str(key): plain(item) for key, item in node["content"].items()}
    return plain(node)
