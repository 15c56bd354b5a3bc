"""What a user would run instead on the same rows: deepchecks' full suite, in an environment of its own."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.one_run import seconds
from tests.benchmarks.scale import last_line
from tests.matrix.environments import uv

ROUNDS = 3
HOME = Path(__file__).parents[2] / ".matrix" / "deepchecks"
AUDIT = Path(sys.executable).parent / "mlflow-clfaudit"
# Its latest version runs with none of their later ones.
REQUIREMENTS = ("deepchecks==0.19.1", "numpy<2", "pandas<2.3", "plotly<6", "scikit-learn<1.6", "setuptools<80")
LOG = """
import mlflow, numpy as np, sys, tempfile
from sklearn.linear_model import LogisticRegression
random = np.random.default_rng(0)
X = random.normal(size=(2_000, 20))
y = (X[:, 0] + X[:, 1] + random.normal(size=2_000) > 0).astype(int)
with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
    mlflow.sklearn.log_model(LogisticRegression().fit(X[:1_500], y[:1_500]), name="model")
    for split, rows in (("train", slice(1_500)), ("val", slice(1_500, None))):
        np.save(f"{folder}/X_{split}.npy", X[rows])
        np.save(f"{folder}/y_{split}.npy", y[rows])
        for kind, array in (("X", X), ("y", y)):
            np.save(f"{sys.argv[1]}/{kind}_{split}.npy", array[rows])
    mlflow.log_artifacts(folder, "data")
print(run.info.run_id)
"""
DEEPCHECKS = """
import numpy, os, pandas, sys
from deepchecks.tabular import Dataset
from deepchecks.tabular.suites import full_suite
from sklearn.linear_model import LogisticRegression
splits = []
for split in ("train", "val"):
    X, y = (numpy.load(f"{sys.argv[1]}/{kind}_{split}.npy") for kind in "Xy")
    splits.append(Dataset(pandas.DataFrame(X).rename(columns=str).assign(y=y), label="y", cat_features=[]))
train, validation = splits
model = LogisticRegression().fit(train.features_columns, train.label_col)
full_suite().run(train, validation, model).save_as_html(f"{sys.argv[1]}/report.html")
"""


def measure() -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of both, taken in turn, and the megabytes of both reports."""
    python = HOME / "bin" / "python"
    if not python.is_file():
        uv("venv", "--quiet", "--python", sys.executable, HOME)
        uv("pip", "install", "--quiet", "--python", python, *REQUIREMENTS)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        run_id = last_line(LOG, folder, environment=environment, folder=folder)
        commands = {
            "mlflow-clfaudit, report written": [str(AUDIT), run_id, "--allow-unsafe", "--fail-on", "never"],
            "deepchecks, full_suite, report written": [str(python), "-c", DEEPCHECKS, folder],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                taken[name].append(seconds(command, environment, folder))
        reports = (next(Path(folder).rglob("clfaudit/**/*.html")), Path(folder, "report.html"))
        sizes = {name: report.stat().st_size / 1e6 for name, report in zip(commands, reports, strict=True)}
    return {name: statistics.median(values) for name, values in taken.items()}, sizes


def section() -> str:
    """The part of docs/performance.md about other tools."""
    medians, sizes = measure()
    rows = "\n".join(f"| {name} | {medians[name]:.1f} | {sizes[name]:.2f} |" for name in medians)
    ours, theirs = medians.values()
    return f"""2,000 rows × 20 columns and a logistic regression, whole processes, median of {ROUNDS} rounds in turn.

| command | seconds | report, MB |
|---|---|---|
{rows}

deepchecks takes **{theirs / ours:.1f}** × as long. It looks at other things: the columns of the data, one by one.
"""
