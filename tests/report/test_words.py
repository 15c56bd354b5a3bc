"""What all forms share: words, cleaning, and that the same report gives the same bytes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mlflow_clfaudit.report.github import to_github
from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.report.json import to_json
from mlflow_clfaudit.report.markdown import description, to_markdown
from mlflow_clfaudit.report.plain import clean
from mlflow_clfaudit.report.text import to_text
from mlflow_clfaudit.report.words import brief, line, number, p_value, pair, proof_sentence
from mlflow_clfaudit.types import Grade, Proof, Report


def test_the_same_report_gives_the_same_bytes(report: Report) -> None:
    def forms(of: Report) -> list[str]:
        return [to_html(of), to_json(of), to_markdown(of), description(of), to_github(of), to_text(of, color=True)]

    odd = {"set": {"b", "a", "c"}, "object": object()}
    once = forms(replace(report, findings=[replace(item, evidence=odd) for item in report.findings]))
    odd = {"set": {"c", "b", "a"}, "object": object()}
    assert once == forms(replace(report, findings=[replace(item, evidence=odd) for item in report.findings]))


def test_rendering_leaves_the_report_as_it_was(report: Report) -> None:
    before = repr(report)
    for render in (to_html, to_json, to_markdown, description, to_github):
        render(report)
    assert repr(report) == before


def test_clean_keeps_scripts_and_line_ends_and_drops_what_acts() -> None:
    assert clean("naïve 日本 🦩\r\nnext\tcell") == "naïve 日本 🦩\nnext cell"
    assert clean("a\x1b[2Jb\x00\u202ec\ud800\U000e0041") == "a[2Jbc\ufffd"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-3, "−3"),
        (12345, "12\u00a0345"),
        (0.5, "0.500"),
        (-0.25, "−0.250"),
        (1234.5, "1.23e+03"),
        (1e-9, "1e-09"),
        (1e300, "1e+300"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_are_read_at_a_glance(value: float, shown: str) -> None:
    assert number(value) == shown


def test_two_values_are_told_apart() -> None:
    assert pair(0.5, 0.894) == ("0.50", "0.89")
    assert pair(0.5, 0.5) == ("0.50", "0.50")
    assert pair(0.981, 0.984) == ("0.981", "0.984")
    assert pair(2292.0, 0.0004) == ("2\u00a0292", "0.0004")
    assert pair(math.nan, 1.0) == ("NaN", "1")


@pytest.mark.parametrize(
    ("value", "shown"), [(1e-40, "p < 1e-16"), (2e-5, "p = 2e-05"), (0.0123, "p = 0.012"), (math.nan, "p not known")]
)
def test_p_values(value: float, shown: str) -> None:
    assert p_value(value) == shown


@pytest.mark.parametrize(
    ("proof", "sentence"),
    [
        (
            Proof(Grade.A, "one class is predicted", "accuracy", 0.63, n=40),
            "one class is predicted: accuracy 0.630 on 40 rows",
        ),
        (Proof(Grade.C, "G-test", p_value=0.002), "G-test, p = 0.002"),
        (Proof(Grade.A, "the labels, counted", n=40), "the labels, counted, on 40 rows"),
        (Proof(Grade.B, "judged on 9 held-out rows", "U", 0.0, 1.0, 9), "judged on 9 held-out rows: U 0.00 → 1.00"),
        (Proof(Grade.D, "the fit arguments"), "the fit arguments"),
    ],
)
def test_a_proof_is_one_sentence(proof: Proof, sentence: str) -> None:
    assert proof_sentence(proof) == sentence


def test_long_text_is_cut_at_a_word() -> None:
    assert line("one two  three\nfour", 12) == "one two…"
    assert line("abcdefghijkl", 6) == "abcde…"
    assert line("short", 12) == "short"


def test_a_heading_never_ends_before_its_but() -> None:
    message = (
        "The scores separate the classes, but cut at 0.5 they find a tenth of class 1; cut at 0.1, they find most."
    )
    assert brief(message, 90) == "The scores separate the classes, but cut at 0.5 they find a tenth of class 1."


@pytest.mark.parametrize(
    ("message", "heading"),
    [
        ("Short: and whole.", "Short: and whole."),
        (
            "The network was stopped long before it had learnt: " + "numbers " * 20,
            "The network was stopped long before it had learnt.",
        ),
        ("Every word " * 20, "Every word Every word…"),
    ],
)
def test_a_long_message_is_headed_by_its_first_clause(message: str, heading: str) -> None:
    assert brief(message, 60).startswith(heading.rstrip("…").rstrip("."))
    assert len(brief(message, 60)) <= 60
