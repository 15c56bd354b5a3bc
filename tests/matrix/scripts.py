"""The plain scripts that run in the environments: what a user would write."""

from __future__ import annotations

ARRAYS = """
import mlflow, numpy as np

random = np.random.default_rng(0)
x = random.normal(size=(900, 4)).astype("float32")
y = (x.sum(axis=1) + random.normal(scale=0.5, size=900) > 0).astype("int64")
splits = {"train": slice(0, 500), "val": slice(500, 700), "test": slice(700, 900)}
named = {"name": "model"} if int(mlflow.__version__.split(".")[0]) >= 3 else {"artifact_path": "model"}

def log_arrays():
    for split, rows in splits.items():
        for kind, array in (("X", x), ("y", y)):
            np.save(f"{kind}_{split}.npy", array[rows])
            mlflow.log_artifact(f"{kind}_{split}.npy", "data")
"""

NETWORK = """
import keras

held_out = (x[splits["val"]], y[splits["val"]])

def network(activation):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, activation)])
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    return model
"""

KERAS = f"""{ARRAYS}{NETWORK}
for activation in ("softmax", "sigmoid"):
    with mlflow.start_run() as run:
        model = network(activation)
        history = model.fit(x[:500], y[:500], validation_data=held_out, epochs=15, verbose=0).history
        for name, curve in history.items():
            for step, value in enumerate(curve):
                mlflow.log_metric(name, value, step=step)
        log_arrays()
        mlflow.keras.log_model(model, pip_requirements=["keras"], **named)
    print("trained", run.info.run_id)
"""

AUTOLOGGED = f"""{ARRAYS}{NETWORK}
mlflow.keras.autolog()
with mlflow.start_run() as run:
    network("softmax").fit(x[:500], y[:500], validation_data=held_out, epochs=3, verbose=0)
print("trained", run.info.run_id)
"""

SKLEARN = f"""{ARRAYS}
from sklearn.linear_model import LogisticRegression

with mlflow.start_run() as run:
    model = LogisticRegression().fit(x[:500], y[:500])
    mlflow.log_metric("test_accuracy", model.score(x[splits["test"]], y[splits["test"]]))
    log_arrays()
    mlflow.sklearn.log_model(model, pip_requirements=["scikit-learn"], **named)
print("trained", run.info.run_id)
"""

OPENING = """
import mlflow

with mlflow.start_run():
    mlflow.log_metric("loss", 1.0)
mlflow.search_runs()
"""

LOOK = """
import json, sys
from mlflow import MlflowClient

client = MlflowClient()
run = client.get_run(sys.argv[1])
paths = [item.path for item in client.list_artifacts(sys.argv[1], "clfaudit")]
print(json.dumps({"tags": run.data.tags, "paths": paths, "status": run.info.status}))
"""
