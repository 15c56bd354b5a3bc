"""Versions of models that are registered after their run was audited."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_clfaudit import audit_run
from mlflow_clfaudit.lease import leases
from mlflow_clfaudit.names import LEFT_ALONE
from tests.test_attach import Constant, log_ordered_run
from tests.watching import finished, once, tags_of, verdict, watcher


def test_registered_versions_are_seen_to_while_runs_keep_coming(tracking_uri: str) -> None:
    client = MlflowClient()
    client.create_registered_model("nobodys")
    client.create_model_version("nobodys", "file:///nowhere")
    finished()

    def audit(run_id: str) -> Any:
        finished()
        return verdict(run_id)

    busy = watcher(audit)
    for number, _ in enumerate(busy.watch()):
        if number:
            busy.stop.set()
    assert busy.versions_done == {"models:/nobodys/1"}


def test_versions_that_were_registered_later_get_the_verdict_of_their_own_model(
    tracking_uri: str, tmp_path: Path
) -> None:
    run_id = log_ordered_run(tmp_path)
    client = MlflowClient()
    with mlflow.start_run(run_id=run_id):
        models = {
            name: mlflow.pyfunc.log_model(name=name, python_model=Constant(), pip_requirements=[])
            for name in ("first", "last")
        }
    audit = partial(audit_run, tier="static")
    assert once(audit) == [run_id]
    audited_at = tags_of(run_id)["clfaudit.audited_at"]
    for name, model in models.items():
        mlflow.register_model(model.model_uri, name)
    time.sleep(1.0)
    assert once(audit) == ["models:/first/1"]
    for name in models:
        assert client.get_model_version(name, "1").tags["clfaudit.root_cause"] == "tail-split-of-ordered-data"
    assert client.get_model_version("last", "1").tags["clfaudit.audited_at"] == audited_at
    assert client.get_model_version("first", "1").tags["clfaudit.audited_at"] != audited_at
    assert tags_of(run_id)["clfaudit.audited_at"] == audited_at
    assert leases(tags_of(run_id)) == {}
    assert once(audit) == []


def test_versions_of_runs_without_a_verdict_are_waited_for_or_left(tracking_uri: str) -> None:
    client = MlflowClient()
    for name, run_id in (("left", finished(**{LEFT_ALONE: "a regression"})[0]), ("nobodys", None)):
        client.create_registered_model(name)
        client.create_model_version(name, "file:///nowhere", run_id=run_id)
    idle = watcher()
    assert list(idle.once()) == []
    assert idle.versions_done == {"models:/left/1", "models:/nobodys/1"}
    assert [client.get_model_version(name, "1").tags for name in ("left", "nobodys")] == [{}, {}]


def test_a_store_without_a_registry_is_watched_all_the_same(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise MlflowException("no registry")

    monkeypatch.setattr(MlflowClient, "search_model_versions", none)
    assert once() == []
    runs = finished()
    assert once() == runs
