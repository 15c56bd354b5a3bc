"""Runs to watch, and watchers whose audits are quick."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient

from mlflow_clfaudit.finder import Finder
from mlflow_clfaudit.lease import Owner
from mlflow_clfaudit.watch import Watcher


def finished(count: int = 1, experiment: str = "tests", loss: bool = True, **tags: str) -> list[str]:
    """Runs that have ended, with the loss of a fit()."""
    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    runs = [client.create_run(experiment_id, tags=tags).info.run_id for _ in range(count)]
    for run_id in runs:
        if loss:
            client.log_metric(run_id, "loss", 0.5)
        client.set_terminated(run_id)
    return runs


def verdict(run_id: str) -> Any:
    """Stands for an audit: it leaves what an audit leaves for the watcher to see."""
    MlflowClient().set_tag(run_id, "clfaudit.verdict", "healthy")
    return object()


def watcher(audit: Callable[[str], Any] = verdict, owner: Owner | None = None, **scope: Any) -> Watcher:
    return Watcher(Finder(MlflowClient(), **scope), audit, owner or Owner())


def once(*arguments: Any, **scope: Any) -> list[str]:
    """The runs that a watcher audits until there is nothing left to do."""
    return [watched.run_id for watched in watcher(*arguments, **scope).once()]


def tags_of(run_id: str) -> dict[str, str]:
    return dict(MlflowClient().get_run(run_id).data.tags)


def ten_thousand_runs(tracking_uri: str) -> None:
    """Audited runs of 20 params, 9 tags and 6 metrics each, written to the store's tables."""
    ids = [f"{number:032x}" for number in range(10_000)]
    experiment = int(MlflowClient(tracking_uri).get_experiment_by_name("tests").experiment_id)
    began = 1_700_000_000_000
    tags = [f"tag{number}" for number in range(8)] + ["clfaudit.verdict"]
    with sqlite3.connect(tracking_uri.removeprefix("sqlite:///")) as store:
        store.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (?, 'run', 'LOCAL', '', '', '', 'FINISHED', ?, ?, '', 'active', 'file:///nowhere', ?)",
            [(run_id, began + number, began + number + 1, experiment) for number, run_id in enumerate(ids)],
        )
        store.executemany(
            "INSERT INTO params (key, value, run_uuid) VALUES (?, 'value', ?)",
            [(f"param{number}", run_id) for run_id in ids for number in range(20)],
        )
        store.executemany(
            "INSERT INTO tags (key, value, run_uuid) VALUES (?, 'value', ?)",
            [(key, run_id) for run_id in ids for key in tags],
        )
        store.executemany(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, 0.5, 0, 0, 0, ?)",
            [(f"metric{number}", run_id) for run_id in ids for number in range(6)],
        )
