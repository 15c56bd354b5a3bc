"""What the audit of one run costs beside the bare minimum, and beside what a user would run instead.

Commands are timed in turn, round after round, as whole processes; what is reported are ratios of their medians, which
a machine's drift leaves alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROUNDS = 3
# The commands of a few seconds, whose ratio is the smallest, are timed this many times in every round.
SHORT, SHORT_TIMES = 3, 3

GET_RUN = "import mlflow, sys; mlflow.MlflowClient().get_run(sys.argv[1])"
READ_FILES = """
import mlflow, sys, numpy, zipfile, json
client = mlflow.MlflowClient()
run = client.get_run(sys.argv[1])
for key in run.data.metrics:
    client.get_metric_history(sys.argv[1], key)
folder = mlflow.artifacts.download_artifacts(f"runs:/{sys.argv[1]}/data")
for item in client.list_artifacts(sys.argv[1], "data"):
    numpy.load(mlflow.artifacts.download_artifacts(f"runs:/{sys.argv[1]}/{item.path}"), mmap_mode="r")
model = mlflow.artifacts.download_artifacts(f"models:/{run.outputs.model_outputs[0].model_id}")
json.loads(zipfile.ZipFile(f"{model}/data/model.keras").read("config.json"))
"""
PREDICT = """
import mlflow, sys, numpy, keras
run = mlflow.MlflowClient().get_run(sys.argv[1])
model = mlflow.keras.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
folder = mlflow.artifacts.download_artifacts(f"runs:/{sys.argv[1]}/data")
for split in ("train", "val"):
    model.predict(numpy.load(f"{folder}/X_{split}.npy"), verbose=0)
"""

EVALUATE = """
import mlflow, numpy, pandas, sys
run = mlflow.MlflowClient().get_run(sys.argv[1])
model = mlflow.keras.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
folder = mlflow.artifacts.download_artifacts(f"runs:/{sys.argv[1]}/data")
rows = numpy.load(f"{folder}/X_val.npy")
X = pandas.DataFrame(rows.reshape(len(rows), -1)).rename(columns=str)
y = numpy.load(f"{folder}/y_val.npy").ravel()
decide = lambda X: (model.predict(X.to_numpy().reshape(-1, *rows.shape[1:]), verbose=0)[:, 0] > 0.5).astype(int)
with mlflow.start_run():
    mlflow.models.evaluate(
        decide, X.assign(y=y), targets="y", model_type="classifier", evaluators="default",
        evaluator_config={"log_explainer": False},
    )
"""
# Half a second of Python, as the static tier is, before the import of Keras or beside it.
STATIC_WORK = """
import sys, threading, time
import mlflow
importing = threading.Thread(target=__import__, args=("keras",))
if sys.argv[1] == "beside":
    importing.start()
began = time.thread_time()
while time.thread_time() - began < 0.5:
    sum(range(1000))
if sys.argv[1] == "before":
    importing.start()
importing.join()
"""


def commands(healthy: str, faulty: str) -> dict[str, list[str]]:
    """What is timed, by name: the floors first."""
    audit = [str(Path(sys.executable).parent / "mlflow-clfaudit"), "--dry-run", "--fail-on", "never"]
    return {
        "import mlflow, get_run": [sys.executable, "-c", GET_RUN, healthy],
        "the same and reading the same files": [sys.executable, "-c", READ_FILES, healthy],
        "mlflow-clfaudit --tier static": [*audit, healthy, "--tier", "static"],
        "import mlflow and TensorFlow, load, predict once": [sys.executable, "-c", PREDICT, healthy],
        "mlflow-clfaudit, a healthy run": [*audit, healthy],
        "mlflow-clfaudit, a faulty run with counterfactuals": [*audit, faulty],
        "mlflow.models.evaluate, the same data, without SHAP": [sys.executable, "-c", EVALUATE, healthy],
        "import mlflow, half a second of Python, import keras": [sys.executable, "-c", STATIC_WORK, "before"],
        "the same, keras imported by a thread meanwhile": [sys.executable, "-c", STATIC_WORK, "beside"],
    }


def seconds(command: list[str], environment: dict[str, str], folder: str | None = None) -> float:
    """Wall-clock seconds of a command, run in that folder."""
    started = time.perf_counter()
    subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def measure() -> dict[str, float]:
    """Median seconds of each command on the seed 002 program and its corrected twin."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "TF_CPP_MIN_LOG_LEVEL": "3"}
        runs = [
            subprocess.run(
                [sys.executable, ROOT / "examples" / f"seed_002_{name}.py"],
                cwd=folder,
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split()[-1]
            for name in ("fixed", "softmax_on_one_unit")
        ]
        timed = commands(*runs)
        taken: dict[str, list[float]] = {name: [] for name in timed}
        for place in range(ROUNDS):
            for name in [*list(timed)[:SHORT] * (SHORT_TIMES - 1), *timed]:
                taken[name].append(seconds(timed[name], environment))
                sys.stderr.write(f"round {place + 1} of {ROUNDS}: {name}: {taken[name][-1]:.2f} s\n")
    return {name: statistics.median(values) for name, values in taken.items()}


def section() -> str:
    """The part of docs/performance.md about one run."""
    medians = measure()
    rows = "\n".join(f"| {name} | {value:.2f} |" for name, value in medians.items())
    names = list(medians)
    static = medians[names[2]] / medians[names[1]]
    full = medians[names[4]] / medians[names[3]]
    beside = medians[names[8]] / medians[names[7]]
    often = ROUNDS * SHORT_TIMES
    return f"""Whole processes, taken in turn: medians, of {often} for the first {SHORT}, of {ROUNDS} for the others.
The ratios are what to quote.

| command | seconds |
|---|---|
{rows}

- Static tier: **{static:.2f}** × importing MLflow and reading the same files (goal 1.15).
- Full audit of a healthy run: **{full:.2f}** × importing MLflow and TensorFlow, loading the model and predicting once
  (goal 1.3).
- TensorFlow is imported after the static tier, not beside it: a thread that imports it holds Python's lock, and the
  whole takes **{beside:.2f}** × as long.
"""
