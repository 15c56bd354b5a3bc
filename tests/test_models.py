"""Models as MLflow really keeps, loses and cannot load them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_clfaudit import Report, audit_run
from mlflow_clfaudit.types import Status

pytestmark = pytest.mark.slow

PREAMBLE = """
import keras, mlflow, numpy as np
random = np.random.default_rng(0)
X = random.normal(size=(64, 2)); y = (X[:, 0] > 0).astype(int)
np.save("y_train.npy", y); np.save("X_train.npy", X)
def network(*hidden, head=None):
    layers = [keras.Input((2,)), *hidden, head or keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model
def log_arrays():
    mlflow.log_artifact("X_train.npy", "data"); mlflow.log_artifact("y_train.npy", "data")
"""
LOST = """
mlflow.keras.autolog()
with mlflow.start_run() as run:
    network().fit(X, y, validation_data=(X, y), epochs=60, verbose=0)
    log_arrays()
print(run.info.run_id)
"""
LAMBDA = """
with mlflow.start_run() as run:
    model = network(keras.layers.Lambda(lambda x: x * 2), head=keras.layers.Dense(1, activation="softmax"))
    mlflow.keras.log_model(model, name="model")
    log_arrays()
print(run.info.run_id)
"""
CUSTOM = """
class Doubled(keras.layers.Layer):
    def call(self, x):
        return x * 2
with mlflow.start_run() as run:
    model = network(Doubled(), head=keras.layers.Dense(1, activation="softmax"))
    mlflow.keras.log_model(model, name="model")
    log_arrays()
print(run.info.run_id)
"""
SHORTER = """
with mlflow.start_run() as run:
    mlflow.keras.log_model(network(), name="model")
    np.save("y_train.npy", y[:-1])
    log_arrays()
print(run.info.run_id)
"""


def audited(script: str, tracking_uri: str, folder: Path) -> Report:
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + script],
        cwd=folder,
        env=os.environ | {"MLFLOW_TRACKING_URI": tracking_uri},
        capture_output=True,
        text=True,
        check=True,
    )
    return audit_run(done.stdout.split()[-1], tracking_uri=tracking_uri)


def reasons(report: Report) -> str:
    return "\n".join(f"{item.reason} {item.how_to_supply}" for item in report.outcomes_of(Status.SKIPPED))


def test_a_model_that_mlflow_lost_is_named_and_the_rest_is_judged(tracking_uri: str, tmp_path: Path) -> None:
    report = audited(LOST, tracking_uri, tmp_path)
    assert "MLflow failed to store the model" in reasons(report)
    assert "mlflow.keras.autolog(log_models=False)" in reasons(report)
    assert report.outcomes_of(Status.PASSED)


@pytest.mark.parametrize("script", [LAMBDA, CUSTOM], ids=["lambda", "custom layer"])
def test_a_model_that_does_not_load_is_judged_statically(script: str, tracking_uri: str, tmp_path: Path) -> None:
    report = audited(script, tracking_uri, tmp_path)
    assert report.root_cause == "softmax-on-one-unit"
    assert "the model does not load" in (report.findings[0].unproven or "") + reasons(report)
    assert report.outcomes_of(Status.FAILED) == []


def test_labels_that_are_shorter_than_the_inputs_are_a_reason(tracking_uri: str, tmp_path: Path) -> None:
    report = audited(SHORTER, tracking_uri, tmp_path)
    assert "64 rows of inputs but 63 labels" in reasons(report)
