"""What a watcher finds on a real SQLite store, what it leaves, and what looking costs."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_clfaudit.errors import AuditError
from mlflow_clfaudit.finder import OVERLAP_MS, Finder, rules
from mlflow_clfaudit.names import LEFT_ALONE
from tests.watching import finished, once, tags_of, ten_thousand_runs, verdict, watcher


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
