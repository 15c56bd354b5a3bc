"""What a reviewer sees in MLflow's own pages, in a real browser, against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_clfaudit.report.words import sentence
from tests.browser.site import ATTACK, EXPERIMENT, Site, open_experiments, open_page, report_frame

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


def test_two_clicks_from_the_experiments_to_the_verdict(browser: Browser, site: Site) -> None:
    page = open_page(browser)
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
    assert first_line(opened.value) == ("✕ Faulty", sentence(report))
    page.context.close()


def test_the_frame_of_a_report_that_is_gone_is_told_apart(browser: Browser, site: Site) -> None:
    page = open_page(browser)
    page.set_default_timeout(10_000)
    page.goto(address_of(site, "ordered", "gone.html"))
    with pytest.raises(Exception, match=r"Timeout|no frame"):
        first_line(page)
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


def first_line(page: Page) -> tuple[str, str]:
    """The verdict and the heading of the report that a page of MLflow shows."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    frame = report_frame(page)
    found = frame.locator(".verdict").inner_text(), frame.locator("h1").inner_text()
    assert errors == []
    return found
