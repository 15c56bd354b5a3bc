"""The report in a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.report.text import to_text
from mlflow_clfaudit.types import Report, Verdict
from tests.report.samples import (
    CAUSE,
    EMPTY,
    HEALTHY,
    REPORTS,
    Page,
    make_report,
)
from tests.test_attach import log_ordered_run


def test_the_terminal_shows_the_cause_first() -> None:
    rows = to_text(make_report(), color=False).splitlines()
    assert rows[0].startswith("cheerful-stork-12")
    assert rows[0].endswith("FAULTY")
    assert rows[1] == "  keras · 970 validation rows · TensorFlow, CPU · 6.1 s"
    assert rows[2].split() == ["1", "softmax-on-one-unit", "blocker,", "proven"]
    assert rows[3] == "    The output layer applies softmax to one unit, so every prediction is 1.0."
    assert rows[4:6] == [
        "    proof     sigmoid on the same weights: balanced accuracy 0.50 → 0.89 on 970",
        "              rows, p < 1e-16",
    ]
    assert rows[6] == '    fix       Dense(1, activation="sigmoid")'
    assert rows[7] == "    explains  constant-prediction: Every output is 1.000."
    assert rows[9].split() == ["2", "test-used-for-validation", "warn,", "proven"]
    assert "    unproven  the two label files were not both read" in rows
    assert "  noted     low-contrast-inputs: The inputs vary little." in rows
    assert "  ignored   class-imbalance: the population is like that" in rows
    assert "  checked   3 passed, 2 skipped, 1 failed" in rows
    assert "  skipped   2 × no class names: mlflow_clfaudit.log_labels(..., classes=[...])" in rows
    assert "  failed    broken-check: ValueError: shapes" in rows
    assert rows[-1].endswith("/artifacts/clfaudit/report.html")


def test_the_header_is_one_line_where_it_fits() -> None:
    first = to_text(make_report(), color=False, width=100).splitlines()[0]
    assert first.startswith("cheerful-stork-12   keras · 970 validation rows · TensorFlow, CPU · 6.1 s")
    assert first.endswith("FAULTY")
    assert len(first) == 100


def test_a_report_that_was_not_written_has_no_address() -> None:
    assert "report.html" not in to_text(make_report(), color=False, attached=False)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_terminal(report: Report, width: int) -> None:
    long = replace(report, run_name="名前" * 60, headline="word " * 40, url=None)
    for row in to_text(long, color=False, width=width).splitlines():
        assert cell_len(row) <= width, row


def test_no_control_character_reaches_the_terminal() -> None:
    shown = to_text(REPORTS["hostile"], color=False)
    assert not re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", shown)


def test_colour_only_when_asked(report: Report) -> None:
    assert "\x1b" not in to_text(report, color=False)
    coloured = to_text(report, color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == to_text(report, color=False)
    assert coloured != to_text(report, color=False)


def test_a_run_without_evidence_is_told_what_to_log() -> None:
    shown = " ".join(to_text(EMPTY, color=False).split())
    assert "NOT AUDITED" in shown
    assert EMPTY.run_id in shown
    assert "nothing is known about this run" in shown
    assert '1 × the run has no logged model: mlflow.keras.log_model(model, name="model")' in shown
    page = Page(to_html(EMPTY)).text
    assert "? Not audited" in page
    assert 'mlflow.keras.log_model(model, name="model")' in page


def test_a_healthy_run_says_so_with_its_quality() -> None:
    shown = to_text(HEALTHY, color=False)
    assert "HEALTHY" in shown
    assert "No fault found by 4 checks." in shown
    assert "balanced accuracy 0.50 on 970 held-out rows (the largest class is 63 %)" in " ".join(shown.split())


def test_symptoms_without_a_cause_are_shown() -> None:
    shown = to_text(make_report(verdict=Verdict.HEALTHY, root_cause=None, findings=()), color=False)
    assert "  symptoms  constant-prediction: Every output is 1.000." in shown.splitlines()


def test_the_fourth_cause_keeps_to_its_message() -> None:
    many = [replace(CAUSE, check=f"cause-{place}", symptoms=()) for place in range(4)]
    shown = to_text(make_report(findings=many, root_cause="cause-0"), color=False)
    assert shown.count("  proof  ") == 3
    assert "cause-3" in shown


@pytest.mark.slow
def test_a_terminal_gets_colour_and_a_pipe_does_not(tracking_uri: str, tmp_path: Path) -> None:
    """The command itself, once into a pipe and once into a terminal of its own."""
    run_id = log_ordered_run(tmp_path)
    command = [Path(sys.executable).with_name("mlflow-clfaudit"), run_id, "--dry-run", "--tier", "static"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri, "TERM": "xterm-256color"}
    piped = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120).stdout
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(command, env=environment, stdout=theirs, stderr=subprocess.DEVNULL)
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # what Linux raises once the other side is closed
            while part := screen.read(65_536):
                shown += part
        process.wait()
    assert "FAULTY" in piped
    assert "\x1b" not in piped
    assert max(map(cell_len, piped.splitlines())) <= 80
    assert b"\x1b[" in shown
    # The seconds differ from one audit to the next, and with them the spaces of the first line.
    words = [re.sub(r"\x1b\[[0-9;]*m|[0-9.]+ s\b", "", text).split() for text in (shown.decode(), piped)]
    assert words[0] == words[1]
