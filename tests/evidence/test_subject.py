"""Which runs trained a classifier, told without loading a model."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mlflow_clfaudit.evidence.run import LoggedModel, Run
from mlflow_clfaudit.evidence.subject import measures_classes, no_classifier, unchanged
from tests.runs import make_run

MODEL = LoggedModel(uri="models:/m-1", name="model")


def run_with_model(folder: Path, flavors: str, **fields: Any) -> Run:
    (folder / "MLmodel").write_text(f"flavors: {flavors}\n")
    return make_run(models=(MODEL,), fetch_model=lambda _: folder, **fields)


def run_with_network(folder: Path, loss: str, activation: str, metrics: list[str] | None = None) -> Run:
    """A Keras model's own file, as far as it is read here."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": "input", "batch_shape": [None, 3]}},
        {"class_name": "Dense", "config": {"name": "head", "units": 1, "activation": activation}},
    ]
    config = {
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": layers},
        "compile_config": {"loss": loss, "metrics": metrics},
    }
    (folder / "data").mkdir()
    with zipfile.ZipFile(folder / "data" / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.0"}))
    return run_with_model(folder, "{keras: {keras_backend: tensorflow}}")


@pytest.mark.parametrize(
    ("loss", "activation", "metrics"),
    [
        ("binary_crossentropy", "sigmoid", None),
        ("binary_crossentropy", "linear", None),
        ("hinge", "tanh", None),
        ("mean_squared_error", "sigmoid", None),
        ("mean_squared_error", "linear", ["accuracy"]),
    ],
)
def test_networks_that_classify(tmp_path: Path, loss: str, activation: str, metrics: list[str] | None) -> None:
    assert no_classifier(run_with_network(tmp_path, loss, activation, metrics)) is None


def test_a_network_that_regresses_is_left_alone(tmp_path: Path) -> None:
    assert no_classifier(run_with_network(tmp_path, "mean_squared_error", "linear")) == "the model is no classifier"


@pytest.mark.parametrize(
    ("flavors", "fields"),
    [
        ("{xgboost: {model_class: xgboost.sklearn.XGBClassifier}}", {}),
        ("{transformers: {task: text-classification}}", {}),
        ("{sklearn: {}}", {"tags": {"estimator_class": "sklearn.linear_model._logistic.LogisticRegression"}}),
        ("{lightgbm: {}}", {"params": {"objective": "multiclass"}}),
        ("{pytorch: {}}", {"metrics": {"val_acc": [0.5, 0.6]}}),
        ("{sklearn: {}}", {"metrics": {"training_roc_auc": [0.7]}}),
    ],
    ids=["xgboost", "transformers", "sklearn", "lightgbm", "pytorch", "autologged"],
)
def test_models_of_other_flavors_that_classify(tmp_path: Path, flavors: str, fields: dict[str, Any]) -> None:
    assert no_classifier(run_with_model(tmp_path, flavors, **fields)) is None


@pytest.mark.parametrize(
    ("flavors", "fields"),
    [
        ("{xgboost: {model_class: xgboost.sklearn.XGBRegressor}}", {}),
        ("{sklearn: {}}", {"metrics": {"training_r2_score": [0.7]}}),
        ("{lightgbm: {}}", {"params": {"objective": "regression"}}),
        ("[]", {}),
    ],
    ids=["xgboost", "sklearn", "lightgbm", "damaged"],
)
def test_models_that_nothing_says_to_classify_are_left_alone(
    tmp_path: Path, flavors: str, fields: dict[str, Any]
) -> None:
    assert no_classifier(run_with_model(tmp_path, flavors, **fields))


def test_curves_or_labels_stand_for_a_model_that_was_not_logged(tmp_path: Path) -> None:
    assert no_classifier(make_run(metrics={"loss": [0.7, 0.6], "accuracy": [0.5, 0.6]})) is None
    assert no_classifier(make_run(metrics={"accuracy": [0.5]})) == "the run logged no model"
    (tmp_path / "clfaudit" / "logged").mkdir(parents=True)
    (tmp_path / "clfaudit" / "logged" / "labels_train.parquet").touch()
    assert no_classifier(make_run(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("accuracy", True),
        ("val_acc", True),
        ("training_roc_auc", True),
        ("test_f1_macro", True),
        ("rmse", False),
        ("pace", False),
        ("cpu_fraction", False),
    ],
)
def test_metrics_of_classes_are_told_by_whole_words(name: str, classes: bool) -> None:
    assert measures_classes([name]) is classes


def test_a_run_is_unchanged_while_its_digest_is_the_one_that_was_audited() -> None:
    run = make_run(params={"epochs": "5"})
    tags = {"clfaudit.verdict": "healthy", "clfaudit.evidence": run.digest}
    assert unchanged(run) is None
    assert unchanged(make_run(params={"epochs": "5"}, tags=tags)) is not None
    assert unchanged(make_run(params={"epochs": "6"}, tags=tags)) is None
