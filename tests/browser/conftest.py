"""One browser and one server for all tests that look at pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.site import CHROMIUM, Site, audited_site, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    pytest.importorskip("playwright", reason="no Playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no chromium: make browser (as root on Debian: apt-get install chromium)")
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with audited_site(tmp_path_factory.mktemp("site")) as made:
        yield made
