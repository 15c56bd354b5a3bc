"""Boosted trees: trained here, logged as MLflow logs them, judged through the public entry point."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from sklearn.datasets import make_classification

from mlflow_clfaudit import audit_run
from mlflow_clfaudit.types import Severity, Status, Verdict
from tests.kit import proof_of, ran
from tests.table import NAMES, Table, alarms, audited, found, log_curves, log_rows, table

pytestmark = pytest.mark.slow
xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")
QUIET = {"verbose": -1, "num_threads": 1, "seed": 0}


def log(flavor: str, model: Any, rows: Table, folder: Path, *, metrics: dict[str, list[float]] | None = None) -> str:
    """Log the model in its flavor with the arrays of all splits."""
    with mlflow.start_run() as run:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(mlflow, flavor).log_model(model, name="model", pip_requirements=[flavor])
        log_rows(rows, folder)
        log_curves(metrics or {})
    return str(run.info.run_id)


def of_xgboost(rows: Table, rounds: int = 20, **params: Any) -> tuple[Any, dict[str, list[float]]]:
    """A native booster and the curves that mlflow.xgboost.autolog logs."""
    curves: dict[str, dict[str, list[float]]] = {}
    early = params.pop("early_stopping_rounds", None)
    model = xgboost.train(
        {"nthread": 1, "max_depth": 3, **params},
        xgboost.DMatrix(rows.x_train, label=rows.y_train),
        num_boost_round=rounds,
        evals=[(xgboost.DMatrix(getattr(rows, f"x_{s}"), getattr(rows, f"y_{s}")), s) for s in ("train", "val")],
        early_stopping_rounds=early,
        evals_result=curves,
        verbose_eval=False,
    )
    return model, {f"{split}-{name}": values for split, item in curves.items() for name, values in item.items()}


def of_lightgbm(rows: Table, rounds: int = 20, **params: Any) -> Any:
    return lightgbm.train({**QUIET, "num_leaves": 8, **params}, lightgbm.Dataset(rows.x_train, rows.y_train), rounds)


def healthy(name: str) -> tuple[str, Any, Table, dict[str, list[float]] | None]:
    two, three, text = table(), table(3), table(3, names=NAMES)
    match name:
        case "xgboost":
            return "xgboost", *reversed_rows(of_xgboost(two, objective="binary:logistic"), two)
        case "xgboost of three":
            return "xgboost", *reversed_rows(of_xgboost(three, objective="multi:softprob", num_class=3), three)
        case "xgboost of a rare class":
            rare = table(share=0.8)
            return "xgboost", *reversed_rows(of_xgboost(rare, objective="binary:logistic"), rare)
        case "xgboost with early stopping":
            stopped = of_xgboost(two, 400, objective="binary:logistic", early_stopping_rounds=10, eta=0.5)
            return "xgboost", *reversed_rows(stopped, two)
        case "XGBClassifier":
            model = xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1)
            return "xgboost", model.fit(three.x_train, three.y_train), three, None
        case "XGBClassifier of two":
            model = xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1)
            return "xgboost", model.fit(two.x_train, two.y_train), two, None
        case "lightgbm":
            return "lightgbm", of_lightgbm(two, objective="binary"), two, None
        case "lightgbm of three":
            return "lightgbm", of_lightgbm(three, objective="multiclass", num_class=3), three, None
        case "LGBMClassifier of text labels":
            model = lightgbm.LGBMClassifier(n_estimators=20, num_leaves=8, verbose=-1, n_jobs=1)
            return "lightgbm", model.fit(text.x_train, text.y_train), text, None
    raise AssertionError(name)


def reversed_rows(
    trained: tuple[Any, dict[str, list[float]]], rows: Table
) -> tuple[Any, Table, dict[str, list[float]]]:
    return trained[0], rows, trained[1]


QUICK = ("xgboost", "LGBMClassifier of text labels")
HEALTHY = [
    "xgboost",
    "xgboost of three",
    "xgboost of a rare class",
    "xgboost with early stopping",
    "XGBClassifier",
    "XGBClassifier of two",
    "lightgbm",
    "lightgbm of three",
    "LGBMClassifier of text labels",
]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in HEALTHY]
)
def test_healthy_trees_are_judged_and_found_healthy(name: str, tracking_uri: str, tmp_path: Path) -> None:
    flavor, model, rows, metrics = healthy(name)
    report = audited(log(flavor, model, rows, tmp_path, metrics=metrics))
    assert alarms(report) == []
    assert report.verdict is Verdict.HEALTHY
    assert report.headline.startswith(f"{flavor} · 400 validation rows")
    assert not report.outcomes_of(Status.FAILED)
    assert {"permuted-labels", "majority-accuracy", "uncalibrated-probabilities", "outputs-not-probabilities"} <= ran(
        report
    )
    # The curves of autologging are a history.
    assert ("overfit" in ran(report)) == (metrics is not None)


@pytest.mark.long
@pytest.mark.parametrize("objective", ["multi:softmax", "binary:logitraw"])
def test_an_objective_without_probabilities_is_named(objective: str, tracking_uri: str, tmp_path: Path) -> None:
    rows = table(3 if objective.startswith("multi") else 2)
    model, _ = of_xgboost(rows, objective=objective, **({"num_class": 3} if objective.startswith("multi") else {}))
    report = audited(log("xgboost", model, rows, tmp_path))
    assert found(report, "outputs-not-probabilities").level is Severity.INFO
    assert objective in found(report, "outputs-not-probabilities").message
    assert alarms(report) == []


def test_classes_on_a_number_line_are_found(tracking_uri: str, tmp_path: Path) -> None:
    x, y = make_classification(
        1_500, 6, n_informative=5, n_redundant=0, n_classes=6, n_clusters_per_class=1, class_sep=1.5, random_state=3
    )
    rows = Table(x[:700], y[:700], x[700:1100], y[700:1100], x[1100:], y[1100:])
    model, _ = of_xgboost(rows, objective="reg:squarederror")
    run_id = log("xgboost", model, rows, tmp_path, metrics={"test_accuracy": [0.7]})
    report = audited(run_id)
    assert report.root_cause == "regression-loss"
    finding = found(report, "regression-loss")
    assert finding.level is Severity.ERROR
    assert proof_of(finding).after == pytest.approx(0.9, abs=0.03)
    assert "multi:softprob" in finding.fix
    # Without a metric of classes the same trees may be a regression of counts.
    regression = audited(log("xgboost", model, rows, tmp_path))
    assert alarms(regression) == []


@pytest.mark.long
@pytest.mark.parametrize("flavor", ["xgboost", "lightgbm"])
def test_weights_that_moved_the_probabilities_too_far_are_found(flavor: str, tracking_uri: str, tmp_path: Path) -> None:
    rows = table(share=0.93, seed=5)
    if flavor == "xgboost":
        model, _ = of_xgboost(rows, 60, objective="binary:logistic", scale_pos_weight=60, eta=0.05, max_depth=2)
    else:
        model = of_lightgbm(rows, 60, objective="binary", scale_pos_weight=60, learning_rate=0.05, num_leaves=4)
    finding = found(audited(log(flavor, model, rows, tmp_path)), "class-weight-overcorrected")
    assert "scale_pos_weight" in finding.fix
    assert finding.evidence["log_odds_moved"] > 0.7


def test_early_stopping_that_never_stopped_is_found(tracking_uri: str, tmp_path: Path) -> None:
    rows = table()
    model, curves = of_xgboost(rows, 20, objective="binary:logistic", early_stopping_rounds=5, eta=0.02)
    report = audited(log("xgboost", model, rows, tmp_path, metrics=curves))
    assert found(report, "solver-not-converged").level is Severity.WARN
    assert "never stopped" in found(report, "solver-not-converged").message


@pytest.mark.long
def test_a_pickled_classifier_of_trees_is_run_only_where_that_was_allowed(tracking_uri: str, tmp_path: Path) -> None:
    rows = table()
    model = lightgbm.LGBMClassifier(n_estimators=10, num_leaves=8, verbose=-1, n_jobs=1).fit(rows.x_train, rows.y_train)
    with mlflow.start_run() as run:
        mlflow.lightgbm.log_model(
            model, name="model", serialization_format="cloudpickle", pip_requirements=["lightgbm"]
        )
        for name in ("x_val", "y_val"):
            np.save(tmp_path / f"{name}.npy", getattr(rows, name))
            mlflow.log_artifact(str(tmp_path / f"{name}.npy"), "data")
    refused = {item.check: item for item in audited(run.info.run_id).outcomes}["permuted-labels"]
    assert refused.reason == "the model is a pickle, which is not run"
    assert "400 validation rows" in audit_run(run.info.run_id, dry_run=True, allow_unsafe=True).headline
