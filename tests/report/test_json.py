"""The report as data follows its published schema, whatever a check put into its evidence."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlflow_clfaudit.report
from mlflow_clfaudit.report.github import to_github
from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.report.json import to_dict, to_json
from mlflow_clfaudit.report.markdown import description, to_markdown
from mlflow_clfaudit.report.plain import data
from mlflow_clfaudit.report.text import to_text
from mlflow_clfaudit.types import Grade, Proof, Report, Severity
from tests.report.samples import (
    CAUSE,
    make_report,
)

FOLDER = Path(mlflow_clfaudit.report.__file__).parent
SCHEMA = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_json_follows_the_published_schema(report: Report) -> None:
    document = json.loads(to_json(report))
    VALIDATOR.validate(document)
    assert document == to_dict(report)
    to_json(report).encode("utf-8")


def test_json_says_what_the_report_holds() -> None:
    document = to_dict(make_report())
    assert document["schema"] == 1
    assert document["root_cause"] == "softmax-on-one-unit"
    assert [finding["check"] for finding in document["findings"]] == [
        "softmax-on-one-unit",
        "test-used-for-validation",
        "low-contrast-inputs",
        "class-imbalance",
    ]
    assert document["findings"][0]["proof"] == {
        "grade": "B",
        "metric": "balanced accuracy",
        "before": 0.5,
        "after": 0.894,
        "n": 970,
        "p_value": 1e-40,
        "how": "sigmoid on the same weights",
    }
    assert document["findings"][0]["explains"] == ["constant-prediction", "loss-accuracy-divergence"]
    assert document["findings"][1]["proof"] is None
    assert document["findings"][3]["ignored"] == "the population is like that"
    assert {symptom["explained_by"] for symptom in document["symptoms"]} == {"softmax-on-one-unit"}
    assert document["passed"] == ["passed-0", "passed-1", "passed-2"]
    assert [item["check"] for item in document["skipped"]] == ["names-one", "names-two"]
    assert document["errors"] == [{"check": "broken-check", "error": "ValueError: shapes"}]
    assert document["seconds"]["total"] == pytest.approx(6.1)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_refuses_a_report_without_its_verdict() -> None:
    document = to_dict(make_report())
    del document["verdict"]
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(document)


def test_data_makes_json_of_anything_a_check_may_put_into_its_evidence() -> None:
    found = data(
        {
            "nan": math.nan,
            "infinite": np.float32(np.inf),
            "count": np.int64(3),
            "flag": np.True_,
            "array": np.array([[1.0, np.nan]]),
            "set": {"b", "a"},
            3: Severity.ERROR,
            "proof": Proof(Grade.A, "counted"),
            "object": object(),
            "bytes": b"\xff",
        }
    )
    assert found == {
        "nan": None,
        "infinite": None,
        "count": 3,
        "flag": True,
        "array": [[1.0, None]],
        "set": ["a", "b"],
        "3": "error",
        "proof": {
            "grade": "A",
            "how": "counted",
            "metric": None,
            "before": None,
            "after": None,
            "n": None,
            "p_value": None,
        },
        "object": "<object>",
        "bytes": "\ufffd",
    }


def test_evidence_that_holds_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    json.dumps(to_dict(make_report(findings=(replace(CAUSE, evidence=loop),))))


plain_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5)
evidence = st.dictionaries(
    st.text(max_size=5),
    st.recursive(plain_values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)),
)
numbers = st.none() | st.floats()


@given(message=st.text(), evidence=evidence, before=numbers, after=numbers)
@settings(max_examples=30)
def test_every_form_takes_any_text_and_number(
    message: str, evidence: dict[str, Any], before: float | None, after: float | None
) -> None:
    proof = Proof(Grade.B, message, message, before, after, 7, before)
    finding = replace(CAUSE, message=message, fix=message, evidence=evidence, proof=proof)
    made = make_report(run_name=message, findings=(finding,))
    VALIDATOR.validate(json.loads(to_json(made)))
    for form in (to_html(made), to_markdown(made), description(made), to_github(made), to_text(made, color=True)):
        form.encode("utf-8")
