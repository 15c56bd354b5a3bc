"""`python -m tests.overhead`: what the hook adds to a training; writes docs/overhead.md.

Each training is a whole run: begin, autologged fit(), end. What passes in the hook's own code is measured within the
same run, in processor seconds, which what else the machine does hardly changes, and by the clock on the wall.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd

from mlflow_clfaudit import autolog
from mlflow_clfaudit.hook import failures

ROOT = Path(__file__).parents[1]
ROUNDS = 3
GOAL_SHARE, GOAL_SECONDS = 0.02, 0.5
LOG = {"log_models": False, "silent": True}


class Measured(NamedTuple):
    """Processor seconds of a training outside of the hook's code and in it, and the hook's share of a training."""

    training: float
    hook: float
    share: float
    on_the_wall: float


def keras_training(rows: int, columns: int, epochs: int, *, table: bool = False) -> Callable[[], None]:
    import keras

    array, labels = data(rows, columns)
    inputs = pd.DataFrame(array) if table else array

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
        "Keras, the same as a table, 3 epochs": keras_training(60_000, 784, 3, table=True),
    }


def clocks() -> np.ndarray:
    """Seconds of this process's processors, and on the wall."""
    return np.array([time.process_time(), time.perf_counter()])


@contextlib.contextmanager
def timed_hook() -> Iterator[list[np.ndarray]]:
    """What `clocks` count in the hook's code, as it comes: all of it runs behind its one guard."""
    original, spent, depth = failures.contained, [], [0]

    @contextlib.contextmanager
    def guarded(*arguments: Any) -> Iterator[None]:
        depth[0] += 1
        began = clocks()
        try:
            with original(*arguments):
                yield
        finally:
            depth[0] -= 1
            if depth[0] == 0:
                spent.append(clocks() - began)

    failures.contained = guarded
    try:
        yield spent
    finally:
        failures.contained = original


def measure() -> dict[str, Measured]:
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
                    began = clocks()
                    with mlflow.start_run():
                        train()
                    whole = clocks() - began
                ours = np.sum(spent, axis=0)
                taken.append([whole - ours, ours])
            # The first imports and traces what is needed once in a process.
            rounds = np.array(taken[1:])
            training, hook = np.median(rounds[:, :, 0], axis=0)
            share, on_the_wall = np.median(rounds[:, 1] / rounds[:, 0], axis=0)
            measured[name] = Measured(training, hook, share, on_the_wall)
            print(name, measured[name], f"the first in the process: {taken[0][1][0]:.2f} s", file=sys.stderr)
    return measured


def page(measured: dict[str, Measured]) -> str:
    rows = [
        f"| {name} | {item.training:.2f} | {item.hook:.3f} | {item.share:.1%} | {item.on_the_wall:.1%} |"
        for name, item in measured.items()
    ]
    above = {name: item.hook > GOAL_SECONDS for name, item in measured.items() if item.share > GOAL_SHARE}
    missed = [name for name, beyond in above.items() if beyond]
    over = [name for name, beyond in above.items() if not beyond]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("mlflow", "keras", "tensorflow-cpu", "scikit-learn"))
    table = "\n".join(rows)
    return f"""# Overhead

What the hook adds to a training before the audit: seeing the fit(), copying labels and a sample of the inputs, logging
them. Measured by `python -m tests.overhead` on {os.cpu_count()} cores ({platform.machine()}), Python
{platform.python_version()}, {libraries}, SQLite store, local artifacts. Whole
autologged runs; what passes in the hook's code is measured within the same run, in processor seconds of the process,
medians of {ROUNDS} rounds after one that warms up. The share on the wall is larger where a training keeps several cores
busy, for the hook keeps one, and where others use the machine's disks. The goal is 2 % of a training, or half a second
where that is more.

| training | processor seconds without | those of the hook | share | share on the wall |
|---|---|---|---|---|
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
