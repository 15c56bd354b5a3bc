"""What an audit leaves on a run, on a real SQLite store."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_clfaudit import AuditError, Verdict, audit_run, saved_view
from mlflow_clfaudit.attach import NOTE, VERSION_TAGS
from mlflow_clfaudit.errors import NotWritable
from mlflow_clfaudit.report.tags import CLOSE, OPEN, merged_note
from mlflow_clfaudit.types import AREAS


def log_ordered_run(tmp_path: Path, **tags: str) -> str:
    """A run as seed 004 logged it, without a model: 50 positives first, the tail for validation."""
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    np.save(folder / "y_train.npy", np.r_[np.ones(50, dtype=int), np.zeros(767, dtype=int)])
    with mlflow.start_run(tags=tags) as run:
        mlflow.log_params({"epochs": 50, "validation_split": 0.2, "optimizer_name": "SGD"})
        for epoch, loss in enumerate(np.linspace(0.2, 0.0745, 50)):
            mlflow.log_metrics(
                {"loss": loss, "accuracy": 603 / 653, "val_loss": loss / 4, "val_accuracy": 1.0}, step=epoch
            )
        mlflow.log_artifacts(str(folder), "data")
    return str(run.info.run_id)


class Constant(mlflow.pyfunc.PythonModel):
    """A model that says the same of every row."""

    def predict(self, model_input: pd.DataFrame) -> np.ndarray:
        return np.zeros(len(model_input))


def tags_of(run_id: str) -> dict[str, str]:
    tags = MlflowClient().get_run(run_id).data.tags
    return {key: value for key, value in tags.items() if key.startswith("clfaudit.")}


def test_verdict_tags_report_and_description(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    report = audit_run(run_id)
    tags = tags_of(run_id)
    assert report.verdict is Verdict.FAULTY
    assert tags["clfaudit.verdict"] == "faulty"
    assert tags["clfaudit.root_cause"] == report.root_cause == "tail-split-of-ordered-data"
    assert tags["clfaudit.stratification"] == "error"
    assert {f"clfaudit.{area}" for area in AREAS} < set(tags)
    found = {item.path for item in MlflowClient().list_artifacts(run_id, "clfaudit")}
    assert {"clfaudit/report.html", "clfaudit/report.json", "clfaudit/report.md"} <= found
    note = MlflowClient().get_run(run_id).data.tags[NOTE]
    assert note.startswith(OPEN)
    assert "tail-split-of-ordered-data" in note


def test_an_audit_leaves_the_run_as_it_ended(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    before = MlflowClient().get_run(run_id).info
    audit_run(run_id)
    after = MlflowClient().get_run(run_id).info
    assert (after.status, after.end_time) == (before.status, before.end_time)


def test_a_second_audit_says_the_same_and_leaves_nothing_stale(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    audit_run(run_id)
    first = tags_of(run_id)
    audit_run(run_id)
    second = tags_of(run_id)
    for key in ("clfaudit.audited_at", "clfaudit.report"):
        del first[key], second[key]
    assert first == second


def test_what_a_person_wrote_is_kept(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    MlflowClient().set_tag(run_id, NOTE, "Tried with the *new* features.")
    audit_run(run_id)
    audit_run(run_id)
    note = MlflowClient().get_run(run_id).data.tags[NOTE]
    assert note.endswith("Tried with the *new* features.")
    assert note.count(OPEN) == 1


def test_words_around_and_inside_our_block() -> None:
    note = merged_note(f"above\n\n{OPEN}\nold\n{CLOSE}\n\nbelow", f"{OPEN}\nnew\n{CLOSE}")
    assert "old" not in note
    assert all(word in note for word in ("new", "above", "below"))


def test_dry_run_writes_nothing(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    audit_run(run_id, dry_run=True)
    assert tags_of(run_id) == {}
    assert MlflowClient().list_artifacts(run_id, "clfaudit") == []


def test_no_verdict_without_its_report(tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = log_ordered_run(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_artifacts", full)
    with pytest.raises(NotWritable, match="No space left on device"):
        audit_run(run_id)
    assert tags_of(run_id) == {}


def test_the_reviewers_word_is_honoured(tracking_uri: str, tmp_path: Path) -> None:
    ignore = {
        f"clfaudit.ignore.{name}": "the last day is the test"
        for name in ("tail-split-of-ordered-data", "single-class-validation", "class-shift", "class-missing-from-split")
    }
    run_id = log_ordered_run(tmp_path, **ignore)
    report = audit_run(run_id)
    ignored = [finding for finding in report.findings if finding.ignored]
    assert {finding.ignored for finding in ignored} == {"the last day is the test"}
    assert report.root_cause not in {finding.check for finding in ignored}
    assert report.verdict is not Verdict.FAULTY


def test_a_run_without_anything_to_check_is_not_audited(tracking_uri: str) -> None:
    with mlflow.start_run() as run:
        mlflow.log_metric("rmse", 1.0)
    report = audit_run(run.info.run_id)
    assert report.verdict is Verdict.NOT_AUDITED
    assert tags_of(run.info.run_id)["clfaudit.verdict"] == "not_audited"


def test_the_experiment_gets_a_view_with_faulty_runs_first(tracking_uri: str, tmp_path: Path) -> None:
    faulty = log_ordered_run(tmp_path)
    with mlflow.start_run() as empty:
        mlflow.log_metric("rmse", 1.0)
    for run_id in (empty.info.run_id, faulty):
        audit_run(run_id)
    experiment = mlflow.get_experiment_by_name("tests")
    view = json.loads(experiment.tags[saved_view.TAG])
    assert view["name"] == "clfaudit"
    order = saved_view.STATE["orderByKey"]
    runs = MlflowClient().search_runs([experiment.experiment_id], order_by=[f"{order} DESC"])
    assert [run.info.run_id for run in runs] == [faulty, empty.info.run_id]


def test_a_view_that_cannot_be_written_costs_no_verdict(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise MlflowException("Permission denied")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", forbidden)
    monkeypatch.setattr(MlflowClient, "search_model_versions", forbidden)
    run_id = log_ordered_run(tmp_path)
    audit_run(run_id)
    assert tags_of(run_id)["clfaudit.verdict"] == "faulty"


def test_registered_versions_of_the_audited_model_get_its_verdict(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    client = MlflowClient()
    with mlflow.start_run(run_id=run_id):
        for name in ("other", "model"):
            logged = mlflow.pyfunc.log_model(name=name, python_model=Constant())
            mlflow.register_model(logged.model_uri, name)
    report = audit_run(run_id)
    tags = client.get_model_version("model", "1").tags
    assert tags["clfaudit.verdict"] == "faulty"
    assert tags["clfaudit.root_cause"] == report.root_cause
    assert set(tags) == set(VERSION_TAGS)
    assert client.get_model_version("other", "1").tags == {}
    audit_run(run_id, model_uri="models:/other/1")
    assert client.get_model_version("other", "1").tags["clfaudit.verdict"] == "faulty"


def test_unfinished_and_deleted_runs_are_refused(tracking_uri: str) -> None:
    with mlflow.start_run() as run, pytest.raises(AuditError, match="still RUNNING"):
        audit_run(run.info.run_id)
    MlflowClient().delete_run(run.info.run_id)
    with pytest.raises(AuditError, match="is deleted; `mlflow runs restore"):
        audit_run(run.info.run_id)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("y_val.npy", b"", "y_val.npy is empty"),
        ("y_val.npy", b"\x93NUMPY broken", "cannot be read"),
        ("y_val.csv", b"a,b\nx,y\n", "which of its 2 columns"),
    ],
    ids=["empty", "broken", "unclear"],
)
def test_bad_label_files_are_reasons_not_tracebacks(
    tracking_uri: str, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / name), "data")
    report = audit_run(run.info.run_id, select_checks=["single-class-labels", "dirty-labels"])
    assert any(reason in outcome.reason for outcome in report.outcomes), report.outcomes
    assert report.verdict is Verdict.NOT_AUDITED


def test_object_arrays_are_refused_with_the_line_that_saves_numbers(tracking_uri: str, tmp_path: Path) -> None:
    np.save(tmp_path / "y_train.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / "y_train.npy"))
    report = audit_run(run.info.run_id)
    skipped = next(outcome for outcome in report.outcomes if "Python objects" in outcome.reason)
    assert "astype" in skipped.how_to_supply or "asarray" in skipped.how_to_supply
