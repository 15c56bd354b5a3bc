"""The watcher on a real SQLite store: what happens when something goes wrong, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_clfaudit.errors import AuditError, LeftAlone, NotWritable, TrackingUnreachable
from mlflow_clfaudit.lease import Owner, leases
from mlflow_clfaudit.names import LEFT_ALONE
from tests.test_attach import log_ordered_run
from tests.watching import finished, once, tags_of, verdict, watcher


def test_a_run_that_was_audited_since_it_was_found_is_left(tracking_uri: str) -> None:
    (run_id,) = finished()
    asked: list[str] = []
    late = watcher(lambda run_id: asked.append(run_id) or verdict(run_id))
    look = late.finder.look
    late.finder.look = lambda: [verdict(found) and found for found in look()]  # type: ignore[method-assign]
    assert list(late.once()) == []
    assert asked == []
    assert leases(tags_of(run_id)) == {}


def test_a_run_that_cannot_be_audited_ends_neither_the_watch_nor_is_it_tried_again(tracking_uri: str) -> None:
    runs = finished(4)
    tried: Counter[str] = Counter()
    failures = {
        runs[0]: AuditError("the model is gone"),
        runs[1]: LeftAlone("no classifier"),
        runs[2]: ZeroDivisionError("by zero\nand more"),
    }

    def audit(run_id: str) -> Any:
        tried[run_id] += 1
        if run_id in failures:
            raise failures[run_id]
        return verdict(run_id)

    tired = watcher(audit)
    found = {item.run_id: item.error for item in tired.once()}
    assert found == {runs[0]: "the model is gone", runs[2]: "ZeroDivisionError: by zero", runs[3]: None}
    assert list(tired.once()) == []
    assert set(tried.values()) == {1}
    assert tags_of(runs[1])[LEFT_ALONE] == "no classifier"
    assert runs[1] not in once()


def test_a_long_audit_keeps_its_lease(tracking_uri: str) -> None:
    """It is renewed, and again, each time before it ends: seconds before, for a machine may be busy."""
    finished()
    owner = Owner(seconds=9.0)
    ends: list[float] = []

    def audit(run_id: str) -> Any:
        deadline = time.monotonic() + 90
        while len(ends) < 3 and time.monotonic() < deadline:
            end = float(tags_of(run_id)[owner.key])
            ends.extend([end] if end not in ends else [])
            time.sleep(0.1)
        return verdict(run_id)

    once(audit, owner)
    assert len(ends) == 3
    assert all(0 < later - earlier < owner.seconds for earlier, later in pairwise(ends))


def test_stopping_ends_after_the_run_that_is_being_audited(tracking_uri: str) -> None:
    runs = finished(4)
    stop = threading.Event()

    def audit(run_id: str) -> Any:
        stop.set()
        return verdict(run_id)

    stopped = watcher(audit)
    stopped.stop = stop
    assert len(list(stopped.watch())) == 1
    assert not [run_id for run_id in runs if leases(tags_of(run_id))]


def test_ctrl_c_in_an_audit_gives_the_run_back(tracking_uri: str) -> None:
    (run_id,) = finished()

    def audit(_: str) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once(audit)
    assert leases(tags_of(run_id)) == {}


def test_a_server_that_is_down_is_tried_again_and_later_each_time(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_id,) = finished()
    search, failures, told = MlflowClient.search_runs, iter(range(3)), []

    def down(self: MlflowClient, *arguments: Any, **options: Any) -> Any:
        if next(failures, None) is not None:
            raise MlflowException("Max retries exceeded with url: refused")
        return search(self, *arguments, **options)

    monkeypatch.setattr(MlflowClient, "search_runs", down)
    patient = watcher()
    for watched in patient.watch(every=0.2, warning=told.append):
        assert watched.run_id == run_id
        patient.stop.set()
    assert [text.split()[-2] for text in told] == ["0", "0", "1"]
    assert told[0].startswith("Max retries exceeded with url: refused; trying again in ")


def test_a_run_that_cannot_be_written_now_is_tried_again_but_not_for_ever(tracking_uri: str) -> None:
    (run_id,) = finished()
    tried: list[str] = []

    def audit(run_id: str) -> Any:
        tried.append(run_id)
        raise NotWritable("the disk is full")

    patient, told = watcher(audit), []
    for watched in patient.watch(every=0.1, warning=told.append):
        assert watched.error == "the disk is full"
        patient.stop.set()
    assert (len(tried), len(told)) == (3, 2)
    assert leases(tags_of(run_id)) == {}


def test_once_says_that_the_server_is_down(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(MlflowClient, "search_runs", down)
    with pytest.raises(TrackingUnreachable, match="did not answer: refused"):
        once()


@pytest.mark.slow
def test_sigterm_ends_the_command_cleanly_and_once_is_for_cron(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    command = [Path(sys.executable).parent / "mlflow-clfaudit", "watch", "--tier", "static"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([*command, "--every", "0.5"], **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["faulty", ANY, "tail-split-of-ordered-data", run_id]
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
    (regression,) = finished()
    later = log_ordered_run(tmp_path)
    done = subprocess.run([*command, "--once"], **pipes, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == [later]
    assert LEFT_ALONE in tags_of(regression)
    nowhere = subprocess.run([*command, "--once", "--tracking-uri", "http://127.0.0.1:9"], **pipes, check=False)
    assert nowhere.returncode == 3
    assert nowhere.stderr.startswith("error: http://127.0.0.1:9 did not answer: ")
    assert nowhere.stderr.count("\n") == 1
