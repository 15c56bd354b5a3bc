"""What an audit leaves in MLflow beside its files: tags, metrics, the list of tables and the description."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from mlflow_clfaudit import __version__
from mlflow_clfaudit.names import AUDITED_AT, EVIDENCE, ROOT_CAUSE, SEVERITY, VERDICT, VERSION
from mlflow_clfaudit.report.words import ROWS_PATH
from mlflow_clfaudit.types import AREAS, Report, Status

OPEN, CLOSE = "<!-- clfaudit -->", "<!-- /clfaudit -->"
MAX_NOTE = 8_000


def tags(report: Report) -> dict[str, str]:
    """Every tag of the interface, always all of them, so that a re-audit leaves nothing stale; the verdict last."""
    found = {
        ROOT_CAUSE: report.root_cause or "none",
        SEVERITY: str(report.severity or "none"),
        **{f"clfaudit.{area}": area_state(report, area) for area in AREAS},
        VERSION: __version__,
        AUDITED_AT: datetime.now(UTC).isoformat(timespec="seconds"),
        EVIDENCE: report.digest or "none",
    }
    return {**found, VERDICT: str(report.verdict)}


def with_table(listed: str) -> str:
    """MLflow's list of the tables among a run's artifacts, as its tag holds it, with ours in it."""
    ours = {"path": ROWS_PATH, "type": "table"}
    try:
        known = json.loads(listed or "[]")
    except ValueError:
        return listed
    return json.dumps([*known, ours]) if isinstance(known, list) and ours not in known else listed


def area_state(report: Report, area: str) -> str:
    """pass, skipped, or the worst severity found in the area."""
    levels = [item.level for item in report.findings if item.area == area and item.counts]
    if levels:
        return str(max(levels, key=lambda level: level.weight))
    outcomes = [outcome for outcome in report.outcomes if outcome.area == area]
    ran = any(outcome.status in (Status.PASSED, Status.FIRED) for outcome in outcomes)
    return "pass" if ran else "skipped"


def metrics(report: Report) -> dict[str, float]:
    """What a person would plot over runs."""
    quality = report.figures.get("quality", {})
    values = {
        "clfaudit/faults": sum(f.counts and f.level.weight >= 3 for f in report.findings),
        "clfaudit/warnings": sum(f.counts and f.level.weight == 2 for f in report.findings),
        "clfaudit/severity": report.severity.weight if report.severity else 0,
        "clfaudit/seconds": sum(report.seconds.get(stage, 0.0) for stage in ("read", "examine")),
        **{f"clfaudit/{name}": quality[name] for name in ("balanced_accuracy", "information") if quality.get(name)},
    }
    return {key: float(value) for key, value in values.items()}


def merged_note(existing: str, block: str) -> str:
    """The description with our block at the top and everything that a person wrote kept, within MLflow's limit.

    Where both do not fit, the block is cut to its first lines or left out; a person's words never are.
    """
    pattern = re.compile(re.escape(OPEN) + ".*?" + re.escape(CLOSE) + r"\s*", re.DOTALL)
    own_words = pattern.sub("", existing).strip()
    lines = [line for line in block.strip().splitlines() if line.strip()]
    short = "\n\n".join([OPEN, *(line for line in lines[1:5] if line != CLOSE), CLOSE])
    for text in (block.strip(), short):
        whole = f"{text}\n\n{own_words}".strip()
        if len(whole) <= MAX_NOTE:
            return whole
    return own_words
