"""The report as the last line of a notebook's cell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.types import Report
from tests.report.samples import HEALTHY, HOSTILE, REPORTS, Page, make_report


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(report: Report) -> None:
    ((tag, attributes),) = Page(report._repr_html_()).tags
    assert tag == "iframe"
    assert attributes["srcdoc"] == to_html(report)
    assert attributes["sandbox"] == "allow-scripts"
    assert attributes["title"]


def test_no_text_of_a_run_leaves_the_frame() -> None:
    assert [tag for tag, _ in Page(REPORTS["hostile"]._repr_html_()).tags] == ["iframe"]


def test_findings_are_rows() -> None:
    table = make_report().to_pandas()
    assert table["check"].tolist() == [
        "softmax-on-one-unit",
        "test-used-for-validation",
        "low-contrast-inputs",
        "class-imbalance",
    ]
    first = table.iloc[0]
    assert (first["severity"], first["before"], first["after"], first["rows"]) == ("blocker", 0.5, 0.894, 970)
    assert first["fix"] == 'Dense(1, activation="sigmoid")'
    assert table["after"].isna().tolist() == [False, True, True, True]
    assert table["ignored"].dropna().tolist() == ["the population is like that"]


def test_tables_of_several_runs_are_one() -> None:
    """A run without findings has the same columns of the same kinds."""
    faulty, healthy = make_report().to_pandas(), HEALTHY.to_pandas()
    assert healthy.empty
    assert healthy.dtypes.equals(faulty.dtypes)
    joined = pd.concat([faulty, healthy])
    assert len(joined) == 4
    assert np.issubdtype(joined["before"].to_numpy(dtype=float, na_value=np.nan).dtype, np.floating)


def test_a_table_holds_no_character_that_acts() -> None:
    table = REPORTS["hostile"].to_pandas()
    assert HOSTILE not in table["message"].tolist()
    assert not table["message"].str.contains("[\x1b\u202e]").any()
