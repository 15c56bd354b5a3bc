"""The watcher on a real SQLite store: what it finds, whose a run is, and what happens when something goes wrong."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_clfaudit import audit_run
from mlflow_clfaudit.errors import AuditError, LeftAlone, NotWritable, TrackingUnreachable
from mlflow_clfaudit.finder import OVERLAP_MS, Finder, rules
from mlflow_clfaudit.lease import LEASE, Owner, is_leased, leases
from mlflow_clfaudit.names import LEFT_ALONE
from mlflow_clfaudit.watch import Watcher
from tests.test_attach import Constant, log_ordered_run


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


def test_every_finished_run_is_audited_once_and_its_lease_given_back(tracking_uri: str) -> None:
    runs = finished(6)
    running = MlflowClient().create_run(mlflow.get_experiment_by_name("tests").experiment_id).info.run_id
    assert Counter(once()) == Counter(runs)
    assert once() == []
    assert not [run_id for run_id in runs if leases(tags_of(run_id))]
    assert "clfaudit.verdict" not in tags_of(running)


def test_two_watchers_share_the_work(tracking_uri: str) -> None:
    runs = finished(12)
    done: list[list[str]] = [[], []]

    def slowly(run_id: str) -> Any:
        time.sleep(0.1)
        return verdict(run_id)

    def work(number: int) -> None:
        done[number] = once(slowly)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(done[0] + done[1]) == Counter(runs)
    assert all(done)


def test_what_a_killed_watcher_had_is_audited_when_its_lease_ends(tracking_uri: str) -> None:
    (run_id,) = finished()
    killed = Owner(name="killed", seconds=2.0)
    assert killed.claim(MlflowClient(), run_id) is not None
    assert once() == []
    time.sleep(2.5)
    assert once() == [run_id]
    assert leases(tags_of(run_id)) == {}


def test_a_running_watcher_comes_back_to_it_however_old_it_is(tracking_uri: str) -> None:
    experiment = mlflow.get_experiment_by_name("tests").experiment_id
    old = MlflowClient().create_run(experiment).info.run_id
    MlflowClient().log_metric(old, "loss", 0.5)
    MlflowClient().set_terminated(old, end_time=int(time.time() * 1000) - 20 * OVERLAP_MS)
    finder = Finder(MlflowClient())
    (new,) = finished()
    for run_id in finder.look():
        if run_id == new:
            verdict(new)
    Owner(name="killed", seconds=2.0).take(MlflowClient(), old)
    assert finder.look() == []
    time.sleep(2.5)
    assert finder.look() == [old]


@pytest.mark.parametrize("late", [False, True], ids=["look together", "the other had looked before"])
def test_of_two_who_claim_one_run_never_both_have_it(tracking_uri: str, late: bool) -> None:
    (run_id,) = finished()
    client, first, second = MlflowClient(), Owner(name="first"), Owner(name="second")
    if late:
        assert first.claim(client, run_id) is not None
        assert second.claim(client, run_id) is None
        assert first.holds(tags_of(run_id))
        assert not second.holds(tags_of(run_id))
    else:
        first.take(client, run_id)
        second.take(client, run_id)
        assert first.claim(client, run_id) is None
        assert second.claim(client, run_id) is not None


def test_a_crowd_never_has_a_run_twice(tracking_uri: str) -> None:
    runs = finished(4)
    had: Counter[str] = Counter()
    barrier = threading.Barrier(6)

    def claim() -> None:
        owner, client = Owner(), MlflowClient()
        for run_id in runs:
            barrier.wait()
            if owner.claim(client, run_id) is not None:
                had[run_id] += 1

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(had.values(), default=0) <= 1


@pytest.mark.parametrize("value", ["", "nobody", "12x"])
def test_a_tag_that_is_no_lease_holds_nothing_up(value: str) -> None:
    assert not is_leased({f"{LEASE}somebody": value})


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


def test_an_older_mlflow_is_asked_otherwise(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_id,) = finished()
    finished(**{"clfaudit.verdict": "healthy"})
    finished(**{LEFT_ALONE: "no classifier"})
    search = MlflowClient.search_runs

    def old(self: MlflowClient, experiments: list[str], query: str = "", **options: Any) -> Any:
        if "IS NULL" in query:
            raise MlflowException("Invalid clause", error_code=1000)
        return search(self, experiments, query, **options)

    monkeypatch.setattr(MlflowClient, "search_runs", old)
    assert once() == [run_id]


def test_only_the_experiments_that_were_named(tracking_uri: str) -> None:
    finished()
    (run_id,) = finished(experiment="other")
    assert once(experiments=["other"]) == [run_id]
    with pytest.raises(AuditError, match="no experiment is named 'nothing'"):
        once(experiments=["nothing"])


def test_experiments_that_are_made_meanwhile_are_watched_too(tracking_uri: str) -> None:
    finder = Finder(MlflowClient())
    assert finder.look() == []
    runs = finished(experiment="another")
    assert finder.look() == runs


def test_nested_runs_are_watched_by_choice_and_runs_without_anything_never(tracking_uri: str) -> None:
    finished(loss=False)
    (child,) = finished(**{"mlflow.parentRunId": "0" * 32})
    assert once() == []
    assert once(children=True) == [child]


def test_what_the_hook_left_to_the_watcher_is_found_without_a_model(tracking_uri: str) -> None:
    (run_id,) = finished(loss=False)
    MlflowClient().log_text(run_id, "{}", "clfaudit/evidence/manifest.json")
    assert once() == [run_id]


def test_many_runs_that_ended_at_once_are_all_found(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow_clfaudit.finder.PAGE", 2)
    client = MlflowClient()
    runs = finished(3)
    for number in range(7):
        run_id = client.create_run(client.get_experiment_by_name("tests").experiment_id).info.run_id
        client.log_metric(run_id, "loss", 0.5)
        client.set_terminated(run_id, end_time=1_700_000_000_000 + number // 5)
        runs.append(run_id)
    without_end = client.create_run(client.get_experiment_by_name("tests").experiment_id).info.run_id
    client.log_metric(without_end, "loss", 0.5)
    client.update_run(without_end, "FINISHED")
    assert Counter(once()) == Counter([*runs, without_end])


def test_what_a_look_dealt_with_is_not_read_again_while_runs_keep_coming(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow_clfaudit.finder.PAGE", 3)
    client = MlflowClient()
    for run_id in finished(7, loss=False):
        client.set_terminated(run_id, end_time=int(time.time() * 1000) - 2 * OVERLAP_MS)
    search, read = MlflowClient.search_runs, []

    def counted(self: MlflowClient, *arguments: Any, **options: Any) -> Any:
        page = search(self, *arguments, **options)
        read.append(len(page))
        return page

    monkeypatch.setattr(MlflowClient, "search_runs", counted)
    finder = Finder(client)
    rows = []
    for _ in range(3):
        read.clear()
        (run_id,) = finished()
        assert finder.look() == [run_id]
        rows.append(sum(read))
        verdict(run_id)
    assert rows[0] >= 8
    assert rows[1:] == [1, 1]


def test_a_look_that_found_enough_leaves_the_older_ones_for_the_next(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow_clfaudit.finder.PAGE", 3)
    (old,) = finished()
    MlflowClient().set_terminated(old, end_time=int(time.time() * 1000) - 2 * OVERLAP_MS)
    new = finished(3)
    finder = Finder(MlflowClient())
    assert Counter(finder.look()) == Counter(new)
    for run_id in new:
        verdict(run_id)
    assert finder.look() == [old]


def test_of_a_run_that_was_audited_nothing_is_kept(tracking_uri: str) -> None:
    _, bad = finished(2)

    def audit(run_id: str) -> Any:
        if run_id == bad:
            raise AuditError("the model is gone")
        return verdict(run_id)

    lasting = watcher(audit)
    assert len(list(lasting.once())) == 2
    assert (lasting.finder.done, dict(lasting.attempts)) == ({bad}, {})


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


def test_verdicts_of_earlier_rules_are_renewed_if_asked(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow_clfaudit.finder.__version__", "2.1.0")

    def audit(run_id: str) -> Any:
        MlflowClient().set_tag(run_id, "clfaudit.version", "2.1.0")
        return verdict(run_id)

    old, same, new = (
        finished(**{"clfaudit.verdict": "healthy", "clfaudit.version": version})[0]
        for version in ("1.9.3", "2.0.0", "3.0.0")
    )
    assert once(audit) == []
    assert once(audit, again=True) == [old]
    assert once(audit, again=True) == []
    assert tags_of(same)["clfaudit.version"] == "2.0.0"
    assert tags_of(new)["clfaudit.version"] == "3.0.0"


def test_before_1_0_the_minor_number_is_the_major_one() -> None:
    assert rules("0.1.0") == rules("0.1.7") < rules("0.2.0") < rules("1.0.0") == rules("1.4.2") < rules("2.0.0rc1")


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


@pytest.mark.slow
def test_a_poll_of_ten_thousand_runs_is_cheap(tracking_uri: str) -> None:
    """Processor time of this process, in which SQLite runs too: others on the machine do not count."""
    ten_thousand_runs(tracking_uri)
    (new,) = finished()
    finder = Finder(MlflowClient())
    assert finder.look() == [new]
    verdict(new)
    taken = []
    for _ in range(10):
        began = time.process_time()
        assert finder.look() == []
        taken.append(time.process_time() - began)
    print(f"a poll at 10,000 runs: {min(taken) * 1000:.0f} ms at best, {sorted(taken)[5] * 1000:.0f} ms median")
    assert min(taken) <= 0.060


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
