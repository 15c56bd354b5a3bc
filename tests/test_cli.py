"""The command as a user types it: exit codes, formats, and one line for every mistake."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.registry import all_checks
from tests.test_attach import log_ordered_run


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="mlflow-clfaudit")


@pytest.fixture
def run_id(tracking_uri: str, tmp_path: Path) -> str:
    return log_ordered_run(tmp_path)


def test_a_run_id_is_enough(run_id: str) -> None:
    result = run(run_id)
    assert result.exit_code == 1
    assert "FAULTY" in result.output
    assert "tail-split-of-ordered-data" in result.output


@pytest.mark.parametrize(("fail_on", "code"), [("never", 0), ("warn", 1), ("error", 1), ("blocker", 0)])
def test_exit_code_by_severity(run_id: str, fail_on: str, code: int) -> None:
    assert run(run_id, "--fail-on", fail_on, "--dry-run").exit_code == code


def test_json_is_all_that_stdout_holds(run_id: str) -> None:
    result = run(run_id, "--format", "json", "--dry-run")
    report = json.loads(result.stdout)
    assert (report["schema"], report["run_id"], report["verdict"]) == (1, run_id, "faulty")


def test_json_of_several_runs_is_an_array_and_jsonl_a_line_each(run_id: str) -> None:
    assert len(json.loads(run(run_id, run_id, "--format", "json", "--dry-run").stdout)) == 2
    lines = run(run_id, run_id, "--format", "jsonl", "--dry-run").stdout.splitlines()
    assert [json.loads(line)["run_id"] for line in lines] == [run_id, run_id]


def test_json_file_beside_the_text(run_id: str, tmp_path: Path) -> None:
    result = run(run_id, "--json", str(tmp_path / "report.json"), "--dry-run")
    assert "FAULTY" in result.output
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == "faulty"


@pytest.mark.parametrize(("form", "word"), [("markdown", "#"), ("github", "::error")])
def test_other_formats(run_id: str, form: str, word: str) -> None:
    assert word in run(run_id, "--format", form, "--dry-run").stdout


def test_select_and_ignore(run_id: str) -> None:
    result = run(run_id, "--select", "single-class-validation", "--dry-run", "--format", "json")
    assert [item["check"] for item in json.loads(result.stdout)["findings"]] == ["single-class-validation"]
    ignored = run(
        run_id, "--select", "single-class-validation", "--ignore", "single-class-validation=known", "--dry-run"
    )
    assert ignored.exit_code == 0
    assert "known" in ignored.output


def test_labels_given_on_the_command_line(tracking_uri: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("label\n" + "0\n" * 60)
    (tmp_path / "trained.csv").write_text("label\n" + "0\n1\n" * 60)
    with mlflow.start_run() as active:
        mlflow.log_param("epochs", 3)
    given = ["--labels", f"validation={tmp_path}/mine.csv", "--labels", f"train={tmp_path}/trained.csv"]
    result = run(active.info.run_id, *given, "--select", "single-class-validation", "--dry-run")
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["0" * 32], 3, "no run"),
        (["--experiment", "nowhere"], 3, "no experiment is named"),
        (["--model-uri", "models:/nothing/1"], 3, "no model"),
        (["0" * 32, "--select", "no-such-check"], 2, "no check or area is named"),
        (["0" * 32, "--labels", "validation"], 2, "--labels SPLIT=PATH"),
        (["0" * 32, "--tier", "dear"], 2, "is not one of"),
        (["--dry-run"], 2, "give a RUN_ID"),
        (["explain", "nothing"], 2, "mlflow clfaudit list"),
    ],
)
def test_mistakes_are_one_line_with_the_next_step(
    tracking_uri: str, arguments: list[str], code: int, words: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--labels", "validation=/nowhere/y.npy", "neither a local file nor an artifact"),
        ("--metric", "accuracy=acc_top1", "the run has no such metric; it has"),
        ("--metric", "accuracy", "expected --metric NAME=METRIC"),
        ("--goal", "f1=0.9", "write fp=COST,fn=COST, precision=SHARE or recall=SHARE"),
        ("--cost", "fp=1,fn=-2", "write fp=COST,fn=COST"),
    ],
)
def test_what_the_run_cannot_have_is_a_mistake(run_id: str, option: str, value: str, words: str) -> None:
    result = run(run_id, option, value, "--dry-run")
    assert result.exit_code == 2
    assert words in result.stderr


def test_an_unreachable_server_is_one_line() -> None:
    environment = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "PATH": "/usr/bin"}
    result = subprocess.run(
        [sys.executable, "-m", "mlflow_clfaudit.cli", "0" * 32, "--tracking-uri", "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert result.returncode == 3
    assert "did not answer" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unaudited_run_exits_3(tracking_uri: str) -> None:
    with mlflow.start_run() as active:
        mlflow.log_metric("rmse", 1.0)
    assert run(active.info.run_id).exit_code == 3
    assert MlflowClient().get_run(active.info.run_id).data.tags["clfaudit.verdict"] == "not_audited"


def test_list_and_explain_know_every_check() -> None:
    listed = run("list").output
    for name, check in all_checks().items():
        assert name in listed
        assert check.summary in " ".join(run("explain", name).output.split())


def test_static_tier_imports_no_framework(run_id: str) -> None:
    assert imported_by_static_audit(run_id).isdisjoint({"tensorflow", "keras", "torch", "jax"})


def test_static_tier_is_quick_on_a_healthy_run(tracking_uri: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    folder = tmp_path / "arrays"
    folder.mkdir()
    for split, rows in (("train", 800), ("val", 200)):
        np.save(folder / f"y_{split}.npy", random.integers(0, 3, rows))
        np.save(folder / f"X_{split}.npy", random.normal(size=(rows, 4)))
    with mlflow.start_run() as active:
        mlflow.log_metrics({"loss": 0.3, "val_loss": 0.31, "val_accuracy": 0.9})
        mlflow.log_artifacts(str(folder), "data")
    assert imported_by_static_audit(active.info.run_id).isdisjoint({"scipy.stats", "sklearn", "matplotlib"})


def imported_by_static_audit(run_id: str) -> set[str]:
    code = (
        "import sys; from mlflow_clfaudit import audit_run; "
        f"audit_run({run_id!r}, tier='static', dry_run=True); "
        "print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "PATH": "/usr/bin"},
    )
    return set(result.stdout.split())


def test_what_nobody_foresaw_is_one_line_and_exit_3(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("mlflow_clfaudit.audit.read_run", broken)
    result = run(run_id)
    assert result.exit_code == 3
    assert "ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.output


def test_ctrl_c_says_so_and_exits_130(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow_clfaudit.audit.read_run", interrupted)
    result = run(run_id)
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
