"""CatBoost: trained here, logged as MLflow logs it, judged through the public entry point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from sklearn.datasets import make_classification

from mlflow_clfaudit.types import Severity, Status, Verdict
from tests.kit import proof_of, ran
from tests.table import NAMES, Table, alarms, audited, found, log_rows, table

pytestmark = pytest.mark.slow
catboost = pytest.importorskip("catboost")
QUIET = {"iterations": 20, "depth": 3, "verbose": 0, "thread_count": 1, "random_seed": 0, "allow_writing_files": False}


def fitted(kind: str, rows: Table, **options: Any) -> Any:
    held_out = {"eval_set": (rows.x_val, rows.y_val)} if "early_stopping_rounds" in options else {}
    return getattr(catboost, kind)(**QUIET | options).fit(rows.x_train, rows.y_train, **held_out)


def log(model: Any, rows: Table, folder: Path, **metrics: float) -> str:
    with mlflow.start_run() as run:
        mlflow.catboost.log_model(model, name="model", pip_requirements=["catboost"])
        log_rows(rows, folder)
        mlflow.log_metrics(metrics)
    return str(run.info.run_id)


@pytest.mark.parametrize("name", ["two", "text", "one against all", "weights of equal classes"])
def test_healthy_trees_are_judged_and_found_healthy(name: str, tracking_uri: str, tmp_path: Path) -> None:
    rows = table(3, names=NAMES) if name == "text" else table(3 if name == "one against all" else 2)
    options = {
        "one against all": {"loss_function": "MultiClassOneVsAll", "iterations": 100, "learning_rate": 0.3},
        "weights of equal classes": {"auto_class_weights": "Balanced"},
    }
    report = audited(log(fitted("CatBoostClassifier", rows, **options.get(name, {})), rows, tmp_path))
    assert alarms(report) == []
    assert report.verdict is Verdict.HEALTHY
    assert report.headline == "catboost · 400 validation rows · CatBoost, CPU"
    assert not report.outcomes_of(Status.FAILED)
    assert {"permuted-labels", "majority-accuracy", "uncalibrated-probabilities"} <= ran(report)


def test_classes_on_a_number_line_are_found(tracking_uri: str, tmp_path: Path) -> None:
    x, y = make_classification(
        1_500, 6, n_informative=5, n_redundant=0, n_classes=6, n_clusters_per_class=1, class_sep=1.5, random_state=3
    )
    rows = Table(x[:700], y[:700], x[700:1100], y[700:1100], x[1100:], y[1100:])
    model = fitted("CatBoostRegressor", rows, iterations=60)
    report = audited(log(model, rows, tmp_path, test_accuracy=0.7))
    assert report.root_cause == "regression-loss"
    finding = found(report, "regression-loss")
    assert finding.level is Severity.ERROR
    assert finding.fix == 'CatBoostClassifier(loss_function="MultiClass")'
    assert (proof_of(finding).after or 0) > (proof_of(finding).before or 1) + 0.2
    # Without a metric of classes the same trees may be a regression of counts.
    assert alarms(audited(log(model, rows, tmp_path))) == []


def test_labels_under_other_names_are_found(tracking_uri: str, tmp_path: Path) -> None:
    rows = table(3, names=NAMES)
    model = fitted("CatBoostClassifier", rows)
    names = np.array(NAMES)
    shifted = [names[(np.searchsorted(names, labels) + 1) % 3] for labels in (rows.y_train, rows.y_val, rows.y_test)]
    moved = Table(rows.x_train, shifted[0], rows.x_val, shifted[1], rows.x_test, shifted[2])
    assert audited(log(model, moved, tmp_path)).root_cause == "permuted-labels"


@pytest.mark.parametrize("option", ["scale_pos_weight", "class_weights"])
def test_weights_that_moved_the_probabilities_too_far_are_found(option: str, tracking_uri: str, tmp_path: Path) -> None:
    rows = table(share=0.93, seed=5)
    given: Any = 60 if option == "scale_pos_weight" else {0: 1, 1: 60}
    model = fitted("CatBoostClassifier", rows, iterations=60, learning_rate=0.05, depth=2, **{option: given})
    finding = found(audited(log(model, rows, tmp_path)), "class-weight-overcorrected")
    assert option in finding.fix
    assert finding.evidence["log_odds_moved"] > 0.7


def test_early_stopping_that_never_stopped_is_found(tracking_uri: str, tmp_path: Path) -> None:
    rows = table()
    never = fitted("CatBoostClassifier", rows, learning_rate=0.02, early_stopping_rounds=5)
    assert "never stopped" in found(audited(log(never, rows, tmp_path)), "solver-not-converged").message
    stopped = fitted("CatBoostClassifier", rows, iterations=400, learning_rate=0.5, early_stopping_rounds=10)
    assert not audited(log(stopped, rows, tmp_path)).fired("solver-not-converged")
