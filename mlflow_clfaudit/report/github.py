"""The report as annotations of a GitHub workflow: one command a line, each value escaped as its runner unescapes it."""

from __future__ import annotations

from mlflow_clfaudit.report import words
from mlflow_clfaudit.report.plain import cleaned
from mlflow_clfaudit.types import Finding, Report, Severity, Status, Verdict

LEVELS = {
    Severity.BLOCKER: "error",
    Severity.ERROR: "error",
    Severity.WARN: "warning",
    Severity.INFO: "notice",
    Severity.SYMPTOM: "notice",
}


def to_github(report: Report) -> str:
    """One annotation for each finding, or one that says there is none."""
    plain = cleaned(report)
    name = words.line(plain.run_name or plain.run_id, 60)
    lines = [_annotation(plain, finding, name) for finding in plain.findings]
    lines += [_annotation(plain, symptom, name) for symptom in words.unexplained_symptoms(plain)]
    lines += [
        _command("warning", f"{name}: {outcome.check} failed", words.line(outcome.reason))
        for outcome in plain.outcomes_of(Status.FAILED)
    ]
    if plain.verdict is Verdict.NOT_AUDITED:
        remedies = [f"{reason}: {how}" if how else reason for reason, how, _ in words.remedies(plain)]
        lines.insert(0, _command("error", f"{name}: not audited", "\n".join([words.sentence(plain), *remedies])))
    elif plain.verdict is Verdict.HEALTHY and not lines:
        lines.append(_command("notice", f"{name}: healthy", words.sentence(plain)))
    return "\n".join(lines) + "\n"


def _annotation(report: Report, finding: Finding, name: str) -> str:
    parts = [words.line(finding.message)]
    if finding.proof is not None:
        parts.append(f"proof: {words.proof_sentence(finding.proof)}")
    if finding.fix.strip():
        parts.append(f"fix: {finding.fix.strip()}")
    explained = words.explained(report, finding)
    if explained:
        parts.append(f"explains: {', '.join(explained)}")
    if finding.ignored is not None:
        parts.append(f"ignored: {words.line(finding.ignored)}")
    level = LEVELS[finding.level] if finding.counts else "notice"
    return _command(level, f"{name}: {words.title(finding)} ({words.standing(finding)})", "\n".join(parts))


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
