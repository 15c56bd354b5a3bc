"""What the doctor says of this environment, of a store that works and of what is broken."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_clfaudit import doctor
from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.doctor import State, examine
from mlflow_clfaudit.errors import Missing


@pytest.fixture(autouse=True)
def keras_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading TensorFlow takes seconds; the slow test does it."""

    def missing(*_: Any) -> None:
        raise Missing("no Keras backend is installed here", "pip install something")

    monkeypatch.setattr("mlflow_clfaudit.evidence.keras_backend.import_keras", missing)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")


def lines(tracking_uri: str | None = None) -> dict[str, tuple[State, str]]:
    return {line.name: (line.state, line.text) for line in examine(tracking_uri)}


def test_ten_lines_and_no_trace(tracking_uri: str) -> None:
    with mlflow.start_run() as run:
        mlflow.log_param("a", 1)
    before = MlflowClient().get_run(run.info.run_id).to_dictionary()
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 0, result.output
    assert len(result.output.splitlines()) == 10
    assert "broken" not in result.output
    assert MlflowClient().get_run(run.info.run_id).to_dictionary() == before
    found = lines()
    assert found["store"][1].startswith(tracking_uri)
    assert run.info.run_id in found["writing"][1]
    assert found["keras"] == (
        State.NOTE,
        "no Keras backend is installed here: Keras models are judged by their files alone; pip install something",
    )
    assert found["device"][0] is State.NOTE
    assert found["command"][0] is State.OK


@pytest.mark.parametrize("older", [True, False])
def test_a_keras_whose_safe_mode_has_holes_is_noted(
    older: bool, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[1]
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (asked,) = declared["keras"]
    safe = asked.removeprefix("keras>=")
    keras = SimpleNamespace(
        __version__="3.13.1" if older else safe,
        backend=SimpleNamespace(backend=lambda: "tensorflow"),
        distribution=SimpleNamespace(list_devices=lambda _: []),
    )
    monkeypatch.setattr("mlflow_clfaudit.evidence.keras_backend.import_keras", lambda *_: keras)
    monkeypatch.setattr(doctor, "requires", lambda _: ["mlflow>=2", f"{asked}; extra == 'keras'"])
    state, text = lines()["keras"]
    assert state is (State.NOTE if older else State.OK)
    said = f': before {safe} a model can run its own code in safe mode; pip install "keras>={safe}"'
    assert text.endswith(said) == older
    assert f"mended in {safe}" in (root / "SECURITY.md").read_text(encoding="utf-8")


def test_an_empty_store_is_fine(tracking_uri: str) -> None:
    assert lines()["writing"] == (State.NOTE, "not tried: the store has no run yet")
    assert lines()["registry"] == (State.OK, "the model registry answered; it has no models")


def test_mlflow_skinny_stands_for_mlflow(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name == "mlflow":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", installed)
    found = lines()
    assert found["package"][0] is State.OK
    assert found["mlflow"][1].startswith("mlflow-skinny ")


def test_a_store_that_is_down_is_broken_and_its_password_is_not_shown() -> None:
    result = CliRunner().invoke(cli, ["doctor", "--tracking-uri", "http://someone:secret@127.0.0.1:9"])
    assert result.exit_code == 3
    assert "broken  store     http://127.0.0.1:9 did not answer: " in result.output
    assert "secret" not in result.output
    assert len(result.output.splitlines()) == 10


def test_a_store_that_may_only_be_read_is_broken(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise MlflowException("PERMISSION_DENIED")

    with mlflow.start_run():
        pass
    monkeypatch.setattr(MlflowClient, "set_tag", refused)
    state, text = lines()["writing"]
    assert state is State.BROKEN
    assert text.endswith("only --dry-run works: PERMISSION_DENIED")


def test_artifacts_that_cannot_be_read_are_broken(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise OSError("the bucket is gone")

    with mlflow.start_run():
        pass
    monkeypatch.setattr(MlflowClient, "list_artifacts", gone)
    state, text = lines()["writing"]
    assert state is State.BROKEN
    assert text.endswith("cannot be read: the bucket is gone")


def test_a_plugin_that_mlflow_does_not_know_is_broken(monkeypatch: pytest.MonkeyPatch, tracking_uri: str) -> None:
    monkeypatch.setattr(doctor, "entry_points", lambda **_: ())
    assert lines()["command"][0] is State.BROKEN


def test_a_dependency_that_is_too_old_is_broken(monkeypatch: pytest.MonkeyPatch, tracking_uri: str) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: ["mlflow>=99", "numpy>=1.26", "keras>=99; extra == 'keras'"])
    state, text = lines()["package"]
    assert state is State.BROKEN
    assert text.endswith(f": mlflow {mlflow.__version__} is older than 99")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "state", "text"),
    [
        ({}, State.OK, "off: MLFLOW_CLFAUDIT_AUTO is not set"),
        ({"MLFLOW_CLFAUDIT_AUTO": "yes"}, State.NOTE, "off: MLFLOW_CLFAUDIT_AUTO='yes' is neither 1 nor true"),
        (
            {"MLFLOW_CLFAUDIT_AUTO": "1", "MLFLOW_CLFAUDIT_MODE": "detached"},
            State.OK,
            "on: mode detached, inputs sample up to 64 MB",
        ),
        (
            {"MLFLOW_CLFAUDIT_AUTO": "1", "MLFLOW_CLFAUDIT_MODE": "whenever"},
            State.NOTE,
            "on: mode inprocess, inputs sample up to 64 MB; defaults, for mode='whenever'",
        ),
    ],
    ids=["off", "misspelt", "on", "on with its defaults"],
)
def test_the_hook_as_it_is_in_a_process_with_this_environment(
    environment: dict[str, str], state: State, text: str
) -> None:
    code = "from mlflow_clfaudit.doctor import _hook; print(*_hook(), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    said_state, said = done.stdout.splitlines()
    assert said_state == state
    assert said.startswith(text)


@pytest.mark.slow
def test_keras_and_its_device_are_named(tracking_uri: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "mlflow-clfaudit", "doctor", "--tracking-uri", tracking_uri],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert [line.split()[1] for line in done.stdout.splitlines()][2:4] == ["keras", "device"]
    assert " on tensorflow " in done.stdout
    assert "models run on the " in done.stdout
