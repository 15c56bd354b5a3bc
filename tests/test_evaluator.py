"""The evaluator through mlflow.models.evaluate, on a real store with a logged scikit-learn model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import MetricThreshold
from mlflow.models.evaluation.validation import ModelValidationFailedException
from sklearn.linear_model import LogisticRegression

pytestmark = [
    pytest.mark.slow,
    # What MLflow's own evaluation draws from the libraries of the day is not ours.
    pytest.mark.filterwarnings("ignore"),
]

X = np.random.default_rng(0).normal(size=(300, 3))
Y = (X[:, 0] > 0).astype(int)
GATE = {
    "clfaudit/audited": MetricThreshold(threshold=1, greater_is_better=True),
    "clfaudit/faults": MetricThreshold(threshold=0, greater_is_better=False),
}


@pytest.fixture
def model(tracking_uri: str) -> Iterator[str]:
    """The URI of a model that a run trained and logged."""
    with mlflow.start_run():
        yield mlflow.sklearn.log_model(
            LogisticRegression().fit(X, Y), name="model", pip_requirements=[], input_example=None
        ).model_uri


def evaluated(model: Any, y: Any = Y, **options: Any) -> Any:
    """The result of an evaluation by this evaluator in a run of its own, unless one is active."""
    given = {"evaluators": ["clfaudit"], "model_type": "classifier", "targets": "label", **options}
    return mlflow.models.evaluate(model, pd.DataFrame(X).set_axis(list("abc"), axis=1).assign(label=y), **given)


def tags_of(run_id: str) -> dict[str, str]:
    tags = MlflowClient().get_run(run_id).data.tags
    return {key: value for key, value in tags.items() if key.startswith("clfaudit.")}


def test_a_model_is_audited_with_the_data_it_is_evaluated_on(model: str) -> None:
    run_id = mlflow.active_run().info.run_id
    result = evaluated(model)
    assert result.metrics["clfaudit/audited"] == 1
    assert result.metrics["clfaudit/faults"] == 0
    assert "clfaudit/seconds" not in result.metrics
    assert tags_of(run_id)["clfaudit.verdict"] == "healthy"
    assert "clfaudit/report.html" in {item.path for item in MlflowClient().list_artifacts(run_id, "clfaudit")}
    mlflow.validate_evaluation_results(GATE, result)


def test_it_does_nothing_unasked_and_joins_in_where_it_has_a_config(model: str) -> None:
    run_id = mlflow.active_run().info.run_id
    result = evaluated(model, evaluators=None, evaluator_config={"default": {"log_explainer": False}})
    assert "accuracy_score" in result.metrics
    assert not [name for name in result.metrics if name.startswith("clfaudit")]
    assert tags_of(run_id) == {}
    result = evaluated(model, evaluators=None, evaluator_config={"clfaudit": {"tier": "static"}})
    assert result.metrics["clfaudit/audited"] == 1
    assert "accuracy_score" in result.metrics


def test_beside_the_default_evaluator(model: str) -> None:
    result = evaluated(model, evaluators=["default", "clfaudit"])
    assert {"accuracy_score", "clfaudit/audited"} <= set(result.metrics)


def test_labels_alone_are_audited_too(tracking_uri: str) -> None:
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(
            data=pd.DataFrame({"label": Y, "said": np.zeros_like(Y)}),
            targets="label",
            predictions="said",
            model_type="classifier",
            evaluators=["clfaudit"],
        )
        assert result.metrics["clfaudit/audited"] == 1
        assert evaluated(lambda table: table["a"] > 0).metrics["clfaudit/audited"] == 1
    assert tags_of(run.info.run_id)["clfaudit.verdict"] == "healthy"


def test_a_keras_model_is_run_on_the_data_and_its_training_keeps_its_own_verdict(tracking_uri: str) -> None:
    import keras

    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "softmax")])
    network.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    network.fit(X, Y, epochs=2, verbose=0)
    with mlflow.start_run() as training:
        uri = mlflow.keras.log_model(network, name="model", pip_requirements=[]).model_uri
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(
            uri,
            pd.DataFrame(X.astype("float32")).set_axis(list("abc"), axis=1).assign(label=Y),
            targets="label",
            model_type="classifier",
            evaluators=["clfaudit"],
        )
    assert result.metrics["clfaudit/faults"] > 0
    assert result.metrics["clfaudit/balanced_accuracy"] == 0.5
    assert tags_of(run.info.run_id)["clfaudit.root_cause"] == "softmax-on-one-unit"
    assert tags_of(training.info.run_id) == {}
    with pytest.raises(ModelValidationFailedException, match="clfaudit/faults"):
        mlflow.validate_evaluation_results(GATE, result)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"depth": 3}, "depth is none of split, tier"), ({"tier": "deepest"}, "DEEPEST")],
    ids=["unknown option", "bad value"],
)
def test_what_goes_wrong_is_a_warning_and_a_gate_that_does_not_open(
    model: str, options: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = evaluated(model, evaluator_config={"clfaudit": options})
    assert result.metrics == {"clfaudit/audited": 0.0}
    assert said in caplog.text
    with pytest.raises(ModelValidationFailedException):
        mlflow.validate_evaluation_results(GATE, result)
