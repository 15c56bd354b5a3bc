"""Two watchers on a real server while several processes end runs at once, one of them killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_clfaudit.lease import leases
from tests.servers import mlflow_server

TRAINING = """
import sys, tempfile, pathlib
import mlflow, numpy as np
mlflow.set_experiment("watched")
with tempfile.TemporaryDirectory() as folder:
    np.save(pathlib.Path(folder) / "y_train.npy", np.r_[np.ones(50, dtype=int), np.zeros(767, dtype=int)])
    for _ in range(int(sys.argv[1])):
        with mlflow.start_run():
            mlflow.log_params({"epochs": 2, "validation_split": 0.2})
            for step in range(2):
                mlflow.log_metrics({"loss": 0.5 - 0.1 * step, "accuracy": 0.9}, step=step)
            mlflow.log_artifacts(folder, "data")
"""
# The command, but for leases that end sooner.
WATCHING = """
import sys, mlflow
from functools import partial
from mlflow import MlflowClient
from mlflow_clfaudit.lease import Owner
from mlflow_clfaudit.finder import Finder; from mlflow_clfaudit.watch import Watcher, auditor
client = MlflowClient()
watcher = Watcher(Finder(client), auditor(client.tracking_uri, tier="static"), Owner(seconds=20.0))
for watched in watcher.watch(every=0.5, warning=print):
    print(watched.run_id, watched.error, flush=True)
"""


@pytest.mark.parametrize(
    ("processes", "each", "watching", "limit"),
    [
        pytest.param(4, 6, ["-c", WATCHING], 600, marks=pytest.mark.slow, id="24 runs of 4 processes"),
        pytest.param(
            8,
            25,
            ["-m", "mlflow_clfaudit.cli", "watch", "--tier", "static", "--every", "0.5"],
            1800,
            marks=pytest.mark.long,
            id="200 runs of 8 processes",
        ),
    ],
)
def test_each_run_is_audited_exactly_once(
    processes: int, each: int, watching: list[str], limit: float, tmp_path: Path
) -> None:
    with mlflow_server(tmp_path) as address:
        environment = os.environ | {"MLFLOW_TRACKING_URI": address}
        MlflowClient(address).create_experiment("watched")
        started: list[subprocess.Popen[bytes]] = []
        watchers: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(2):
                with (tmp_path / f"watcher{number}.log").open("w") as log:
                    watchers.append(
                        subprocess.Popen([sys.executable, *watching], env=environment, stdout=log, stderr=log)
                    )
            started += watchers
            trainings = [
                subprocess.Popen(
                    [sys.executable, "-c", TRAINING, str(each)], env=environment, stdout=subprocess.DEVNULL
                )
                for _ in range(processes)
            ]
            started += trainings
            began = time.monotonic()
            killed_with = ""
            runs: list[Run] = []
            while time.monotonic() - began < limit:
                runs = runs_of(address)
                audited = [run for run in runs if "clfaudit.verdict" in run.data.tags]
                if (
                    watchers[0].poll() is None
                    and len(audited) >= processes * each // 3
                    and holds(runs, watchers[0].pid)
                ):
                    watchers[0].kill()
                    killed_with = holds(runs_of(address), watchers[0].pid)
                # A verdict is written before its lease is given back.
                if len(audited) == processes * each and not holds(runs, watchers[1].pid):
                    break
                time.sleep(0.1)
            seconds = time.monotonic() - began
            assert [training.wait(60) for training in trainings] == [0] * processes
            assert watchers[0].wait(60) == -signal.SIGKILL
            watchers[1].send_signal(signal.SIGTERM)
            watchers[1].wait(60)
            runs = runs_of(address)
            client = MlflowClient(address)
            audits = [len(client.get_metric_history(run.info.run_id, "clfaudit/seconds")) for run in runs]
        finally:
            for process in started:
                process.kill()
                process.wait()
    shares = [len((tmp_path / f"watcher{number}.log").read_text().splitlines()) for number in range(2)]
    print(
        f"{len(runs)} runs in {seconds:.0f} s, by the watchers {shares}, killed with {killed_with or 'no run at hand'}"
    )
    assert audits == [1] * (processes * each)
    assert {run.data.tags["clfaudit.root_cause"] for run in runs} == {"tail-split-of-ordered-data"}
    # What the killed watcher held when it had just written its verdict ends by itself.
    left = {name for run in runs for name in leases(run.data.tags)}
    assert {name.split("-")[-2] for name in left} <= {str(watchers[0].pid)}
    assert min(shares) > 0


def runs_of(address: str) -> list[Run]:
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("watched")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


def holds(runs: list[Run], process: int) -> str:
    """The run that the watcher of that process id has a lease of."""
    names = {name: run.info.run_id for run in runs for name in leases(run.data.tags)}
    return next((run_id for name, run_id in names.items() if name.split("-")[-2] == str(process)), "")
