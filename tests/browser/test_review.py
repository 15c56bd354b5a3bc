"""What a reviewer sees in MLflow's own pages, in a real browser, against a real server."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlflow_clfaudit import attach
from mlflow_clfaudit.evidence.reader import read_run
from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.report.words import sentence
from mlflow_clfaudit.types import SuspiciousRow
from tests.browser.site import ATTACK, EXPERIMENT, PATIENCE, Site, open_experiments, open_page, report_frame
from tests.report.samples import FIGURES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
PlaywrightError = playwright.Error
GUIDE = Path(__file__).parents[2] / "docs" / "review.md"
FILTERS = re.findall(r"^((?:tags|metrics)\..*)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)

pytestmark = pytest.mark.slow


def test_two_clicks_from_the_experiments_to_the_verdict(browser: Browser, site: Site) -> None:
    page = open_page(browser)
    errors = errors_of(page)
    open_experiments(page, site.address)
    page.get_by_role("link", name=EXPERIMENT, exact=True).click()
    page.get_by_role("link", name="ordered", exact=True).click()
    report = site.reports["ordered"]
    said = page.get_by_text("FAULTY", exact=True)
    said.wait_for()
    cause = page.locator("code", has_text=report.root_cause).first
    for seen in (said, cause, page.get_by_text(sentence(report))):
        box = seen.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900, "below the fold"
    with page.expect_popup() as opened:
        page.get_by_text("Show more").click()
        page.get_by_role("link", name="Full report").click()
    assert first_line(opened.value, errors) == ("✕ Faulty", sentence(report))
    page.context.close()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gone.html", "Timeout"),
        ("empty.html", "Timeout"),
        ("error-page.html", "Timeout"),
        ("script-that-fails.html", "it failed here"),
        ("script-that-never-ran.html", "no button to copy"),
    ],
)
def test_a_frame_that_shows_an_error_is_told_apart(browser: Browser, site: Site, name: str, told: str) -> None:
    """What the first line is read by fails where the report is not there, or is there and does not work."""
    report = to_html(site.reports["ordered"])
    script = "<script>" + report.rsplit("<script>", 1)[1].split("</script>")[0] + "</script>"
    pages = {
        "empty.html": "<!doctype html><title>empty</title>",
        "error-page.html": '<meta http-equiv="refresh" content="0; url=http://127.0.0.1:1/">',
        "script-that-fails.html": report.replace(script, '<script>throw new Error("it failed here")</script>'),
        "script-that-never-ran.html": report.replace(script, ""),
    }
    if name in pages:
        site.client.log_text(site.reports["ordered"].run_id, pages[name], f"clfaudit/{name}")
    page = open_page(browser)
    errors = errors_of(page)
    page.set_default_timeout(8_000 if told == "Timeout" else PATIENCE)
    page.goto(address_of(site, "ordered", name))
    with pytest.raises((PlaywrightError, AssertionError), match=told):
        first_line(page, errors)
    page.context.close()


def test_the_saved_view_shows_the_faulty_runs_first(browser: Browser, site: Site) -> None:
    page = open_page(browser)
    open_experiments(page, site.address)
    page.get_by_role("link", name=EXPERIMENT, exact=True).click()
    page.get_by_role("button", name="Views").click()
    page.get_by_text("clfaudit", exact=True).click()
    cause = site.reports["ordered"].root_cause
    page.locator("[role=gridcell]").get_by_text(cause, exact=True).first.wait_for()
    column = "[role={}][col-id='tags.`clfaudit.{}`']"
    names = ("verdict", "root_cause", "severity")
    boxes = [page.locator(column.format("columnheader", name)).bounding_box() for name in names]
    places = [box["x"] for box in boxes if box]
    assert places == sorted(places)
    assert len(places) == 3
    # The table's elements are in no order, their places are.
    cells = page.locator(column.format("gridcell", "verdict")).all()
    verdicts = [cell.inner_text() for cell in sorted(cells, key=lambda cell: (cell.bounding_box() or {})["y"])]
    assert verdicts == sorted(verdicts, key=["faulty", "suspect", "healthy", "-"].index)
    assert verdicts[0] == "faulty"
    page.context.close()


@pytest.mark.parametrize("filter_string", FILTERS)
def test_the_filters_of_the_documentation_find_runs(site: Site, filter_string: str) -> None:
    experiment = site.client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    everything = len(site.client.search_runs([experiment.experiment_id]))
    assert len(site.client.search_runs([experiment.experiment_id], filter_string)) < everything


def test_suspicious_rows_are_a_table_and_the_confusion_matrix_is_a_picture(browser: Browser, site: Site) -> None:
    """Both written by hand: the runs here have no model whose decisions could be wrong."""
    row = SuspiciousRow(473, "validation", "default", "repaid", 0.98, "confidently wrong: repaid at 0.98")
    run_id = site.reports["shuffled"].run_id
    run = read_run(run_id, site.address)
    attach.write(run, replace(site.reports["shuffled"], rows=[row], figures=FIGURES))
    page = open_page(browser)
    page.goto(site.reports["shuffled"].url or "")
    page.get_by_text("Show more").click()
    picture = page.locator("img[src*='clfaudit/confusion.svg']")
    picture.wait_for()
    page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
    page.goto(address_of(site, "shuffled", "suspicious_rows.json"))
    page.get_by_text("View as table").wait_for()
    page.get_by_text("confidently wrong: repaid at 0.98", exact=True).wait_for()
    shown = page.locator("main").inner_text().split()
    assert [word for word in shown if word in ("row", "split", "label", "prediction", "score", "why")]
    page.context.close()


def test_no_script_of_a_run_runs(browser: Browser, site: Site) -> None:
    page = open_page(browser)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    open_experiments(page, site.address)
    page.get_by_role("link", name=EXPERIMENT, exact=True).click()
    page.get_by_role("link", name=ATTACK, exact=True).click()
    page.get_by_text("FAULTY", exact=True).wait_for()
    seen = [page.evaluate("window.attacked ?? null")]
    page.goto(address_of(site, ATTACK, "report.html"))
    frame = report_frame(page)
    frame.locator("h1").wait_for()
    assert ATTACK in frame.locator("body").inner_text(), "the names are shown as they are"
    seen += [each.evaluate("window.attacked ?? null") for each in page.frames]
    assert (seen, dialogs) == ([None] * 3, [])
    page.context.close()


def address_of(site: Site, name: str, file: str) -> str:
    return f"{site.reports[name].url}/artifacts/clfaudit/{file}"


def errors_of(page: Page) -> list[str]:
    """The errors that scripts raise from now on, in the pages and frames of this one's window."""
    errors: list[str] = []
    page.context.on("weberror", lambda found: errors.append(str(found.error)))
    return errors


def first_line(page: Page, errors: list[str]) -> tuple[str, str]:
    """The verdict and the heading of the report that a page of MLflow shows; fails where the report does not work."""
    frame = report_frame(page)
    found = frame.locator(".verdict").inner_text(), frame.locator("h1").inner_text()
    assert errors == []
    assert frame.get_by_role("button", name="Copy the fix").first.is_visible(), (
        "no button to copy: the script did not run"
    )
    return found
