"""Many logged runs for the price of a few: two small Keras networks are trained, runs are logged, and then copied."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag

# The second network has the head of seed 002, whose every prediction is 1.0.
HEADS = ("sigmoid", "softmax")
TRAIN = """
import json, keras, mlflow, numpy as np, sys
random = np.random.default_rng(0)
X = random.normal(size=(1_200, 8)).astype("float32")
y = (X[:, 0] + X[:, 1] * X[:, 2] + random.normal(0, 0.3, len(X)) > 0).astype("int64")
for folder, head in zip(sys.argv[1::2], sys.argv[2::2]):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(16, "relu"), keras.layers.Dense(1, head)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    fitted = model.fit(X[:800], y[:800], validation_data=(X[800:], y[800:]), epochs=25, batch_size=32, verbose=0)
    mlflow.keras.save_model(model, f"{folder}/model", pip_requirements=["keras"])
    for name, array in {"X_train": X[:800], "y_train": y[:800], "X_val": X[800:], "y_val": y[800:]}.items():
        np.save(f"{folder}/data/{name}.npy", array)
    with open(f"{folder}/history.json", "w") as file:
        json.dump(fitted.history, file)
"""
PARAMS = {"epochs": "25", "batch_size": "32", "optimizer_name": "adam", "optimizer_learning_rate": "0.001"}


def train(folder: Path) -> list[Path]:
    """The healthy network and the faulty one, each a folder with its model, its data and its history."""
    made = [folder / head for head in HEADS]
    for path in made:
        (path / "data").mkdir(parents=True)
    arguments = [str(part) for pair in zip(made, HEADS, strict=True) for part in pair]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", TRAIN, *arguments], env=environment, check=True, capture_output=True)
    return made


def store(folder: Path, trained: Sequence[Path], count: int, *, logged: int = 8) -> str:
    """The address of a store with `count` finished runs in the experiment "bench", every fourth of them faulty.

    The first `logged` are logged by MLflow; the others are copies of them, row by row, each with its own folder.
    """
    uri = f"sqlite:///{folder}/mlflow.db"
    client = MlflowClient(uri)
    experiment = client.create_experiment("bench", (folder / "files").as_uri())
    for place in range(min(count, logged)):
        log_run(client, experiment, trained[place % 4 == 3], f"run-{place}")
    copy_runs(folder / "mlflow.db", count)
    return uri


def log_run(client: MlflowClient, experiment_id: str, folder: Path, name: str) -> str:
    """Log one finished run with history, params, data and a model, as Keras autologging and a careful user leave it."""
    history: dict[str, list[float]] = json.loads((folder / "history.json").read_text())
    run = client.create_run(experiment_id, run_name=name)
    run_id, started = str(run.info.run_id), run.info.start_time
    curves = [
        Metric(key, value, started + step, step) for key, values in history.items() for step, value in enumerate(values)
    ]
    params = [Param(key, value) for key, value in PARAMS.items()]
    client.log_batch(run_id, metrics=curves, params=params, tags=[RunTag("mlflow.autologging", "keras")])
    client.log_artifacts(run_id, str(folder / "data"), "data")
    model: Any = client.create_logged_model(experiment_id, name="model", source_run_id=run_id)
    client.log_model_artifacts(model.model_id, str(folder / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    client.set_terminated(run_id)
    return run_id


def copy_runs(database: Path, count: int) -> None:
    """Copy the runs of a store, with their models, until there are `count`; files are linked, models share theirs."""
    store = sqlite3.connect(database)
    originals = [row[0] for row in store.execute("SELECT run_uuid FROM runs ORDER BY start_time")]
    models = dict(store.execute("SELECT source_run_id, model_id FROM logged_models"))
    for place in range(len(originals), count):
        run = originals[place % len(originals)]
        known = {run: uuid.uuid4().hex, models[run]: f"m-{uuid.uuid4().hex}"}
        for table in ("runs", "metrics", "latest_metrics", "params", "tags"):
            _copy_rows(store, table, "run_uuid", run, known)
        _copy_rows(store, "logged_models", "model_id", models[run], known)
        _copy_rows(store, "inputs", "source_id", run, known)
        files = database.parent / "files"
        shutil.copytree(files / run, files / known[run], copy_function=os.link)
    store.commit()
    store.close()


def _copy_rows(store: sqlite3.Connection, table: str, column: str, key: str, known: Mapping[str, str]) -> None:
    for row in store.execute(f"SELECT * FROM {table} WHERE {column} = ?", (key,)).fetchall():  # noqa: S608 - ours
        values = [_renamed(value, known) for value in row]
        if table == "inputs":
            values[0] = uuid.uuid4().hex
        store.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - the same


def _renamed(value: Any, known: Mapping[str, str]) -> Any:
    """A value with the identifiers of the copy; a run's artifacts lie in a folder of its name."""
    if not isinstance(value, str):
        return value
    run, *_ = known
    return known.get(value) or value.replace(f"/{run}/", f"/{known[run]}/")
