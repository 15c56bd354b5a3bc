"""The whole way through a real tracking server, as a team has it: train, audit by MLflow's own command, read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.seeds import train
from tests.servers import mlflow_server

pytestmark = pytest.mark.slow


def test_seed_004_through_a_server(tmp_path: Path) -> None:
    with mlflow_server(tmp_path) as address:
        run_id = train("seed_004_constant_predictor", address, tmp_path)
        command = [str(Path(sys.executable).parent / "mlflow"), "clfaudit", run_id, "--format", "json"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"MLFLOW_TRACKING_URI": address},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        report = json.loads(done.stdout)
        run = MlflowClient(address).get_run(run_id)
        stored = {item.path for item in MlflowClient(address).list_artifacts(run_id, "clfaudit")}
    assert report["root_cause"] == run.data.tags["clfaudit.root_cause"] == "under-trained"
    assert report["url"].startswith(address)
    assert "clfaudit/report.html" in stored
    assert run.info.status == "FINISHED"
