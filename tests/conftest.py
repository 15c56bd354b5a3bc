"""What every test needs: quiet libraries, no telemetry, and a tracking store that costs milliseconds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.bytecode import write_bytecode

# Read when the libraries are imported, so set before any test imports them; child processes inherit them.
os.environ.update(
    DO_NOT_TRACK="true",
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    TF_CPP_MIN_LOG_LEVEL="3",
)
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_CLFAUDIT_AUTO"):
    os.environ.pop(name, None)

# A shared machine makes wall clock deadlines say nothing about the code.
settings.register_profile("mlflow_clfaudit", deadline=None)
settings.load_profile("mlflow_clfaudit")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        write_bytecode()


@pytest.fixture(autouse=True)
def no_experiment_of_an_earlier_test() -> None:
    """mlflow.set_experiment leaves its id in the environment, where the scripts that a test starts would find it."""
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite tracking store without runs, made once: MLflow takes two seconds to create its tables."""
    import mlflow

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def tracking_uri(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store of this test's own, current for MLflow, with an experiment whose artifacts lie in tmp_path."""
    import mlflow

    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("tests")
    yield uri
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)
