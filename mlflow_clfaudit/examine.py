"""Runs checks over evidence: cheap tiers first, every failure kept to the check that failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mlflow_clfaudit.errors import Missing, OutOfMemory, kind_and_first_line
from mlflow_clfaudit.evidence import Evidence, made_from
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import Check, Needs
from mlflow_clfaudit.types import Finding, Outcome, Severity, Status, Tier


def examine(evidence: Evidence, checks: Iterable[Check], ignored: Mapping[str, str] | None = None) -> list[Outcome]:
    """Run each check and, where it fires, its proof. `ignored` maps check names to the reviewer's reasons."""
    ordered = sorted(checks, key=lambda check: (cost(evidence, check), check.area, check.name))
    return [examine_one(evidence, check, (ignored or {}).get(check.name)) for check in ordered]


def examine_outputs(
    evidence: Evidence, checks: Iterable[Check], ignored: Mapping[str, str] | None = None
) -> list[Outcome]:
    """Examine every output of the model on its own; what does not depend on the output is examined once.

    With several outputs, each finding names the one that it is about.
    """
    checks = list(checks)
    outcomes = examine(evidence, checks, ignored)
    spec = evidence.find("spec")
    heads: tuple[Head, ...] = spec.heads if spec is not None else ()
    if len(heads) < 2:
        return outcomes
    per_output = made_from("output")
    again = [check for check in checks if per_output & {*check.needs.required, *check.needs.optional}]
    named = {check.name for check in again}
    merged = {
        outcome.check: _about(outcome, heads[0].name) if outcome.check in named else outcome for outcome in outcomes
    }
    for position, head in enumerate(heads[1:], start=1):
        for outcome in examine(evidence.replaced(output=position), again, ignored):
            merged[outcome.check] = _merged(merged[outcome.check], _about(outcome, head.name))
    return list(merged.values())


def _about(outcome: Outcome, output: str) -> Outcome:
    return replace(outcome, findings=tuple(replace(finding, output=output) for finding in outcome.findings))


def _merged(first: Outcome, second: Outcome) -> Outcome:
    """What two outputs say together: the worse status of the two, and the findings of both."""
    order = (Status.FIRED, Status.FAILED, Status.PASSED, Status.SKIPPED)
    worse = min(first, second, key=lambda outcome: order.index(outcome.status))
    return replace(worse, findings=first.findings + second.findings)


def examine_repaired(evidence: Evidence, repaired: Check, checks: Iterable[Check]) -> list[Outcome]:
    """Run the checks that look at what training and thresholds made of the model, with one fault's fix applied.

    Symptoms are left out: they are what was seen, not what would be. Empty where the fault cannot be mended virtually.
    """
    if repaired.mend is None:
        return []
    try:
        pieces = repaired.mend(**evidence.arguments(Needs.of(repaired.mend)))
    except Missing:
        return []
    downstream = [
        check
        for check in checks
        if check.area in ("training_dynamics", "thresholding") and check.severity is not Severity.SYMPTOM
    ]
    return examine(evidence.replaced(**pieces), downstream)


def cost(evidence: Evidence, check: Check) -> Tier:
    """The dearest tier that the check itself needs."""
    return max((evidence.tier(name) for name in check.needs.required), default=Tier.STATIC)


def examine_one(evidence: Evidence, check: Check, ignored: str | None = None) -> Outcome:
    """Run one check and its proof."""
    try:
        arguments = evidence.arguments(check.needs)
        found = check(**arguments)
        completed = [_completed(evidence, check, finding, ignored) for finding in found]
        findings = tuple(finding for finding in completed if finding is not None)
    except Missing as missing:
        return Outcome(
            check.name, check.area, Status.SKIPPED, reason=missing.reason, how_to_supply=missing.how_to_supply
        )
    except OutOfMemory:
        raise
    except Exception as error:  # noqa: BLE001 - a rule that fails must not take the audit with it
        return Outcome(check.name, check.area, Status.FAILED, reason=kind_and_first_line(error))
    return Outcome(check.name, check.area, Status.FIRED if findings else Status.PASSED, findings)


def _completed(evidence: Evidence, check: Check, finding: Finding, ignored: str | None) -> Finding | None:
    """The finding with what the runner knows and with its proof; None where the proof refuted it."""
    named = replace(
        finding,
        check=check.name,
        area=check.area,
        severity=finding.severity or check.severity,
        explains=finding.explains or check.explains,
        ignored=ignored,
    )
    if check.prove is None or named.proof is not None:
        return named
    try:
        return check.prove(named, **evidence.arguments(check.proof_needs))
    except Missing as missing:
        return replace(named, unproven=missing.reason)
    except Exception as error:  # noqa: BLE001 - an unproven finding is still a finding
        return replace(named, unproven=f"the proof failed: {type(error).__name__}")
