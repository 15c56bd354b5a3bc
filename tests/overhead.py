"""`python -m tests.overhead`: what the hook adds to a training; writes docs/overhead.md.

Each training is a whole run: begin, autologged fit(), end. The time that passes in the hook's own code is measured
within the same run, so that what else the machine does slows both alike.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from mlflow_clfaudit import autolog
from mlflow_clfaudit.hook import failures

ROOT = Path(__file__).parents[1]
ROUNDS = 3
GOAL_SHARE, GOAL_SECONDS = 0.02, 0.5
LOG = {"log_models": False, "silent": True}


def keras_training(rows: int, columns: int, epochs: int) -> Callable[[], None]:
    import keras

    inputs, labels = data(rows, columns)

    def train() -> None:
        keras.utils.set_random_seed(0)
        net = keras.Sequential(
            [keras.Input((columns,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(1, "sigmoid")]
        )
        net.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        net.fit(inputs, labels, epochs=epochs, batch_size=128, validation_split=0.2, verbose=0)

    return train


def sklearn_training(rows: int, columns: int, trees: int) -> Callable[[], None]:
    from sklearn.ensemble import RandomForestClassifier

    inputs, labels = data(rows, columns)
    return lambda: RandomForestClassifier(trees, random_state=0).fit(inputs, labels)


def data(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    inputs = np.random.default_rng(0).normal(size=(rows, columns)).astype("float32")
    return inputs, (inputs[:, 0] > 0).astype(int)


def workloads() -> dict[str, Callable[[], None]]:
    return {
        "scikit-learn, forest of 50 trees, 800 × 12": sklearn_training(800, 12, 50),
        "scikit-learn, forest of 100 trees, 20 000 × 20 (1.6 MB)": sklearn_training(20_000, 20, 100),
        "Keras, 800 × 12 (38 kB), 5 epochs": keras_training(800, 12, 5),
        "Keras, 20 000 × 100 (8 MB), 10 epochs": keras_training(20_000, 100, 10),
        "Keras, 60 000 × 784 (188 MB, more than is kept), 3 epochs": keras_training(60_000, 784, 3),
    }


@contextlib.contextmanager
def timed_hook() -> Iterator[list[float]]:
    """The seconds that pass in the hook's code, as they come: all of it runs behind its one guard."""
    original, spent, depth = failures.contained, [], [0]

    @contextlib.contextmanager
    def guarded(*arguments: Any) -> Iterator[None]:
        depth[0] += 1
        began = time.perf_counter()
        try:
            with original(*arguments):
                yield
        finally:
            depth[0] -= 1
            if depth[0] == 0:
                spent.append(time.perf_counter() - began)

    failures.contained = guarded
    try:
        yield spent
    finally:
        failures.contained = original


def measure() -> dict[str, tuple[float, float]]:
    """Seconds of each training outside of the hook's code and in it, the medians of the rounds."""
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("overhead", Path(folder, "files").as_uri()))
        mlflow.keras.autolog(**LOG)
        mlflow.sklearn.autolog(log_post_training_metrics=False, **LOG)
        autolog(mode="deferred", silent=True)
        for name, train in workloads().items():
            taken = []
            for _ in range(ROUNDS + 1):
                with timed_hook() as spent:
                    began = time.perf_counter()
                    with mlflow.start_run():
                        train()
                    whole = time.perf_counter() - began
                taken.append((whole - sum(spent), sum(spent)))
            # The first imports and traces what is needed once in a process.
            measured[name] = (
                statistics.median(training for training, _ in taken[1:]),
                statistics.median(ours for _, ours in taken[1:]),
            )
            print(name, measured[name], f"the first in the process: {taken[0][1]:.2f} s", file=sys.stderr)
    return measured


def page(measured: dict[str, tuple[float, float]]) -> str:
    rows = [
        f"| {name} | {training:.2f} | {ours:.3f} | {ours / training:.1%} |"
        for name, (training, ours) in measured.items()
    ]
    missed = [name for name, (training, ours) in measured.items() if ours > max(GOAL_SHARE * training, GOAL_SECONDS)]
    over = [name for name, (training, ours) in measured.items() if ours > GOAL_SHARE * training and name not in missed]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("mlflow", "keras", "tensorflow-cpu", "scikit-learn"))
    table = "\n".join(rows)
    return f"""# Overhead

What the hook adds to a training before the audit: seeing the fit(), copying labels and a sample of the inputs, logging
them. Measured by `python -m tests.overhead` on {os.cpu_count()} cores ({platform.machine()}), Python
{platform.python_version()}, {libraries}, SQLite store, local artifacts. Whole
autologged runs; the seconds that pass in the hook's code are measured within the same run, medians of {ROUNDS} rounds
after one that warms up. Seconds are those of a machine that others use too: quote the shares. The goal is 2 % of a
training, or half a second where that is more.

| training | seconds without | seconds of the hook | share |
|---|---|---|---|
{table}

- More than 2 %, within half a second: {"; ".join(over) or "none"}.
- More than both: {"; ".join(missed) or "none"}.

Most of it, where data is large, is the sample of the inputs, of at most `MLFLOW_CLFAUDIT_MAX_INPUT_MB`.

The audit itself comes after: in the process within `MLFLOW_CLFAUDIT_TIME_LIMIT`, or outside of it with
`MLFLOW_CLFAUDIT_MODE=detached` or `deferred`.
"""


def main() -> None:
    text = page(measure())
    (ROOT / "docs" / "overhead.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
