"""Unmodified training scripts under MLFLOW_CLFAUDIT_AUTO=1 on a real server: each run audited exactly once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.servers import mlflow_server

pytestmark = pytest.mark.slow

KERAS = """
import keras, mlflow, numpy as np
from mlflow.keras import MlflowCallback

random = np.random.default_rng(0)
X = random.normal(size=(200, 4)).astype("float32")
y = (X[:, 0] > 0).astype(int)

def network(activation, loss="binary_crossentropy", metrics=("accuracy",)):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, activation)])
    model.compile("adam", loss, metrics=list(metrics))
    return model

with mlflow.start_run(run_name="callback") as run:
    model = network("softmax")
    model.fit(X, y, epochs=2, verbose=0, validation_split=0.25, callbacks=[MlflowCallback(run)])
    mlflow.keras.log_model(model, name="model")

model = network("softmax")
model.fit(X, y, epochs=2, verbose=0)
with mlflow.start_run(run_name="log_model"):
    mlflow.keras.log_model(model, name="model")

with mlflow.start_run(run_name="regression"):
    model = network("linear", "mse", ())
    model.fit(X, X[:, 1], epochs=1, verbose=0)
    mlflow.keras.log_model(model, name="model")

mlflow.keras.autolog()
with mlflow.start_run(run_name="autolog"):
    network("softmax").fit(X, y, epochs=2, verbose=0, validation_split=0.25)
print("trained")
"""

SKLEARN = """
import mlflow, numpy as np
from sklearn.linear_model import LogisticRegression

X = np.random.default_rng(0).normal(size=(200, 4))
y = (X[:, 0] > 0).astype(int)
mlflow.sklearn.autolog()
with mlflow.start_run(run_name="sklearn"):
    LogisticRegression().fit(X, y)
with mlflow.start_run(run_name="nothing"):
    mlflow.log_metric("rmse", 1.0)
print("trained")
mlflow.start_run(run_name="at exit")
LogisticRegression().fit(X, y)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


def trained(script: str, folder: Path, server: str) -> dict[str, Run]:
    """Run a script as its author would, and the runs that it left by their names."""
    (folder / "train.py").write_text(script)
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": server,
        "MLFLOW_CLFAUDIT_AUTO": "1",
        "MLFLOW_EXPERIMENT_NAME": folder.name,
        "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "1",
        "MLFLOW_CLFAUDIT_TIME_LIMIT": "300",
    }
    ran = subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "trained" in ran.stdout
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name(folder.name)
    assert experiment is not None
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def audits(server: str, run: Run) -> int:
    return len(MlflowClient(server).get_metric_history(run.info.run_id, "clfaudit/seconds"))


def test_every_style_of_keras_script_is_audited_once(server: str, tmp_path: Path) -> None:
    runs = trained(KERAS, tmp_path, server)
    assert set(runs) == {"callback", "log_model", "regression", "autolog"}
    for name in ("callback", "log_model", "autolog"):
        tags = runs[name].data.tags
        assert "clfaudit.error" not in tags
        assert (tags["clfaudit.verdict"], tags["clfaudit.root_cause"]) == ("faulty", "softmax-on-one-unit"), name
        assert audits(server, runs[name]) == 1, name
        evidence = MlflowClient(server).list_artifacts(runs[name].info.run_id, "clfaudit/evidence")
        assert "clfaudit/evidence/labels_train.parquet" in {item.path for item in evidence}, name
    assert not [key for key in runs["regression"].data.tags if key.startswith("clfaudit")]
    assert MlflowClient(server).list_artifacts(runs["regression"].info.run_id, "clfaudit") == []


def test_scikit_learn_scripts_are_audited_once_and_other_runs_left_alone(server: str, tmp_path: Path) -> None:
    runs = trained(SKLEARN, tmp_path, server)
    assert set(runs) == {"sklearn", "nothing", "at exit"}
    assert audits(server, runs["sklearn"]) == 1
    assert not [key for key in runs["nothing"].data.tags if key.startswith("clfaudit")]
    # The interpreter ended this run; its audit is a process of its own, which may still be at work.
    evidence = MlflowClient(server).list_artifacts(runs["at exit"].info.run_id, "clfaudit/evidence")
    assert "clfaudit/evidence/manifest.json" in {item.path for item in evidence}
    assert runs["at exit"].info.status == "FINISHED"
