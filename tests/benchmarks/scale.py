"""How the cost of an audit grows with labels, with classes and with rows; drawn in docs/performance.svg."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

PICTURE = Path(__file__).parents[2] / "docs" / "performance.svg"
LABELS = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
CLASSES = (10, 100, 1_000, 10_000)
LABELS_OF_CLASSES = 1_000_000
ROWS = (100_000, 300_000, 1_000_000)
LOG_LABELS = """
import mlflow, numpy as np, sys, tempfile
rows, classes = map(int, sys.argv[1:])
random = np.random.default_rng(0)
with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
    np.save(f"{folder}/y_train.npy", random.integers(0, classes, rows))
    np.save(f"{folder}/y_val.npy", random.integers(0, classes, rows // 4))
    mlflow.log_artifacts(folder, "data")
print(run.info.run_id)
"""
LOG_ROWS = """
import keras, mlflow, numpy as np, sys, tempfile
random = np.random.default_rng(0)
keras.utils.set_random_seed(0)
direction = random.normal(size=100).astype("float32")
layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(32, "relu"), keras.layers.Dense(1, "sigmoid")]
model = keras.Sequential([keras.Input((100,)), *layers])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
    mlflow.keras.autolog(log_models=False)
    for split, rows in (("val", int(sys.argv[1])), ("train", 20_000)):
        X = random.standard_normal((rows, 100), dtype="float32")
        y = (X @ direction + random.normal(0, 1, rows) > 0).astype("int64")
        np.save(f"{folder}/X_{split}.npy", X)
        np.save(f"{folder}/y_{split}.npy", y)
    model.fit(X, y, epochs=3, batch_size=256, verbose=0)
    mlflow.keras.log_model(model, name="model")
    mlflow.log_artifacts(folder, "data")
print(run.info.run_id)
"""
# The second audit of a process: without imports and compilation.
AUDIT = """
import json, resource, sys
from mlflow_clfaudit import audit_run
audit_run(sys.argv[1], tier=sys.argv[2], dry_run=True)
before = resource.getrusage(resource.RUSAGE_SELF)
audit_run(sys.argv[1], tier=sys.argv[2], dry_run=True)
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
"""


@dataclass(frozen=True)
class Curve:
    """Processor seconds of an audit by the size of what it audits."""

    name: str
    unit: str
    seconds: dict[int, float]

    @property
    def growth(self) -> float:
        """Times dearer at the largest size than at the one before, over times larger: 1 is linear growth."""
        (small, less), (large, more) = list(self.seconds.items())[-2:]
        return (more / less) / (large / small)


def measure() -> list[Curve]:
    """A run of each size is logged and audited in a process of its own."""
    labels = {size: seconds(LOG_LABELS, "static", size, 2) for size in LABELS}
    classes = {size: seconds(LOG_LABELS, "static", LABELS_OF_CLASSES, size) for size in CLASSES}
    rows = {size: seconds(LOG_ROWS, "forward", size) for size in ROWS}
    return [
        Curve("labels of two classes, static tier", "labels", labels),
        Curve(f"{LABELS_OF_CLASSES:,} labels, static tier".replace(",", " "), "classes", classes),
        Curve("rows of 100 columns, forward tier", "rows", rows),
    ]


def seconds(log: str, tier: str, *sizes: int) -> float:
    """Log a run of these sizes, audit it twice, and return the processor seconds of the second audit."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "TF_CPP_MIN_LOG_LEVEL": "3"}
        ask = partial(last_line, environment=environment, folder=folder)
        taken = float(json.loads(ask(AUDIT, ask(log, *map(str, sizes)), tier)))
    sys.stderr.write(f"{tier}, {sizes}: {taken:.2f} s\n")
    return taken


def last_line(code: str, *arguments: str, environment: dict[str, str], folder: str) -> str:
    """What a script printed last."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def draw(curves: list[Curve], path: Path = PICTURE) -> None:
    """The curves beside each other, both axes logarithmic, with a line of linear growth through the last point."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "clfaudit"
    figure, axes = plt.subplots(1, len(curves), figsize=(11, 3.4), layout="constrained")
    for axis, curve in zip(axes, curves, strict=True):
        sizes, taken = list(curve.seconds), list(curve.seconds.values())
        axis.loglog(sizes, [taken[-1] * size / sizes[-1] for size in sizes], "--", color="0.6", label="linear")
        axis.loglog(sizes, taken, "o-", color="#0072b2", label="measured")
        axis.set(title=curve.name, xlabel=curve.unit, ylabel="processor seconds")
    axes[0].legend()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def section() -> str:
    """The part of docs/performance.md about growth."""
    curves = measure()
    draw(curves)
    rows = "\n".join(
        f"| {curve.name} | "
        + ", ".join(f"{size:,}: {taken:.2f}".replace(",", " ") for size, taken in curve.seconds.items())
        + f" | {curve.growth:.2f} |"
        for curve in curves
    )
    return f"""![Processor seconds of an audit by labels, classes and rows](performance.svg)

Processor seconds of the second audit in a process, so without imports. The last column says how many times dearer the
largest was than the one before, over how many times larger: 1 is linear growth, less is cheaper than that.

| what | size: processor seconds | growth |
|---|---|---|
{rows}
"""
