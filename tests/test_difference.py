"""What changed between two audits: what went away was checked, what appeared was absent, and nothing is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.difference import Difference, difference, to_json, to_markdown, to_text
from mlflow_clfaudit.errors import AuditError
from mlflow_clfaudit.report.json import to_dict
from mlflow_clfaudit.types import Confidence, Finding, Outcome, Report, Severity, Status, Verdict
from tests.report.samples import CAUSE, IGNORED, REPORTS, WARNING, make_report
from tests.report.test_markdown import rendered
from tests.test_attach import log_ordered_run


def between(before: Report, after: Report) -> Difference:
    return difference(to_dict(before), to_dict(after))


def kinds(found: Difference) -> dict[str, str]:
    return {change.finding: change.kind for change in found.changes}


def made(*findings: Finding, passed: tuple[str, ...] = (), skipped: tuple[str, ...] = (), **fields: Any) -> Report:
    outcomes = [Outcome(name, "thresholding", Status.PASSED) for name in passed]
    outcomes += [Outcome(name, "thresholding", Status.SKIPPED, reason="no labels") for name in skipped]
    return make_report(findings=findings, symptoms=(), outcomes=outcomes, **fields)


def test_what_passes_now_went_away_and_what_cannot_run_is_not_known() -> None:
    before = made(CAUSE, WARNING)
    after = made(passed=("softmax-on-one-unit",), skipped=("test-used-for-validation",))
    found = between(before, after)
    assert kinds(found) == {
        "softmax-on-one-unit": "went away",
        "test-used-for-validation": "no longer checked",
    }
    assert "no labels" in to_text(found, color=False)


def test_a_check_that_is_in_no_list_was_not_part_of_the_audit() -> None:
    (change,) = between(made(CAUSE), made()).changes
    assert (change.kind, change.how) == ("no longer checked", "the check was not part of that audit")


def test_what_was_looked_for_before_appeared_and_what_was_not_is_newly_checked() -> None:
    before = made(passed=("softmax-on-one-unit",), skipped=("test-used-for-validation",))
    found = between(before, made(CAUSE, WARNING))
    assert kinds(found) == {"softmax-on-one-unit": "appeared", "test-used-for-validation": "newly checked"}
    assert found.fails(Severity.BLOCKER)
    assert not between(made(skipped=(CAUSE.check,)), made(CAUSE)).fails(Severity.WARN)


@pytest.mark.parametrize(
    ("changed", "kind", "how"),
    [
        ({"severity": Severity.ERROR}, "worse", "warn → error"),
        ({"severity": Severity.INFO}, "changed", "warn → info"),
        ({"confidence": Confidence.SUSPECTED}, "changed", "proven → suspected"),
        ({"ignored": "by date"}, "changed", "ignored: by date"),
        ({"variant": "copied"}, "changed", "was test-used-for-validation"),
    ],
)
def test_a_finding_of_both_reports_that_differs(changed: dict[str, Any], kind: str, how: str) -> None:
    (change,) = between(made(WARNING), made(replace(WARNING, **changed))).changes
    assert (change.kind, change.how) == (kind, how)


def test_an_ignored_finding_that_counts_again_is_worse() -> None:
    found = between(made(IGNORED), made(replace(IGNORED, ignored=None)))
    assert kinds(found) == {"class-imbalance": "worse"}
    assert found.fails(Severity.WARN)


def test_the_same_report_has_no_changes() -> None:
    found = between(make_report(), make_report())
    assert (found.changes, found.same) == ((), 6)
    assert "No finding changed." in to_markdown(found)


def test_the_head_says_verdicts_causes_and_quality() -> None:
    better = {"quality": {"balanced_accuracy": 0.894, "rows": 970, "held_out": True}}
    healthy = made(passed=(CAUSE.check,), verdict=Verdict.HEALTHY, root_cause=None, run_name="fox", figures=better)
    text = to_text(between(made(CAUSE), healthy), color=False)
    assert text.splitlines()[:4] == [
        "cheerful-stork-12 → fox",
        "  FAULTY → HEALTHY",
        "  root cause softmax-on-one-unit → none",
        "  balanced accuracy 0.50 → 0.89 on 970 rows",
    ]


def test_other_rows_are_not_passed_off_as_the_same() -> None:
    fewer = {"quality": {"balanced_accuracy": 0.9, "rows": 100, "held_out": True}}
    assert "on 970 and 100 rows: not the same rows" in to_text(between(made(), made(figures=fewer)), color=False)


@pytest.mark.parametrize("before", REPORTS)
@pytest.mark.parametrize("after", REPORTS)
def test_every_pair_of_reports_can_be_compared(before: str, after: str) -> None:
    found = between(REPORTS[before], REPORTS[after])
    assert json.loads(to_json(found))["schema"] == 1
    assert all(cell_len(line) <= 80 for line in to_text(found, color=False).splitlines())
    tokens = rendered(to_markdown(found))
    assert not [token for token in tokens if token.type.startswith("html") or token.type in ("link_open", "image")]
    assert sum(token.type == "tr_open" for token in tokens) == len(found.changes) + bool(found.changes)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("verdict",), "**[healthy](http://evil.test)**"),
        (("verdict",), 1),
        (("findings", 0, "severity"), "<img src=x>"),
        (("findings", 0, "confidence"), "proven |\n# heading"),
        (("findings", 0, "message"), ["no", "text"]),
        (("findings", 0), "no finding"),
        (("findings",), None),
        (("figures",), "none"),
        (("figures", "quality"), {"balanced_accuracy": "<b>1.0</b>"}),
        (("root_cause",), {"a": "b"}),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_what_is_no_report_is_refused(place: tuple[Any, ...], value: object, *, late: bool) -> None:
    good = to_dict(make_report(findings=(CAUSE, WARNING)))
    bad = json.loads(json.dumps(good))
    inner = bad
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    pair = (good, bad) if late else (bad, good)
    with pytest.raises(AuditError, match="is not one of this version"):
        difference(*pair)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="mlflow-clfaudit")


def test_from_two_runs(tracking_uri: str, tmp_path: Path) -> None:
    faulty = log_ordered_run(tmp_path)
    np.save(tmp_path / "data" / "y_train.npy", np.random.default_rng(0).permutation(np.repeat([0, 1], [400, 417])))
    with mlflow.start_run() as started:
        mlflow.log_params({"epochs": 50, "validation_split": 0.2})
        mlflow.log_artifacts(str(tmp_path / "data"), "data")
    assert run("diff", faulty, started.info.run_id).exit_code == 3, "neither was audited"
    for run_id in (faulty, started.info.run_id):
        run(run_id, "--tier", "static")
    better = run("diff", faulty, started.info.run_id, "--fail-on", "warn")
    assert better.exit_code == 0, better.output
    assert "went away          tail-split-of-ordered-data (error, proven)" in better.output
    worse = run("diff", started.info.run_id, faulty, "--fail-on", "error", "--format", "markdown")
    assert worse.exit_code == 1
    assert "| **appeared** | `tail-split-of-ordered-data` |" in worse.output
