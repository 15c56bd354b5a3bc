"""The report in a notebook: the page in a frame of its own, and the findings as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from mlflow_clfaudit.report import words
from mlflow_clfaudit.report.html import to_html
from mlflow_clfaudit.report.plain import cleaned

if TYPE_CHECKING:
    import pandas as pd

    from mlflow_clfaudit.types import Report

COLUMNS = {
    "run_id": "string",
    "verdict": "string",
    "check": "string",
    "area": "string",
    "severity": "string",
    "confidence": "string",
    "message": "string",
    "metric": "string",
    "before": "Float64",
    "after": "Float64",
    "rows": "Int64",
    "p_value": "Float64",
    "fix": "string",
    "ignored": "string",
}


def framed(report: Report) -> str:
    """The page in a frame, so that its styles stay its own and its script sees nothing of the notebook."""
    frame = Markup('<iframe srcdoc="{}" sandbox="allow-scripts" title="{}" style="{}"></iframe>')
    title = f"Audit of {words.line(cleaned(report).run_name, 80)}"
    return str(frame.format(to_html(report), title, "width: 100%; height: 640px; border: 0"))


def to_pandas(report: Report) -> pd.DataFrame:
    """One row a finding, in ranked order; none for a run without findings, the columns stay."""
    import pandas as pd

    shown = cleaned(report)
    rows = []
    for finding in shown.findings:
        proof = finding.proof
        rows.append(
            {
                "run_id": shown.run_id,
                "verdict": str(shown.verdict),
                "check": words.title(finding),
                "area": finding.area,
                "severity": str(finding.level),
                "confidence": str(finding.confidence),
                "message": finding.message,
                "metric": proof.metric if proof else None,
                "before": proof.before if proof else None,
                "after": proof.after if proof else None,
                "rows": proof.n if proof else None,
                "p_value": proof.p_value if proof else None,
                "fix": finding.fix,
                "ignored": finding.ignored,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
