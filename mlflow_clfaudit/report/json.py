"""The report as data: schema 1, published as schema.json beside this module. Only ever added to."""

from __future__ import annotations

import json
from typing import Any

from mlflow_clfaudit.report.plain import data
from mlflow_clfaudit.report.words import explained, total_seconds
from mlflow_clfaudit.types import Finding, Outcome, Proof, Report, Review, Status

SCHEMA = 1


def to_json(report: Report) -> str:
    """The report as a JSON object."""
    return json.dumps(to_dict(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain data that JSON can hold: no NaN, no numpy, no object; the same report gives the same data."""
    causes = {name: finding.check for finding in reversed(report.findings) for name in explained(report, finding)}
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "run_id": report.run_id,
        "run_name": report.run_name,
        "experiment_id": report.experiment_id,
        "url": report.url,
        "headline": report.headline,
        "verdict": report.verdict,
        "severity": report.severity,
        "root_cause": report.root_cause,
        "findings": [_finding(report, finding) for finding in report.findings],
        "symptoms": [
            _finding(report, symptom) | {"explained_by": symptom.explained_by or causes.get(symptom.check)}
            for symptom in report.symptoms
        ],
        "passed": [outcome.check for outcome in report.outcomes_of(Status.PASSED)],
        "skipped": [_skipped(outcome) for outcome in report.outcomes_of(Status.SKIPPED)],
        "errors": [{"check": item.check, "error": item.reason} for item in report.outcomes_of(Status.FAILED)],
        "evidence": report.sources,
        "digest": report.digest,
        "environment": report.environment,
        "seconds": {**report.seconds, "total": total_seconds(report)},
        "figures": report.figures,
        "review": _review(report.review),
    }
    plain: dict[str, Any] = data(found)
    return plain


def _finding(report: Report, finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "variant": finding.variant,
        "output": finding.output,
        "area": finding.area,
        "severity": finding.level,
        "confidence": finding.confidence,
        "proof": _proof(finding.proof),
        "unproven": finding.unproven,
        "message": finding.message,
        "evidence": finding.evidence,
        "fix": finding.fix,
        "explains": explained(report, finding),
        "explained_by": finding.explained_by,
        "ignored": finding.ignored,
    }


def _proof(proof: Proof | None) -> dict[str, Any] | None:
    if proof is None:
        return None
    return {
        "grade": proof.grade,
        "metric": proof.metric,
        "before": proof.before,
        "after": proof.after,
        "n": proof.n,
        "p_value": proof.p_value,
        "how": proof.how,
    }


def _review(review: Review | None) -> dict[str, Any] | None:
    if review is None:
        return None
    return {
        "given": review.given,
        "word": review.word,
        "why": review.why,
        "by": review.by,
        "at": review.at,
        "known": review.known,
    }


def _skipped(outcome: Outcome) -> dict[str, str]:
    return {"check": outcome.check, "reason": outcome.reason, "how_to_supply": outcome.how_to_supply}
