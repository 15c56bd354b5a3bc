"""The hook in this process, on a real store with scikit-learn: what it audits, leaves alone and never does."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.utils.autologging_utils.events import AutologgingEventLogger
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlflow_clfaudit import audit, autolog, capture, hook, log_labels
from mlflow_clfaudit.hook import joints, state
from mlflow_clfaudit.hook.settings import Settings
from mlflow_clfaudit.lease import Owner, leases

X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture
def hooked(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Switches the hook on beside scikit-learn's autologging, and everything off again."""
    monkeypatch.setattr(MlflowClient, "set_terminated", MlflowClient.set_terminated)
    monkeypatch.setattr(mlflow.models.Model, "log", mlflow.models.Model.__dict__["log"])
    monkeypatch.setattr(AutologgingEventLogger, "_event_logger", AutologgingEventLogger._event_logger)
    monkeypatch.setattr(state, "process", state.State())
    monkeypatch.setattr(state, "thread", state.Thread())
    monkeypatch.setattr(joints, "when_imported", joined_only_if_imported)

    def switch_on(**options: Any) -> None:
        autolog(**{"silent": True, **options})
        mlflow.sklearn.autolog(log_models=False, log_post_training_metrics=False, silent=True)

    yield switch_on
    mlflow.sklearn.autolog(disable=True)


def joined_only_if_imported(name: str, callback: Callable[[Any], None]) -> None:
    import sys

    if name in sys.modules and name != "keras":
        callback(sys.modules[name])


def tags_of(run_id: str) -> dict[str, str]:
    tags = MlflowClient().get_run(run_id).data.tags
    return {key: value for key, value in tags.items() if key.startswith("clfaudit.")}


def audits_of(run_id: str) -> int:
    """How often the run was audited: every audit logs its seconds."""
    return len(MlflowClient().get_metric_history(run_id, "clfaudit/seconds"))


def files_of(run_id: str, folder: str = "clfaudit/evidence") -> set[str]:
    return {Path(item.path).name for item in MlflowClient().list_artifacts(run_id, folder)}


def manifest_of(run_id: str) -> dict[str, Any]:
    path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="clfaudit/evidence/manifest.json")
    return dict(json.loads(Path(path).read_text()))


def fit_in_run(model: Any = None, x: Any = X, y: Any = Y) -> str:
    with mlflow.start_run() as run:
        (LogisticRegression() if model is None else model).fit(x, y)
    return str(run.info.run_id)


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())],
    ids=["estimator", "pipeline"],
)
def test_a_run_that_ends_with_a_classifier_is_audited_once(hooked: Callable[..., None], model: Any) -> None:
    hooked()
    run_id = fit_in_run(model)
    assert audits_of(run_id) == 1
    assert tags_of(run_id)["clfaudit.verdict"] == "healthy"
    assert leases(tags_of(run_id)) == {}
    assert "clfaudit.error" not in tags_of(run_id)
    assert files_of(run_id) == {"labels_train.parquet", "inputs_train.npy", "manifest.json"}
    assert "report.html" in files_of(run_id, "clfaudit")
    assert MlflowClient().get_run(run_id).info.status == "FINISHED"


def test_runs_that_autologging_began_itself_are_audited(hooked: Callable[..., None]) -> None:
    hooked()
    LogisticRegression().fit(X, Y)
    (run,) = MlflowClient().search_runs([mlflow.get_experiment_by_name("tests").experiment_id])
    assert audits_of(run.info.run_id) == 1
    assert manifest_of(run.info.run_id)["model"] == "LogisticRegression"


def test_an_audit_of_a_search_begins_no_runs_and_its_children_are_left_alone(hooked: Callable[..., None]) -> None:
    hooked()
    run_id = fit_in_run(GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2))
    runs = MlflowClient().search_runs([mlflow.get_experiment_by_name("tests").experiment_id])
    assert audits_of(run_id) == 1
    assert len(runs) == 3
    for child in (run for run in runs if run.info.run_id != run_id):
        assert tags_of(child.info.run_id) == {}
        assert MlflowClient().list_artifacts(child.info.run_id, "clfaudit") == []


def test_nested_runs_are_audited_by_choice(hooked: Callable[..., None]) -> None:
    for children in (False, True):
        hooked(children=children)
        with mlflow.start_run(), mlflow.start_run(nested=True) as child:
            LogisticRegression().fit(X, Y)
        assert audits_of(child.info.run_id) == int(children)


def test_what_trains_no_classifier_is_left_alone(hooked: Callable[..., None]) -> None:
    hooked()
    with mlflow.start_run() as empty:
        mlflow.log_metric("accuracy", 0.9)
    for run_id in (fit_in_run(LinearRegression(), y=X[:, 1]), empty.info.run_id):
        assert tags_of(run_id) == {}
        assert MlflowClient().list_artifacts(run_id, "clfaudit") == []


