"""The registry as a gate: an audit by model URI, and an alias that moves only to a version that passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_clfaudit import log_labels
from mlflow_clfaudit.cli import cli
from tests.test_attach import Constant, log_ordered_run


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="mlflow-clfaudit")


def promoted(version: str, *options: str) -> Result:
    return run("promote", "churn", version, "--alias", "champion", "--tier", "static", *options)


@pytest.fixture
def registered(tracking_uri: str, tmp_path: Path) -> dict[str, str]:
    """Versions 1, of a healthy run, 2, of a faulty one, and 3, of a run of which nothing can be said; their runs."""
    runs: dict[str, str] = {}
    with mlflow.start_run() as healthy:
        log_labels(np.tile([0, 1], 400), split="train")
        runs["1"] = register(healthy.info.run_id)
    with mlflow.start_run(run_id=log_ordered_run(tmp_path)) as faulty:
        runs["2"] = register(faulty.info.run_id)
    with mlflow.start_run() as silent:
        runs["3"] = register(silent.info.run_id)
    return runs


def register(run_id: str) -> str:
    logged = mlflow.pyfunc.log_model(name="model", python_model=Constant(), pip_requirements=[])
    mlflow.register_model(logged.model_uri, "churn")
    return run_id


def champion() -> str | None:
    aliases = MlflowClient().get_registered_model("churn").aliases
    return str(aliases["champion"]) if "champion" in aliases else None


def test_an_alias_moves_only_to_what_passes(registered: dict[str, str]) -> None:
    passing = promoted("1")
    assert (passing.exit_code, champion()) == (0, "1"), passing.output
    assert passing.stderr == "churn: champion is at version 1\n"
    failing = promoted("2")
    assert (failing.exit_code, champion()) == (1, "1")
    assert failing.stderr == "churn: champion stays at version 1; version 2 does not pass\n"
    assert "tail-split-of-ordered-data" in failing.stdout
    unseen = promoted("3")
    assert (unseen.exit_code, champion()) == (3, "1")
    verdicts = [MlflowClient().get_model_version("churn", str(v)).tags["clfaudit.verdict"] for v in (1, 2, 3)]
    assert verdicts == ["healthy", "faulty", "not_audited"]
    reports = {item.path for item in MlflowClient().list_artifacts(registered["2"], "clfaudit")}
    assert "clfaudit/report.html" in reports
    again = promoted("2", "--fail-on", "blocker")
    assert (again.exit_code, champion()) == (0, "2")
    assert again.stderr == "churn: champion is at version 2, it was at version 1\n"


def test_a_version_of_another_model_leaves_the_verdict_of_its_run(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    with mlflow.start_run(run_id=run_id):
        register(run_id)
        mlflow.pyfunc.log_model(name="last", python_model=Constant(), pip_requirements=[])
    assert promoted("1").exit_code == 1
    assert MlflowClient().get_model_version("churn", "1").tags["clfaudit.verdict"] == "faulty"
    assert "clfaudit.verdict" not in MlflowClient().get_run(run_id).data.tags


def test_what_cannot_be_promoted_is_one_line_and_exit_3(
    registered: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = promoted("9")
    assert (nowhere.exit_code, nowhere.stderr.count("\n")) == (3, 1)
    assert nowhere.stderr.startswith("error: no model 'models:/churn/9'")

    def refused(*_: Any, **__: Any) -> None:
        raise MlflowException("PERMISSION_DENIED")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", refused)
    assert promoted("1").stderr == "error: the alias 'champion' of 'churn' could not be moved: PERMISSION_DENIED\n"
    assert champion() is None


def test_the_gate_of_a_pipeline_is_the_exit_code_of_an_audit_by_model_uri(registered: dict[str, str]) -> None:
    gate = ("--fail-on", "error", "--format", "github", "--tier", "static", "--model-uri")
    assert run(*gate, "models:/churn/1").exit_code == 0
    failing = run(*gate, "models:/churn/2")
    assert failing.exit_code == 1
    assert failing.stdout.startswith("::error")
    assert MlflowClient().get_model_version("churn", "2").tags["clfaudit.verdict"] == "faulty"
    assert run(*gate, "models:/churn/3").exit_code == 3
    MlflowClient().set_registered_model_alias("churn", "challenger", "2")
    assert run(*gate, "models:/churn@challenger").exit_code == 1
