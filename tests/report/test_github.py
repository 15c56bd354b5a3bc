"""The annotations of a GitHub workflow."""

from __future__ import annotations

import re
from dataclasses import replace

from mlflow_clfaudit.report.github import to_github
from tests.report.samples import (
    EMPTY,
    HEALTHY,
    OUTCOMES,
    REPORTS,
    make_report,
)


def test_annotations_by_severity() -> None:
    rows = to_github(make_report()).splitlines()
    assert [row.split(" ")[0] for row in rows] == ["::error", "::warning", "::notice", "::notice", "::warning"]
    assert rows[0] == (
        "::error title=cheerful-stork-12%3A softmax-on-one-unit (blocker%2C proven)::"
        "The output layer applies softmax to one unit, so every prediction is 1.0.%0A"
        "proof: sigmoid on the same weights: balanced accuracy 0.50 → 0.89 on 970 rows, p < 1e-16%0A"
        'fix: Dense(1, activation="sigmoid")%0Aexplains: constant-prediction, loss-accuracy-divergence'
    )
    assert "Class 1 has 63 %25 of the rows." in rows[3]
    assert "ignored: the population is like that" in rows[3]


def test_no_annotation_can_be_forged() -> None:
    rows = to_github(REPORTS["hostile"]).splitlines()
    assert len(rows) == 4
    for row in rows:
        assert re.fullmatch(r"::(error|warning|notice) title=[^:,\r\n]*::[^\r\n]*", row)
        assert not re.search(r"%(?!25|0A|0D|3A|2C)", row)


def test_annotations_of_runs_without_findings() -> None:
    healthy = replace(HEALTHY, outcomes=OUTCOMES[:-1])
    assert to_github(healthy) == "::notice title=cheerful-stork-12%3A healthy::No fault found by 4 checks.\n"
    assert to_github(EMPTY).startswith(f"::error title={EMPTY.run_id}%3A not audited::Nothing could be checked")
    assert "the run has no logged model: mlflow.keras.log_model" in to_github(EMPTY)
