"""A reviewer's word: what it changes, what it does not, and how it is given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.names import REVIEW
from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.report.json import to_dict
from mlflow_clfaudit.report.markdown import description, to_markdown
from mlflow_clfaudit.report.text import to_text
from mlflow_clfaudit.report.words import review_sentence
from mlflow_clfaudit.review import known_from, read_review, review_of, unreviewed
from mlflow_clfaudit.sweep import exit_code
from mlflow_clfaudit.types import Report, Review, Severity, Verdict, Word
from tests.report.samples import CAUSE, HOSTILE, WARNING, make_report
from tests.runs import make_run
from tests.test_attach import log_ordered_run

SEEN = {"softmax-on-one-unit": "blocker", "test-used-for-validation": "warn"}


def reviewed(word: str, known: dict[str, str] | None = None, **fields: object) -> Report:
    given = Review(word, Word(word), "the customer knows", "ann", "2026-03-01T10:00:00+00:00", known or {})
    return make_report(review=given, **fields)


@pytest.mark.parametrize("word", ["accepted", "fixed"])
def test_what_the_reviewer_had_seen_no_longer_fails(word: str) -> None:
    assert exit_code([reviewed(word, SEEN)], 0, "warn") == 0
    assert reviewed(word, SEEN).verdict is Verdict.FAULTY


def test_what_came_up_since_fails_and_is_named() -> None:
    report = reviewed("accepted", {"test-used-for-validation": "warn"})
    assert exit_code([report], 0, "error") == 1
    assert [finding.check for finding in unreviewed(report)] == ["softmax-on-one-unit", "low-contrast-inputs"]
    assert review_sentence(report) == (
        "accepted: the customer knows (by ann 2026-03-01); new since: softmax-on-one-unit"
    )


def test_what_got_worse_fails() -> None:
    assert exit_code([reviewed("accepted", SEEN | {"softmax-on-one-unit": "warn"})], 0, "error") == 1


def test_a_rejected_run_fails_even_when_nothing_was_found() -> None:
    report = reviewed("rejected", findings=(), verdict=Verdict.HEALTHY, root_cause=None)
    assert exit_code([report], 0, "blocker") == 1
    assert exit_code([report], 0, "never") == 0


def test_nothing_audited_stays_nothing_audited() -> None:
    report = reviewed("accepted", SEEN, verdict=Verdict.NOT_AUDITED, findings=(), root_cause=None)
    assert exit_code([report], 0, "error") == 3


def test_a_word_that_is_none_is_told_and_does_not_count() -> None:
    review = read_review({REVIEW: "acepted"})
    assert review is not None
    report = make_report(review=review)
    assert exit_code([report], 0, "error") == 1
    assert "'acepted', which is none of accepted, rejected, fixed" in " ".join(to_text(report, color=False).split())


def test_no_tag_is_no_review() -> None:
    assert read_review({}) is None
    assert read_review({REVIEW: "  "}) is None
    assert read_review({REVIEW: " Accepted "}) == Review("Accepted", Word.ACCEPTED)


def test_every_form_shows_the_word() -> None:
    report = reviewed("accepted", SEEN)
    shown = [to_text(report, color=False), to_html(report), to_markdown(report), description(report)]
    assert all("the customer knows" in form for form in shown)
    assert to_dict(report)["review"]["known"] == SEEN


def test_a_hostile_word_stays_text() -> None:
    review = Review("accepted", Word.ACCEPTED, HOSTILE, HOSTILE, HOSTILE)
    assert "<script>alert" not in to_html(make_report(review=review))
    assert description(make_report(review=review)).count("<!--") == 2


def test_known_is_what_the_last_report_found() -> None:
    stored = to_dict(make_report(findings=(CAUSE, WARNING)))
    review = known_from(Review("accepted", Word.ACCEPTED), stored)
    assert review.known == SEEN


def test_the_same_word_knows_no_more_on_the_next_audit() -> None:
    first = to_dict(reviewed("accepted", {"test-used-for-validation": "warn"}))
    again = replace(reviewed("accepted").review, known={})
    assert known_from(again, first).known == {"test-used-for-validation": "warn"}
    anew = replace(again, at="2026-04-01T10:00:00+00:00")
    assert known_from(anew, first).known["softmax-on-one-unit"] == "blocker"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"findings": 3}', '{"findings": [{"check": "x"}]}'])
def test_a_report_that_cannot_be_read_was_seen_by_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "clfaudit").mkdir()
    (tmp_path / "clfaudit" / "report.json").write_text(content)
    review = review_of(make_run(tmp_path, tags={REVIEW: "accepted"}))
    assert review == Review("accepted", Word.ACCEPTED)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="mlflow-clfaudit")


def test_from_an_audit_to_the_word_and_back(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    assert run("review", run_id, "--accept", "a demo").exit_code == 3, "nobody has seen anything yet"
    assert run(run_id).exit_code == 1
    given = run("review", run_id, "--accept", "a demo")
    assert given.exit_code == 0
    assert "accepted: " in given.output
    assert "tail-split-of-ordered-data" in given.output
    audited = run(run_id)
    assert audited.exit_code == 0
    assert "accepted: a demo" in audited.output
    tags = MlflowClient().get_run(run_id).data.tags
    assert (tags["clfaudit.verdict"], tags[REVIEW], tags[f"{REVIEW}.why"]) == ("faulty", "accepted", "a demo")
    assert run("review", run_id, "--withdraw").exit_code == 0
    assert [key for key in MlflowClient().get_run(run_id).data.tags if key.startswith(REVIEW)] == []
    assert run(run_id).exit_code == 1


def test_a_tag_set_by_hand_counts(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    run(run_id)
    MlflowClient().set_tag(run_id, REVIEW, "accepted")
    assert run(run_id).exit_code == 0
    path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="clfaudit/report.json")
    stored = json.loads(Path(path).read_text())
    assert stored["review"]["known"]["tail-split-of-ordered-data"] == Severity.ERROR


def test_a_check_is_ignored_from_the_terminal(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    run(run_id)
    assert run("review", run_id, "--ignore", "tail-split-of-ordered-data=by date").exit_code == 0
    report = json.loads(run(run_id, "--format", "json").output)
    ignored = {finding["check"]: finding["ignored"] for finding in report["findings"]}
    assert ignored["tail-split-of-ordered-data"] == "by date"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "say one of --accept"),
        (("--accept", "a", "--reject", "b"), "say one of --accept"),
        (("--accept", " "), "needs a reason"),
        (("--ignore", "no-such-check=why"), "no check is named 'no-such-check'"),
    ],
)
def test_mistakes_are_one_line(tracking_uri: str, options: tuple[str, ...], said: str) -> None:
    result = run("review", "0" * 32, *options)
    assert result.exit_code == 2
    assert said in result.output
    assert len(result.output.splitlines()) == 1
