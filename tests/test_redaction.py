from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest

from mlflow_clfaudit import audit_run
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.redaction import redact
from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.report.json import to_json
from mlflow_clfaudit.report.markdown import to_markdown
from mlflow_clfaudit.report.text import to_text
from mlflow_clfaudit.suspicious import to_table
from mlflow_clfaudit.types import Finding, Report, Tier
from tests.report.samples import make_report
from tests.runs import make_run

NAMES = ("no", "patients with a rare and telling disease", "patients with a rare and telling cold", "gradient")


def redacted(message: str, **evidence: object) -> Finding:
    labels = Labels({"train": LabelSet(np.array(NAMES)[np.arange(40) % 4], "y.npy")}, None, NAMES)
    graph = Evidence({"run": make_run(), "labels": labels, "class_lists": ()}, cap=Tier.STATIC)
    finding = Finding(message, check="gradient", evidence=evidence, fix="gradient")
    (found,) = redact(make_report(findings=(finding,)), graph).findings
    return found


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("40 rows are 'no', and nothing else.", "40 rows are 'class 0', and nothing else."),
        (f"{NAMES[2]} and {NAMES[1]}", "class 2 and class 1"),
        ("patients with a rare and telling dis… is cut", "class 1… is cut"),
        ("now gradients are not named", "now gradients are not named"),
        ("", ""),
    ],
)
def test_names_go_wherever_they_stand_as_words(message: str, expected: str) -> None:
    assert redacted(message).message == expected


def test_names_go_from_evidence_and_stay_where_they_are_ours() -> None:
    found = redacted("x", counts={"no": 10, "gradient": [("no", 1.0)]}, rows=40)
    assert found.evidence == {"counts": {"class 0": 10, "class 3": [("class 0", 1.0)]}, "rows": 40}
    assert found.check == "gradient"


def test_ten_thousand_classes_take_no_time() -> None:
    names = tuple(f"class of customers number {number}" for number in range(10_000))
    labels = Labels({"train": LabelSet(np.array(names), "y.npy")}, None, names)
    graph = Evidence({"run": make_run(), "labels": labels, "class_lists": ()}, cap=Tier.STATIC)
    message = " and ".join(names[:200])
    report = redact(make_report(findings=(Finding(message),)), graph)
    assert report.findings[0].message == " and ".join(f"class {number}" for number in range(200))


def test_no_form_of_a_redacted_report_says_what_the_run_calls_things(tracking_uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    names = np.array(["haemophilia", "leukaemia", "sarcoidosis"])
    np.save(folder / "y_train.npy", names[np.sort(np.arange(600) % 3)])
    np.save(folder / "y_val_stpaul.npy", names[np.full(80, 2)])
    with mlflow.start_run(run_name="charite-2026") as active:
        mlflow.log_metrics({"loss": 0.3, "val_loss": 0.31, "val_accuracy": 1.0})
        mlflow.log_artifacts(str(folder), "hospital")
    plain, hidden = (audit_run(active.info.run_id, redact=value, dry_run=True) for value in (False, True))
    assert {finding.check for finding in plain.findings} == {finding.check for finding in hidden.findings}
    assert {name for name in (*names, "charite-2026", "hospital") if name in shown(plain)} >= {
        "sarcoidosis",
        "hospital",
    }
    assert not [name for name in (*names, "charite", "hospital", "stpaul") if name in shown(hidden)]


def shown(report: Report) -> str:
    forms = (to_html(report), to_json(report), to_markdown(report), to_text(replace(report), color=False))
    return "\n".join((*forms, to_table(report.rows)))
