"""The page: what it shows, that it loads nothing, and that text from a run stays text."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import mlflow_clfaudit.report
from mlflow_clfaudit.report.charts import curves, layers
from mlflow_clfaudit.report.html import confusion_svg, prose, to_html
from mlflow_clfaudit.report.svg import Scale
from mlflow_clfaudit.types import Finding, Report
from tests.report.samples import (
    CAUSE,
    EMPTY,
    REPORTS,
    Page,
    make_large,
    make_report,
)

FOLDER = Path(mlflow_clfaudit.report.__file__).parent


def test_the_page_opens_with_verdict_cause_proof_and_fix() -> None:
    page = Page(to_html(make_report()))
    places = [
        page.text.index(words)
        for words in (
            "✕ Faulty",
            "every prediction is 1.0.",
            "softmax-on-one-unit",
            "blocker, proven",
            "sigmoid on the same weights: balanced accuracy 0.50 → 0.89 on 970 rows, p < 1e-16",
            'Dense(1, activation="sigmoid")',
            "constant-prediction",
            "test-used-for-validation",
            "What was checked",
        )
    ]
    assert places == sorted(places)
    assert "3 passed, 2 skipped, 1 failed" in page.text.lower()
    assert "mlflow_clfaudit.log_labels(..., classes=[...])" in page.text
    assert "the population is like that" in page.text


def test_the_page_asks_for_nothing_outside_itself(report: Report) -> None:
    html = to_html(report)
    page = Page(html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"a", "link", "iframe", "img", "object", "embed", "base", "form"})
    loaders = {"src", "href", "xlink:href", "action", "srcset", "poster", "data", "onerror", "onclick", "onload"}
    assert not [attributes for _, attributes in page.tags if loaders & set(attributes)]
    own = html.split("<style>")[1].split("</style>")[0] + html.rsplit("<script>", 1)[1]
    for word in (
        "url(",
        "@import",
        "fetch(",
        "XMLHttpRequest",
        "localStorage",
        "sessionStorage",
        "window.open",
        "//cdn",
    ):
        assert word not in own


def test_hostile_text_stays_text_in_the_page() -> None:
    html = to_html(REPORTS["hostile"])
    page = Page(html)
    assert page.count("script") == 1
    assert page.count("style") == 1
    assert page.count("img") == 0
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "\x1b" not in html
    assert "\u202e" not in html
    html.encode("utf-8")


def test_every_picture_has_words_and_every_heading_its_place() -> None:
    page = Page(to_html(make_report()))
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    # proof, confusion, scores, thresholds, reliability, loss, accuracy, learning rate, layers, shares
    assert len(drawings) == 10
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawings)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert page.tags[0] == ("html", {"lang": "en"})


def test_a_picture_says_in_words_what_it_shows() -> None:
    labels = " ".join(
        str(attributes["aria-label"]) for tag, attributes in Page(to_html(make_report())).tags if tag == "svg"
    )
    assert "balanced accuracy: 0.50 before, 0.89 after" in labels
    assert "608 of 970 rows are served their true class; most often wrong: cat served as dog (362)" in labels
    assert "not finite in epoch 3" in labels
    assert "the weights of epoch 2 were saved" in labels
    assert "above it 608 of 608 rows of dog" in labels
    assert "balanced accuracy at the served threshold 0.500: 0.50" in labels
    assert "dense: gradient 0.001, 25 % dead (relu); squash: 50 % saturated (tanh); dense_1: gradient 0" in labels


def test_a_counterfactual_matrix_is_drawn_beside_the_served_one() -> None:
    fixed = replace(CAUSE, evidence={"confusion_after": [[330, 32], [40, 568]]})
    html = to_html(make_report(findings=(fixed,)))
    assert "Confusion matrix, as served" in html
    assert "898 of 970 rows are served their true class" in html
    misfit = replace(CAUSE, evidence={"confusion_after": [[1, 2, 3], [4]]})
    assert "Confusion matrix, as served" not in to_html(make_report(findings=(misfit,)))


def test_a_long_message_is_whole_in_its_card() -> None:
    long = replace(CAUSE, message="The network was stopped long before it had learnt: " + "more numbers " * 10 + "end.")
    page = Page(to_html(make_report(findings=(long,))))
    assert page.text.count("The network was stopped long before it had learnt") == 2
    assert page.text.count("more numbers end.") == 1


def test_a_proposed_threshold_is_drawn_with_its_interval() -> None:
    evidence = {"threshold": 0.8, "threshold_interval": [0.7, 0.9]}
    proposal = Finding("Cut at 0.8.", check="threshold-off", area="thresholding", evidence=evidence)
    html = to_html(make_report(findings=(CAUSE, proposal)))
    assert html.count("proposed 0.800 (dashed)") == 4  # two pictures, each with its caption and its text alternative
    assert "chosen on two halves of the rows: 0.700 to 0.900" in html
    assert html.count('class="band"') == 1
    alone = replace(proposal, evidence={"threshold": 0.8})
    assert 'class="band"' not in to_html(make_report(findings=(CAUSE, alone)))


def test_gradients_of_many_sizes_share_one_scale() -> None:
    given = [
        {"layer": f"dense_{place}", "gradient": 10.0**-place, "dead": None, "saturated": None} for place in range(9)
    ]
    drawn = layers({"layers": given, "count": 40})
    assert drawn is not None
    widths = [float(bar.attrib["width"]) for bar in ET.fromstring(str(drawn.svg)).iter("rect")]  # noqa: S314  our own
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == 110
    assert widths[-1] > 0
    assert "the first and last of 40 layers" in drawn.words


def test_a_check_explains_itself_from_its_documentation() -> None:
    page = Page(to_html(make_report()))
    assert "Why it matters" in page.text
    assert "attention" in page.text  # when it is legitimate
    unknown = make_report(findings=(replace(CAUSE, check="of-another-package"),), root_cause="of-another-package")
    assert "Why it matters" not in Page(to_html(unknown)).text.replace("Why it matters, and when", "")


def test_prose_escapes_all_but_inline_code() -> None:
    assert [str(part) for part in prose("Use `a < b` & see\nthe <b>rest</b>.\n\nSecond.")] == [
        "<p>Use <code>a &lt; b</code> &amp; see the &lt;b&gt;rest&lt;/b&gt;.</p>",
        "<p>Second.</p>",
    ]


def test_the_page_of_many_rows_and_classes_is_small_and_quick() -> None:
    large = make_large()
    assert set(large.figures) == {"quality", "confusion", "reliability", "curves", "shares"}
    seconds = []
    for _ in range(3):
        started = time.process_time()
        html = to_html(large)
        seconds.append(time.process_time() - started)
    assert len(html.encode()) < 500_000
    assert min(seconds) < 0.3


def test_the_colours_have_contrast_in_light_and_dark() -> None:
    sheet = (FOLDER / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colours = {name: _luminance(value) for name, value in re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block)}
        for ground in ("paper", "card"):
            for text in ("ink", "muted", "faulty", "suspect", "healthy", "unknown"):
                assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
            for drawn in ("train", "validation", "test", "before", "after"):
                assert _contrast(colours[drawn], colours[ground]) >= 3, (drawn, ground)
        for tone in ("faulty", "suspect", "healthy", "unknown"):
            assert _contrast(colours["on"], colours[tone]) >= 4.5, tone


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_the_confusion_picture_stands_alone() -> None:
    picture = confusion_svg(REPORTS["hostile"])
    assert picture is not None
    root = ET.fromstring(picture)  # noqa: S314  our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["width"] == "470"
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    assert "--paper" in picture
    assert confusion_svg(EMPTY) is None


curve = st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8)


@given(train=curve, validation=curve, level=st.none() | st.floats(0, 1), saved=st.none() | st.integers())
def test_any_curve_is_drawn(
    train: list[float | None], validation: list[float | None], level: float | None, saved: int | None
) -> None:
    series = {name: {"x": [*range(1, len(y) + 1)], "y": y} for name, y in (("loss", train), ("val_loss", validation))}
    figure = {"epochs": 8, "saved_epoch": saved, "series": series}
    drawn = curves(figure, ("loss", "val_loss"), "Loss", level=level)
    assert (drawn is None) == all(value is None or abs(value) >= 1e300 for value in (*train, *validation))
    if drawn is not None:
        assert not re.search(r"[\" ](nan|-?inf)", str(drawn.svg))
        ET.fromstring(str(drawn.svg))  # noqa: S314  our own


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-6, 1e9), count=st.integers(4, 8))
def test_ticks_are_round_and_within_the_scale(low: float, span: float, count: int) -> None:
    assume(span > 1e-9 * abs(low))  # below that the ends of the axis are hardly two numbers
    ticks = Scale(low, low + span, 0, 100).ticks(count)
    assert 1 <= len(ticks) <= 2 * count + 2
    assert ticks == sorted(ticks)
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_runs_the_page(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(to_html(make_report()), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    shown = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    buttons = [attributes for tag, attributes in Page(shown.stdout).tags if tag == "button"]
    assert buttons
    assert all("hidden" not in attributes for attributes in buttons)  # the script shows them
