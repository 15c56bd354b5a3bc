"""`python -m tests.bench`: what one audit costs beside the bare minimum it cannot go below; writes docs/performance.md.

Commands are timed in turn, round after round, as whole processes; what is reported are ratios of their medians, which
a machine's drift leaves alone.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 5

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
    }


def seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
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
        for _ in range(ROUNDS):
            for name, command in timed.items():
                taken[name].append(seconds(command, environment))
    return {name: statistics.median(values) for name, values in taken.items()}


def page(medians: dict[str, float]) -> str:
    rows = "\n".join(f"| {name} | {value:.2f} |" for name, value in medians.items())
    names = list(medians)
    static = medians[names[2]] / medians[names[1]]
    full = medians[names[4]] / medians[names[3]]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("mlflow", "keras", "tensorflow-cpu"))
    return f"""# Performance

Measured by `make bench` on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()},
{libraries}, SQLite store. Whole processes, median of {ROUNDS} rounds taken in turn; the ratios are what to quote.

| command | seconds |
|---|---|
{rows}

- Static tier: **{static:.2f}** × importing MLflow and reading the same files (goal 1.15).
- Full audit of a healthy run: **{full:.2f}** × importing MLflow and TensorFlow, loading the model and predicting once
  (goal 1.3).
- GPU: not measured.
"""


def main() -> None:
    text = page(measure())
    (ROOT / "docs" / "performance.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
