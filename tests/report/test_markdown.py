"""report.md and the block in the description of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from mlflow_clfaudit.report.html import confusion_svg
from mlflow_clfaudit.report.markdown import code, description, to_markdown
from mlflow_clfaudit.report.tags import CLOSE, OPEN
from mlflow_clfaudit.types import Report
from tests.report.samples import (
    CAUSE,
    EMPTY,
    FIGURES,
    HEALTHY,
    REPORTS,
    make_report,
)

OUR_COMMENTS = {OPEN, CLOSE}


def rendered(text: str) -> list[Any]:
    """All tokens of a Markdown text, as a renderer that lets HTML through sees them."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    return [inner for token in tokens for inner in (token, *(token.children or []))]


@pytest.mark.parametrize("form", [to_markdown, description])
def test_hostile_text_stays_text_in_markdown(form: Any) -> None:
    tokens = rendered(form(REPORTS["hostile"]))
    assert {token.content.strip() for token in tokens if token.type.startswith("html")} <= OUR_COMMENTS
    assert not [token for token in tokens if token.type in ("link_open", "image")]
    headings = sum(token.type == "heading_open" for token in tokens)
    assert headings == sum(token.type == "heading_open" for token in rendered(form(_same_shape())))
    told = "".join(token.content for token in tokens if token.type == "text")
    assert "<script>alert(1)</script>" in told
    assert "[link](javascript:alert(3))" in told or form is description  # cut before it


def _same_shape() -> Report:
    """The hostile report with harmless words in its place."""
    hostile = REPORTS["hostile"]
    harmless = [replace(finding, message="words", fix="words", variant=None) for finding in hostile.findings]
    figures = {**FIGURES, "undrawn": {}}
    return replace(
        hostile, findings=harmless, figures=figures, sources={"a": "b"}, run_name="a", run_id="b", headline="c"
    )


def test_markdown_renders_back_to_the_words() -> None:
    tokens = rendered(
        to_markdown(make_report(findings=(replace(CAUSE, message="1. a_b *c* [d] <e> & 2 | ~f~ $g$ \\ `h`"),)))
    )
    assert any(token.content == "1. a_b *c* [d] <e> & 2 | ~f~ $g$ \\ `h`" for token in joined_text(tokens))
    cells = [token.content for token in tokens if token.type == "inline"]
    assert "cat" in cells
    assert "362" in cells


def joined_text(tokens: list[Any]) -> list[Any]:
    """The inline tokens with the text that they render to as content."""
    inline = [token for token in tokens if token.type == "inline"]
    for token in inline:
        token.content = "".join(child.content for child in token.children)
    return inline


@pytest.mark.parametrize("text", ["a`b", "``", "`", "a ``` b", "plain", " | "])
def test_code_holds_any_backticks(text: str) -> None:
    found = [token.content for token in rendered(code(text)) if token.type == "code_inline"]
    assert found == [text.strip(" ")]


def test_the_description_shows_verdict_cause_proof_and_fix_in_four_lines() -> None:
    rows = description(make_report()).splitlines()
    assert rows[0] == OPEN
    assert rows[-1] == CLOSE
    assert rows[1:5] == [
        "**FAULTY** · `softmax-on-one-unit` (blocker, proven)  ",
        "The output layer applies softmax to one unit, so every prediction is 1.0.  ",
        "**Proof** sigmoid on the same weights: balanced accuracy 0.50 → 0.89 on 970 rows, p &lt; 1e-16  ",
        '**Fix** `Dense(1, activation="sigmoid")`',
    ]
    assert rows[5] == ""
    text = "\n".join(rows)
    run = make_report().run_id
    assert f"![Confusion matrix](get-artifact?path=clfaudit/confusion.svg&run_uuid={run})" in text
    assert (
        f"[Full report](#/experiments/1/runs/{run}/artifacts/clfaudit/report.html?workflowType=machine_learning)"
        in text
    )
    assert "`clfaudit.ignore.softmax-on-one-unit`" in text
    assert "`clfaudit.review`" in text


def test_a_long_proof_keeps_its_numbers_in_its_line() -> None:
    assert CAUSE.proof is not None
    long = replace(CAUSE, proof=replace(CAUSE.proof, how="the very same weights with another head " * 4))
    row = description(make_report(findings=[long])).splitlines()[3]
    assert row.startswith("**Proof** balanced accuracy 0.50 → 0.89 on 970 rows: the very same weights")
    assert row.endswith("…  ")
    assert len(row) < 105


def test_the_description_stays_short() -> None:
    long = [replace(CAUSE, message="word " * 200, fix="code " * 200, check=f"cause-{place}") for place in range(60)]
    block = description(make_report(findings=long, root_cause="cause-0"))
    assert len(block) < 5_000
    assert max(len(row) for row in block.splitlines()[1:5]) < 200
    assert "50 more" in block


def test_the_description_names_a_picture_only_where_one_is_written() -> None:
    assert "get-artifact" not in description(make_report(figures={}))
    assert confusion_svg(make_report(figures={})) is None


def test_the_description_of_runs_without_a_cause() -> None:
    assert "**HEALTHY**  \nNo fault found by 4 checks.  \nbalanced accuracy 0.50" in description(HEALTHY)
    assert "**NOT AUDITED**" in description(EMPTY)
