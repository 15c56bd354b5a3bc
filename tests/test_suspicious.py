"""Which rows a person should look at: wrong ones only, the worst first, never an input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient

from mlflow_clfaudit import attach
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.inputs import RowHashes
from mlflow_clfaudit.evidence.reader import read_run
from mlflow_clfaudit.report.markdown import description
from mlflow_clfaudit.suspicious import COLUMNS, MAX_ROWS, suspicious_rows, to_table
from mlflow_clfaudit.types import SuspiciousRow
from tests.kit import make_head, make_labels, make_served
from tests.report.samples import HOSTILE, make_report
from tests.test_attach import log_ordered_run


def rows_of(outputs: Any, truth: Any, **pieces: Any) -> tuple[SuspiciousRow, ...]:
    head = pieces.pop("head", None)
    return suspicious_rows(Evidence({"served": make_served(outputs, truth, head=head), **pieces}))


def test_wrong_rows_are_listed_the_worst_first() -> None:
    found = rows_of([0.1, 0.99, 0.55, 0.8, 0.3], [0, 0, 0, 1, 1])
    assert [row.row for row in found] == [1, 4, 2]
    assert [(row.label, row.prediction) for row in found] == [("0", "1"), ("1", "0"), ("0", "1")]
    assert found[0].why == "confidently wrong: 1 at 0.99, its label at 0.01"
    assert [row.score for row in found] == pytest.approx([0.99, 0.7, 0.55])


def test_several_classes_by_name() -> None:
    outputs = [[0.8, 0.1, 0.1], [0.1, 0.45, 0.45], [0.3, 0.36, 0.34]]
    found = rows_of(outputs, [2, 1, 2], labels=make_labels(validation=[2, 1, 2], names=["cat", "dog", "emu"]))
    assert [(row.row, row.label, row.prediction) for row in found] == [(0, "emu", "cat"), (2, "emu", "dog")]
    assert found[1].why == "a close call: dog at 0.36, its label at 0.34"


def test_outputs_that_are_no_probabilities_are_not_called_so() -> None:
    head = make_head(1, "linear", loss="mean_squared_error")
    (row,) = rows_of([3.0, -2.0, 0.9], [0, 0, 1], head=head)
    assert head.threshold == 0.5
    assert (row.row, row.score, row.why) == (0, 2.5, "served as 1")


def test_nothing_is_suspicious_where_all_rows_are_served_alike_or_right() -> None:
    assert rows_of([0.9, 0.9, 0.9], [0, 1, 1]) == ()
    assert rows_of([0.1, 0.9], [0, 1]) == ()
    assert suspicious_rows(Evidence({})) == ()


def test_equal_inputs_with_two_labels_are_told() -> None:
    hashes = RowHashes({"validation": np.array([7, 8, 7, 9], dtype=np.uint64)})
    found = rows_of([0.9, 0.9, 0.9, 0.1], [0, 0, 1, 0], row_hashes=hashes)
    assert [("same inputs" in row.why) for row in found] == [True, False]


def test_at_most_a_hundred() -> None:
    random = np.random.default_rng(0)
    assert len(rows_of(random.random(5_000), random.integers(0, 2, 5_000))) == MAX_ROWS


@given(
    st.lists(st.tuples(*[st.floats(width=32)] * 3, st.integers(0, 5)), min_size=1, max_size=20),
    st.sampled_from(["softmax", "linear"]),
)
def test_any_outputs_and_labels(rows: list[tuple[float, float, float, int]], activation: str) -> None:
    outputs, truth = np.array([row[:3] for row in rows]), np.array([row[3] for row in rows])
    with np.errstate(all="ignore"):
        found = rows_of(outputs, truth, head=make_head(3, activation))
    assert all(row.label != row.prediction for row in found)
    table = json.loads(to_table(found))
    assert tuple(table["columns"]) == COLUMNS


def test_hostile_class_names_are_cleaned() -> None:
    labels = make_labels(validation=[0, 1, 0], names=[HOSTILE, "\x1b[31mother"])
    (row,) = rows_of([0.9, 0.9, 0.1], [0, 1, 0], labels=labels)
    assert "\x1b" not in f"{row}"
    assert len(row.label) <= 40


def test_mlflow_reads_the_table_and_a_later_audit_empties_it(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    rows = (SuspiciousRow(3, "validation", "cat", "dog", 0.97, "confidently wrong"),)
    attach.write(read_run(run_id), make_report(run_id=run_id, rows=rows))
    table = mlflow.load_table("clfaudit/suspicious_rows.json", run_ids=[run_id])
    assert table.to_dict("records") == [
        dict(zip(COLUMNS, (3, "validation", "cat", "dog", 0.97, "confidently wrong"), strict=True))
    ]
    logged = json.loads(MlflowClient().get_run(run_id).data.tags["mlflow.loggedArtifacts"])
    assert logged == [{"path": "clfaudit/suspicious_rows.json", "type": "table"}]
    again = read_run(run_id)
    attach.write(again, make_report(run_id=run_id))
    assert mlflow.load_table("clfaudit/suspicious_rows.json", run_ids=[run_id]).empty
    assert json.loads(MlflowClient().get_run(run_id).data.tags["mlflow.loggedArtifacts"]) == logged


def test_the_table_does_not_change_what_was_audited(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    before = read_run(run_id).digest
    rows = (SuspiciousRow(3, "validation", "cat", "dog", 0.97, "wrong"),)
    attach.write(read_run(run_id), make_report(run_id=run_id, rows=rows))
    assert read_run(run_id).digest == before


def test_the_description_leads_to_the_table() -> None:
    rows = (SuspiciousRow(3, "validation", "cat", "dog", 0.97, "wrong"),)
    run_id = make_report().run_id
    page = f"#/experiments/1/runs/{run_id}/artifacts/clfaudit/suspicious_rows.json?workflowType=machine_learning"
    assert f"[1 suspicious row]({page})" in description(make_report(rows=rows))
    assert "suspicious" not in description(make_report())