def test_labels_that_were_logged_are_enough_to_be_audited(hooked: Callable[..., None]) -> None:
    hooked()
    with mlflow.start_run() as run:
        mlflow.log_params({"epochs": 5, "validation_split": 0.2})
        log_labels(np.r_[np.ones(50), np.zeros(767)], split="train")
    assert tags_of(run.info.run_id)["clfaudit.root_cause"] == "tail-split-of-ordered-data"


def test_a_model_without_autologging_is_audited_too(hooked: Callable[..., None]) -> None:
    hooked()
    mlflow.sklearn.autolog(disable=True)
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(LogisticRegression().fit(X, Y), name="model", pip_requirements=[])
    assert audits_of(run.info.run_id) == 1


def test_a_run_that_ends_twice_is_audited_again_only_if_it_has_changed(hooked: Callable[..., None]) -> None:
    hooked()
    run_id = fit_in_run()
    MlflowClient().set_terminated(run_id)
    with mlflow.start_run(run_id=run_id):
        pass
    assert audits_of(run_id) == 1
    with mlflow.start_run(run_id=run_id):
        LogisticRegression().fit(X, 1 - Y)
        mlflow.log_param("changed", "yes")
    assert audits_of(run_id) == 2


def test_fits_in_a_loop_are_counted_and_the_last_is_kept(
    hooked: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked(mode="deferred")
    uploads: list[str] = []
    log_artifacts = MlflowClient.log_artifacts

    def counted(self: MlflowClient, run_id: str, folder: str, path: str | None = None) -> None:
        uploads.extend([path] if path == "clfaudit/evidence" else [])
        log_artifacts(self, run_id, folder, path)

    monkeypatch.setattr(MlflowClient, "log_artifacts", counted)
    with mlflow.start_run() as run:
        for _ in range(3):
            LogisticRegression().fit(X, Y)
    assert manifest_of(run.info.run_id)["fits"] == 3
    assert uploads == ["clfaudit/evidence"]
    with mlflow.start_run() as run:
        for rows in (60, 50, 40):
            LogisticRegression().fit(X[:rows], Y[:rows])
    assert manifest_of(run.info.run_id)["splits"]["train"]["rows"] == 40
    assert len(uploads) == 3


def test_the_limits_of_inputs_are_the_users(hooked: Callable[..., None]) -> None:
    hooked(mode="deferred", inputs="none")
    assert files_of(fit_in_run()) == {"labels_train.parquet", "manifest.json"}
    hooked(mode="deferred", max_input_mb=X.nbytes / 2 / 2**20)
    assert files_of(fit_in_run()) == {"labels_train.parquet", "inputs_train.npy", "rows_train.npy", "manifest.json"}


def test_a_deferred_run_is_left_to_the_watcher_without_a_mark(hooked: Callable[..., None]) -> None:
    hooked(mode="deferred")
    run_id = fit_in_run()
    assert tags_of(run_id) == {}
    assert "manifest.json" in files_of(run_id)


def test_a_failed_fit_is_captured_and_its_run_judged_by_its_files(hooked: Callable[..., None]) -> None:
    hooked()
    y = np.r_[np.ones(50), np.zeros(767)]
    model = LogisticRegression(solver="no such solver")
    run = mlflow.start_run()
    mlflow.log_param("validation_split", 0.2)
    with pytest.raises(ValueError, match="no such solver"):
        model.fit(np.zeros((817, 2)), y)
    mlflow.end_run("FAILED")
    assert MlflowClient().get_run(run.info.run_id).info.status == "FAILED"
    assert tags_of(run.info.run_id)["clfaudit.root_cause"] == "tail-split-of-ordered-data"


def test_ctrl_c_in_one_fit_does_not_lose_the_next(hooked: Callable[..., None]) -> None:
    class Interrupting:
        shape = (60, 3)

        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            raise KeyboardInterrupt

    hooked(mode="deferred")
    with pytest.raises(KeyboardInterrupt):
        fit_in_run(x=Interrupting())
    assert "manifest.json" in files_of(fit_in_run())


def test_the_verdict_is_one_line_unless_silent(hooked: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    for silent in (True, False):
        caplog.clear()
        hooked(silent=silent)
        with mlflow.start_run(run_name="steady-heron"):
            mlflow.log_param("validation_split", 0.2)
            log_labels(np.r_[np.ones(50), np.zeros(767)], split="train")
        lines = [record.getMessage() for record in caplog.records if record.name == hook.__name__]
        assert len(lines) == int(not silent)
    assert lines[0].startswith("clfaudit: steady-heron is faulty: tail-split-of-ordered-data. ")


@pytest.mark.parametrize(
    ("module", "name"), [(capture, "capture"), (capture, "write"), (audit, "audit")], ids=["capture", "store", "audit"]
)
def test_a_failure_of_ours_is_a_warning_and_a_tag_and_nothing_else(
    hooked: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: Any,
    name: str,
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(module, name, broken)
    hooked(mode="inprocess" if module is audit else "deferred")
    model = LogisticRegression()
    run_id = fit_in_run(model)
    assert model.predict(X).shape == (60,)
    assert MlflowClient().get_run(run_id).info.status == "FINISHED"
    assert any("ZeroDivisionError: on purpose" in record.getMessage() for record in caplog.records)
    if name != "capture":
        assert tags_of(run_id)["clfaudit.error"] == "ZeroDivisionError: on purpose"
    assert "clfaudit.verdict" not in tags_of(run_id)


def test_an_error_of_mlflows_reaches_the_user_as_it_is(
    hooked: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise ConnectionError("the server is gone")

    run = mlflow.start_run()
    monkeypatch.setattr(MlflowClient, "set_terminated", refused)
    hooked()
    with pytest.raises(ConnectionError, match="the server is gone"):
        mlflow.end_run()
    assert audits_of(run.info.run_id) == 0


def test_whoever_listened_before_goes_on_listening(hooked: Callable[..., None]) -> None:
    heard: list[str] = []

    class Listening(AutologgingEventLogger):  # type: ignore[misc]
        def log_original_function_success(self, *args: Any) -> None:
            heard.append(args[2])

    AutologgingEventLogger.set_logger(Listening())
    hooked(mode="deferred")
    hooked(mode="deferred")
    run_id = fit_in_run()
    assert heard.count("fit") == 1
    assert manifest_of(run_id)["fits"] == 1


def test_it_can_be_switched_off_and_on(hooked: Callable[..., None]) -> None:
    hooked()
    autolog(disable=True)
    assert audits_of(fit_in_run()) == 0
    hooked()
    assert audits_of(fit_in_run()) == 1


def test_a_run_is_marked_while_it_is_audited(hooked: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []
    original = audit.audit

    def watched(run: Any, **options: Any) -> Any:
        seen.append(tags_of(run.run_id))
        return original(run, **options)

    monkeypatch.setattr(audit, "audit", watched)
    hooked()
    run_id = fit_in_run()
    assert Owner(name=f"hook-{run_id}").holds(seen[0])
    assert leases(tags_of(run_id)) == {}


@pytest.mark.parametrize(("status", "tier"), [("FINISHED", "probe"), ("FAILED", "static"), ("KILLED", "static")])
def test_an_audit_has_a_time_limit_and_runs_no_model_of_a_run_that_failed(
    hooked: Callable[..., None], monkeypatch: pytest.MonkeyPatch, status: str, tier: str
) -> None:
    asked: list[dict[str, Any]] = []
    original = audit.audit

    def watched(run: Any, **options: Any) -> Any:
        asked.append({**options, "left": options["deadline"] - time.monotonic()})
        return original(run, **options)

    monkeypatch.setattr(audit, "audit", watched)
    hooked(time_limit=6.0)
    mlflow.start_run()
    LogisticRegression().fit(X, Y)
    mlflow.end_run(status)
    (options,) = asked
    assert options["tier"] == tier
    assert options["left"] <= 6.0
    assert options["budget"] == 2.0


def test_threads_do_not_take_each_others_fits(hooked: Callable[..., None]) -> None:
    hooked(mode="deferred")
    rows: dict[int, str] = {}
    barrier = threading.Barrier(3)

    def work(number: int) -> None:
        with mlflow.start_run() as run:
            barrier.wait()
            LogisticRegression().fit(X[:number], Y[:number])
        rows[number] = run.info.run_id

    threads = [threading.Thread(target=work, args=(number,)) for number in (40, 50, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {number: manifest_of(run_id)["splits"]["train"]["rows"] for number, run_id in rows.items()}
    assert found == {40: 40, 50: 50, 60: 60}


def test_settings_come_from_the_environment() -> None:
    given = {"MLFLOW_CLFAUDIT_MODE": "Detached", "MLFLOW_CLFAUDIT_CHILDREN": "1", "MLFLOW_CLFAUDIT_TIME_LIMIT": "5"}
    assert Settings.from_environment(given) == Settings(mode="detached", children=True, time_limit=5.0)
    assert Settings.from_environment({}) == Settings()


@pytest.mark.parametrize("options", [{"mode": "later"}, {"inputs": "some"}], ids=["mode", "inputs"])
def test_settings_that_make_no_sense_are_told_to_the_script_that_gives_them(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="it is one of"):
        autolog(**options)  # type: ignore[arg-type]


def test_settings_of_the_environment_that_make_no_sense_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state, "process", state.State())
    monkeypatch.setattr(joints, "when_imported", lambda *_: None)
    monkeypatch.setenv("MLFLOW_CLFAUDIT_MODE", "whenever")
    with caplog.at_level(logging.WARNING):
        hook.install()
    assert state.process.settings == Settings()
    assert "clfaudit goes on with its defaults: mode='whenever'" in caplog.text
