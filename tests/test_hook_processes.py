"""Runs that end in threads, forks and at the end of the interpreter, of two processes at once, on a real server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_clfaudit.lease import leases
from tests.servers import mlflow_server

SCRIPT = """
import os, sys, threading
import mlflow, numpy as np
from sklearn.linear_model import LogisticRegression

X = np.random.default_rng(0).normal(size=(200, 4))
y = (X[:, 0] > 0).astype(int)
mlflow.sklearn.autolog(log_models=False, log_post_training_metrics=False)

def train(name):
    with mlflow.start_run(run_name=f"{sys.argv[1]} {name}"):
        LogisticRegression().fit(X, y)

train("main")
thread = threading.Thread(target=train, args=("thread",))
thread.start()
thread.join()
child = os.fork()
if child == 0:
    train("fork")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
with mlflow.start_run(run_name=f"{sys.argv[1]} outer"), mlflow.start_run(nested=True, run_name=f"{sys.argv[1]} inner"):
    LogisticRegression().fit(X, y)
try:
    with mlflow.start_run(run_name=f"{sys.argv[1]} failed"):
        LogisticRegression().fit(X, y)
        raise MemoryError("on purpose")
except MemoryError:
    pass
mlflow.start_run(run_name=f"{sys.argv[1]} exit")
LogisticRegression().fit(X, y)
"""
AUDITED = ("main", "thread", "fork", "failed", "exit")


@pytest.mark.parametrize(
    "mode", [pytest.param("inprocess", marks=pytest.mark.slow), pytest.param("detached", marks=pytest.mark.long)]
)
def test_each_run_is_audited_once_wherever_it_ends(mode: str, tmp_path: Path) -> None:
    with mlflow_server(tmp_path) as address:
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": address,
            "MLFLOW_CLFAUDIT_AUTO": "1",
            "MLFLOW_CLFAUDIT_MODE": mode,
            "MLFLOW_CLFAUDIT_TIME_LIMIT": "300",
        }
        scripts = [
            subprocess.Popen([sys.executable, "-c", SCRIPT, name], env=environment, stderr=subprocess.PIPE, text=True)
            for name in ("first", "second")
        ]
        for script in scripts:
            _, said = script.communicate(timeout=300)
            assert script.returncode == 0, said
            assert "clfaudit: " not in said
        wanted = {f"{name} {place}" for name in ("first", "second") for place in AUDITED}
        runs = settled(address, wanted)
        client = MlflowClient(address)
        audits = {
            name: len(client.get_metric_history(run.info.run_id, "clfaudit/seconds")) for name, run in runs.items()
        }
        assert {name for name, count in audits.items() if count} == wanted
        assert set(audits.values()) == {0, 1}
        for name, run in runs.items():
            assert "clfaudit.error" not in run.data.tags, name
            assert leases(run.data.tags) == {}, name
            assert run.info.status == ("FAILED" if name.endswith("failed") else "FINISHED"), name


def settled(address: str, wanted: set[str], seconds: float = 240.0) -> dict[str, Run]:
    """The runs by name, once those that are wanted have a verdict and no lease is left."""
    client = MlflowClient(address)
    deadline = time.monotonic() + seconds
    while True:
        runs = {run.info.run_name: run for run in client.search_runs(["0"])}
        done = {name for name, run in runs.items() if "clfaudit.verdict" in run.data.tags}
        if (done >= wanted and not any(leases(run.data.tags) for run in runs.values())) or time.monotonic() > deadline:
            return runs
        time.sleep(0.5)
