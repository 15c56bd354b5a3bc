"""Whose a run is: watchers on a real SQLite store that want the same ones."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from mlflow_clfaudit.finder import OVERLAP_MS, Finder
from mlflow_clfaudit.lease import LEASE, Owner, is_leased, leases
from tests.watching import finished, once, tags_of, verdict


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
