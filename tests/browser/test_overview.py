"""The summary of an experiment and the difference of two runs, as a browser shows them: all names are an attacker's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from mlflow_clfaudit import audit_run
from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.report.words import line
from mlflow_clfaudit.review import give
from mlflow_clfaudit.types import Word
from tests.browser.site import ATTACK, Site, open_page, ordered, report_frame

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

EXPERIMENT = f"loans {ATTACK}"
SENTENCE = "4 audited runs: 3 faulty, 1 suspect."
VIEWS = [(1440, False), (1024, False), (1440, True), (1024, True)]


@dataclass
class Summarised:
    """An experiment whose names are scripts: its summary's address in MLflow, its page on disk, its runs by name."""

    address: str
    page: Path
    runs: dict[str, str]


@dataclass
class Seen:
    """What a page does that it should not: errors of its scripts, and dialogs that somebody else's script opens."""

    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, page: Page) -> Seen:
        seen = cls()
        page.context.on("weberror", lambda found: seen.errors.append(str(found.error)))
        page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        return seen


@pytest.fixture(scope="module")
def summarised(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Summarised:
    mixed = np.random.default_rng(0).permutation(ordered(400, 417))
    classes = f"{ATTACK}\nother\n"
    runs = {
        "mixed": site.log("mixed", mixed, EXPERIMENT),
        "tail": site.log("tail", ordered(), EXPERIMENT),
        ATTACK: site.log(ATTACK, ordered(), EXPERIMENT, classes),
        f"again {ATTACK}": site.log(f"again {ATTACK}", ordered(), EXPERIMENT, classes),
    }
    for run_id in runs.values():
        audit_run(run_id, tier="static", tracking_uri=site.address)
    give(runs[ATTACK], {Word.REJECTED: ATTACK}, tracking_uri=site.address)
    site.client.set_tag(runs[f"again {ATTACK}"], "clfaudit.root_cause", ATTACK)
    page = tmp_path_factory.mktemp("summary") / "summary.html"
    before = mlflow.get_tracking_uri()
    printed = command("summary", "--experiment", EXPERIMENT, "--html", str(page), "--tracking-uri", site.address)
    mlflow.set_tracking_uri(before)
    (told,) = [told for told in printed.splitlines() if told.startswith("  page ")]
    return Summarised(told.split()[1], page, runs)


def short(name: str) -> str:
    """A run's name as the summary and the difference show it."""
    return line(name, 80)


def command(*arguments: str) -> str:
    result = CliRunner().invoke(cli, list(arguments), prog_name="mlflow-clfaudit")
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def nobody_attacked(page: Page, seen: Seen) -> None:
    page.wait_for_timeout(300)  # a picture that fails to load says so later
    assert [each.evaluate("window.attacked ?? null") for each in page.frames] == [None] * len(page.frames)
    assert seen == Seen()


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_the_summary_is_a_page_in_mlflow(browser: Browser, summarised: Summarised, width: int, *, dark: bool) -> None:
    page = open_page(browser, width=width, dark=dark)
    seen = Seen.of(page)
    page.goto(f"{summarised.address}?workflowType=machine_learning")
    frame = report_frame(page)
    assert frame.locator("h1").inner_text() == SENTENCE
    assert frame.locator("p.run").inner_text() == f"Experiment {EXPERIMENT}"
    worst = frame.locator("section", has=frame.get_by_role("heading", name="Worst runs")).locator("tbody tr")
    names = [row.locator("strong").inner_text() for row in worst.all()]
    assert names == [short(name) for name in (f"again {ATTACK}", ATTACK, "tail", "mixed")]
    assert [row.locator(".said").inner_text() for row in worst.all()] == ["faulty, error"] * 3 + ["suspect, warn"]
    assert worst.first.locator("td").nth(2).inner_text() == short(ATTACK)
    assert summarised.runs["mixed"] in worst.last.inner_text()
    assert f"rejected: {ATTACK}" in frame.get_by_role("heading", name="What reviewers said").locator("..").inner_text()
    # The frame would show an error page in the place of the summary.
    assert frame.locator("a, img, iframe, [src], [onerror]").count() == 0
    assert frame.locator("svg").count() == 2
    assert frame.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    nobody_attacked(page, seen)
    page.context.close()


def test_the_description_of_the_summary_leads_to_the_runs(browser: Browser, summarised: Summarised) -> None:
    page = open_page(browser)
    seen = Seen.of(page)
    page.goto(f"{summarised.address.partition('/artifacts/')[0]}?workflowType=machine_learning")
    page.get_by_text(SENTENCE).wait_for()
    nobody_attacked(page, seen)
    page.get_by_text("Show more").click()
    for name in ("tail", ATTACK):
        with page.expect_popup() as opened:
            page.get_by_role("link", name=short(name), exact=True).first.click()
        shown = opened.value
        shown.get_by_text("FAULTY", exact=True).wait_for()
        assert summarised.runs[name] in shown.url
        assert shown.evaluate("window.attacked ?? null") is None
        shown.close()
    page.context.close()


def test_the_summary_from_disk_links_to_the_runs(browser: Browser, site: Site, summarised: Summarised) -> None:
    page = open_page(browser)
    seen = Seen.of(page)
    page.goto(summarised.page.as_uri())
    linked = {link.inner_text(): link.get_attribute("href") for link in page.get_by_role("link").all()}
    assert set(linked) == {EXPERIMENT, *map(short, summarised.runs)}
    for name, run_id in summarised.runs.items():
        assert str(linked[short(name)]).endswith(f"/runs/{run_id}")
    nobody_attacked(page, seen)
    page.get_by_role("link", name="tail", exact=True).click()
    page.get_by_text("FAULTY", exact=True).wait_for()
    page.context.close()


@pytest.mark.parametrize("shown", ["as a file in MLflow", "as a description in MLflow", "by a renderer that trusts it"])
def test_a_difference_is_harmless_wherever_its_markdown_is_shown(
    browser: Browser, site: Site, summarised: Summarised, shown: str
) -> None:
    pair = [summarised.runs["mixed"], summarised.runs[ATTACK]]
    text = command("diff", *pair, "--format", "markdown", "--tracking-uri", site.address)
    experiment = site.client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    page = open_page(browser)
    seen = Seen.of(page)
    if shown.startswith("by"):
        renderer = MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(["table", "strikethrough"])
        page.set_content(renderer.render(text))
        place = page.locator("body")
    else:
        run_id = site.client.create_run(experiment.experiment_id, run_name="difference").info.run_id
        address = f"{site.address}/#/experiments/{experiment.experiment_id}/runs/{run_id}"
        if "file" in shown:
            site.client.log_text(run_id, text, "difference.md")
            address += "/artifacts/difference.md"
        else:
            site.client.set_tag(run_id, "mlflow.note.content", text)
        page.goto(f"{address}?workflowType=machine_learning")
        place = page.locator("main")
    page.get_by_text("clfaudit: SUSPECT → FAULTY").wait_for()
    assert f"mixed → {short(ATTACK)}" in place.inner_text()
    page.get_by_text("class-missing-from-split", exact=True).first.wait_for(state="attached")
    assert page.locator("img[src='x'], [onerror]").count() == 0
    nobody_attacked(page, seen)
    page.context.close()


def test_a_difference_for_the_terminal_has_no_control_characters(site: Site, summarised: Summarised) -> None:
    site.client.set_tag(summarised.runs["tail"], "mlflow.runName", f"\x1b]0;owned\x07\x1b[31m{ATTACK}\u202e")
    audit_run(summarised.runs["tail"], tier="static", tracking_uri=site.address)
    pair = [summarised.runs["mixed"], summarised.runs["tail"]]
    text = command("diff", *pair, "--tracking-uri", site.address)
    site.client.set_tag(summarised.runs["tail"], "mlflow.runName", "tail")
    assert "<script>" in text
    assert not set(text) & set("\x1b\x07\u202e")
