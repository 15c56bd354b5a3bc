"""Every sample in turn, for what holds of all reports."""

from __future__ import annotations

import pytest

from mlflow_clfaudit.types import Report
from tests.report.samples import REPORTS


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> Report:
    return REPORTS[request.param]
