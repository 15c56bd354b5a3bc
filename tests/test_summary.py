"""An experiment at a glance: counted right, honest about what it does not know, and harmless to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from rich.cells import cell_len

from mlflow_clfaudit.attach import NOTE
from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.evidence.audited import AuditedRun, Experiment
from mlflow_clfaudit.evidence.reader import search_runs
from mlflow_clfaudit.names import SUMMARY
from mlflow_clfaudit.report.overview import to_html
from mlflow_clfaudit.report.summary import to_markdown, to_text
from mlflow_clfaudit.summary import Summary, summarise, to_json
from tests.report.samples import HOSTILE, Page
from tests.report.test_markdown import rendered
from tests.test_attach import log_ordered_run

DAY = 86_400.0
START = 1_770_000_000.0  # 2 February 2026, 02:40 in UTC


def audited(place: int, verdict: str | None, cause: str | None = None, *, days: float = 0.0, **tags: str) -> AuditedRun:
    said = {} if verdict is None else {"clfaudit.verdict": verdict, "clfaudit.root_cause": cause or "none"}
    severity = {"faulty": "error", "suspect": "warn"}.get(verdict or "", "none")
    return AuditedRun(
        run_id=f"{place:032x}",
        name=f"run-{place}",
        experiment_id="1",
        started=START + days * DAY,
        tags={"clfaudit.severity": severity, **said, **{key.replace("__", "."): value for key, value in tags.items()}},
        metrics={"clfaudit/faults": float(place)},
        tracking_uri="http://127.0.0.1:5000",
    )


def summary_of(*runs: AuditedRun, name: str = "credit") -> Summary:
    return summarise(Experiment("1", name, "http://127.0.0.1:5000", runs))


LOSS = {"clfaudit__activation_loss": "blocker"}
LOOKED = {"clfaudit__activation_loss": "pass"}
BLIND = {"clfaudit__activation_loss": "skipped"}
CAUSE = "softmax-on-one-unit"


def test_verdicts_are_counted_and_runs_without_an_audit_are_told() -> None:
    found = summary_of(audited(0, "faulty", CAUSE), audited(1, "healthy"), audited(2, "healthy"), audited(3, None))
    assert found.sentence == "3 audited runs: 1 faulty, 2 healthy."
    assert (found.runs, found.unaudited) == (4, 1)
    assert "  1 without an audit" in to_text(found, color=False).splitlines()


def test_a_cause_is_gone_only_where_later_audits_could_have_seen_it() -> None:
    faulty = audited(0, "faulty", CAUSE, **LOSS)
    for later, since in [(audited(1, "healthy", days=1, **LOOKED), 1), (audited(1, "healthy", days=1, **BLIND), 0)]:
        (cause,) = summary_of(faulty, later).causes
        assert (cause.check, cause.runs, cause.since) == (CAUSE, 1, since)
    (again,) = summary_of(faulty, audited(1, "healthy", days=1), audited(2, "faulty", CAUSE, days=2, **LOSS)).causes
    assert (again.runs, again.since, again.last.name) == (2, 0, "run-2")
    assert summary_of(audited(1, "not_audited", days=1), faulty).gone == ()


def test_the_order_of_the_runs_does_not_matter() -> None:
    runs = [audited(place, "faulty" if place % 2 else "healthy", CAUSE, days=place) for place in range(5)]
    assert summary_of(*runs) == summary_of(*reversed(runs))


def test_the_worst_come_first_and_what_was_answered_for_is_left_out() -> None:
    found = summary_of(
        audited(0, "suspect"),
        audited(1, "faulty", CAUSE),
        audited(2, "faulty", CAUSE, clfaudit__severity="blocker"),
        audited(7, "faulty", CAUSE),
        audited(4, "faulty", CAUSE, clfaudit__review="accepted"),
        audited(5, "faulty", CAUSE, clfaudit__review="rejected", clfaudit__review__why="not for sale"),
    )
    assert [entry.name for entry in found.worst] == ["run-2", "run-7", "run-5", "run-1", "run-0"]
    assert {entry.name: entry.review for entry in found.reviewed} == {
        "run-4": "accepted",
        "run-5": "rejected: not for sale",
    }


@pytest.mark.parametrize(
    ("days", "first", "count"),
    [
        (0.0, "02-02 02:00", 1),
        (0.5, "02-02 02:00", 13),
        (10, "2026-02-02", 11),
        (100, "2026-02-02", 15),
        (600, "2026-02", 20),
        (3000, "2026", 9),
    ],
)
def test_the_period_fits_the_span(days: float, first: str, count: int) -> None:
    periods = summary_of(audited(0, "faulty"), audited(1, "healthy", days=days)).periods
    assert (periods[0].name, len(periods)) == (first, count)
    assert sum(sum(period.verdicts.values()) for period in periods) == 2
    assert periods[-1].verdicts["healthy"] == 1


@pytest.mark.parametrize("days", [1e12, -1e12])
def test_a_run_may_say_that_it_started_at_any_time(days: float) -> None:
    found = summary_of(audited(0, "faulty", CAUSE), audited(1, "healthy", days=days))
    assert found.sentence == "2 audited runs: 1 faulty, 1 healthy."
    assert len(found.periods) <= 131
    assert "Verdicts over time" in Page(to_html(found)).text


def test_an_experiment_without_audits() -> None:
    found = summary_of(audited(0, None))
    assert "No run of this experiment was audited." in to_text(found, color=False)
    assert "No run of this experiment was audited." in Page(to_html(found)).text
    assert summary_of().runs == 0


def test_the_page_shows_numbers_pictures_and_their_words() -> None:
    runs = [audited(place, "faulty", CAUSE, days=place, **LOSS) for place in range(3)]
    page = Page(to_html(summary_of(*runs, audited(4, "healthy", days=4, **LOOKED))))
    assert page.count("svg") == 2
    assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")
    assert "4 audited runs: 3 faulty, 1 healthy." in page.text
    assert "not the cause in 1 later run" in page.text
    assert not [tag for tag, attributes in page.tags if tag in ("a", "link", "img") or "src" in attributes]


def hostile() -> Summary:
    tags: dict[str, Any] = {"clfaudit__review": "accepted", "clfaudit__review__why": HOSTILE}
    run = audited(0, "faulty", HOSTILE, **tags)
    named = AuditedRun(**{**vars(run), "name": HOSTILE, "run_id": HOSTILE, "experiment_id": HOSTILE})
    worst = AuditedRun(**{**vars(audited(1, "faulty", HOSTILE)), "name": HOSTILE})
    return summary_of(named, worst, name=HOSTILE)


def test_hostile_names_stay_text() -> None:
    found = hostile()
    harmless = summary_of(audited(0, "faulty", CAUSE, clfaudit__review="accepted"), audited(1, "faulty", CAUSE))
    counted = [[Page(to_html(each)).count(tag) for tag in ("script", "img", "style")] for each in (found, harmless)]
    assert counted[0] == counted[1] == [1, 0, 1]
    tokens = rendered(to_markdown(found))
    assert not [token for token in tokens if token.type.startswith("html") or token.type in ("link_open", "image")]
    assert "\x1b" not in to_text(found, color=False)
    json.loads(to_json(found))


def test_links_lead_into_mlflow_only_where_ids_are_plain() -> None:
    text = to_markdown(summary_of(audited(1, "faulty", CAUSE)), links=True)
    assert f"[run-1](#/experiments/1/runs/{1:032x})" in text
    found = [token for token in rendered(to_markdown(hostile(), links=True)) if token.type == "link_open"]
    assert {token.attrs["href"] for token in found} == {f"#/experiments/1/runs/{1:032x}"}


def test_lines_fit_the_terminal() -> None:
    runs = [audited(place, "faulty", f"{'long-' * 12}{place}", days=place) for place in range(40)]
    for line in to_text(summary_of(*runs, name="word " * 40), color=False).splitlines():
        assert cell_len(line) <= 80 or line.split()[-1].startswith("http")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="mlflow-clfaudit")


def test_the_summary_lives_in_one_run_of_the_experiment(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    run(run_id, "--tier", "static")
    first = run("summary", "--experiment", "tests", "--html", str(tmp_path / "page.html"))
    assert first.exit_code == 0, first.output
    assert "1 audited run: 1 faulty." in first.output
    assert "1 audited run: 1 faulty." in (tmp_path / "page.html").read_text()
    again = run("summary", "--experiment", "tests", "--format", "json")
    assert json.loads(again.stdout)["verdicts"]["faulty"] == 1
    experiment = mlflow.get_experiment_by_name("tests")
    (kept,) = MlflowClient().search_runs([experiment.experiment_id], f"tags.`{SUMMARY}` = 'true'")
    assert (kept.info.run_name, kept.info.status) == ("clfaudit summary", "FINISHED")
    assert run_id in kept.data.tags[NOTE]
    names = {item.path for item in MlflowClient().list_artifacts(kept.info.run_id, "clfaudit")}
    assert names == {"clfaudit/summary.html", "clfaudit/summary.json"}
    assert list(search_runs("tests")) == [run_id], "a summary is never audited"


def test_dry_run_writes_nothing(tracking_uri: str, tmp_path: Path) -> None:
    log_ordered_run(tmp_path)
    assert run("summary", "--experiment", "tests", "--dry-run").exit_code == 0
    assert len(MlflowClient().search_runs(["1"])) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--experiment", "none"), "no experiment is named 'none'"),
        (("--experiment", "tests", "--filter", "x"), "could"),
    ],
)
def test_mistakes_are_one_line(tracking_uri: str, options: tuple[str, ...], said: str) -> None:
    result = run("summary", *options)
    assert result.exit_code == 3
    assert said in result.output
    assert len(result.output.splitlines()) == 1
