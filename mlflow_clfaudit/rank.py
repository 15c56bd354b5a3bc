"""Root cause first: which finding is the cause, which are its effects, and how sure that is. Pure and table-driven."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mlflow_clfaudit.types import Confidence, Finding, Grade, Outcome, Severity, Status, Verdict

MAX_CAUSES = 3

# Upstream first: what comes earlier in the making of a classifier explains what comes later.
STAGES: Mapping[str, int] = {
    "reproduction": 0,
    "label_encoding": 1,
    "stratification": 2,
    "activation_loss": 4,
    "training_dynamics": 6,
    "thresholding": 8,
}
STAGE_OF: Mapping[str, int] = {
    "unscaled-inputs": 3,
    "low-contrast-inputs": 3,
    "inputs-differ-between-splits": 2,
    "symmetric-initialisation": 4,
    "poor-initialisation": 4,
    "bottleneck": 4,
    "class-imbalance": 7,
    "batchnorm-gap": 7,
    "rounded-unbounded-output": 9,
    "metric-misresolved": 9,
    "argmax-on-one-column": 9,
    "broadcast-comparison": 9,
    "exact-match-accuracy": 9,
}

# Rule 4 of the ranking: (a finding that is proven) → (names that it pushes below itself).
# The weights of an under-trained net say nothing about direction, order or threshold.
BELOW_UNDER_TRAINED = (
    "threshold-off",
    "inverted-positive-class",
    "permuted-labels",
    "class-imbalance",
    "class-shift",
)
# Findings that are about a number, not about the model: if the model is good they are the headline.
NUMBER_CHECKS = (
    "rounded-unbounded-output",
    "argmax-on-one-column",
    "broadcast-comparison",
    "exact-match-accuracy",
    "metric-misresolved",
    "threshold-on-wrong-scale",
    "scored-in-wrong-label-space",
    "auc-on-labels",
    "logloss-on-labels",
    "scores-used-as-classes",
)
# A split that is void makes the claims that rest on it void: single class, tail.
SPLIT_CHECKS = (
    "tail-split-of-ordered-data",
    "single-class-validation",
    "class-missing-from-split",
    "class-shift",
)


@dataclass(frozen=True)
class Ranked:
    """The ranked findings and what they leave unexplained. The root cause is the first finding, if it is one."""

    findings: tuple[Finding, ...]
    symptoms: tuple[Finding, ...]
    verdict: Verdict
    root_cause: str | None


def rank(
    outcomes: Sequence[Outcome],
    *,
    unexplained: Mapping[str, Severity] | None = None,
    quality: float | None = None,
) -> Ranked:
    """Order findings so that the first is the cause.

    Args:
        outcomes: of every check that was selected.
        unexplained: what each symptom counts as when no finding explains it.
        quality: balanced accuracy of the served model on the judged rows, None where it was not measured.
    """
    found = [finding for outcome in outcomes for finding in outcome.findings]
    found = [replace(finding, confidence=confidence(finding)) for finding in found]
    gate_failed = any(finding.check == "not-reproduced" for finding in found)
    if gate_failed:
        found = [_capped(finding) for finding in found]
    symptoms = [finding for finding in found if finding.level is Severity.SYMPTOM]
    findings = [finding for finding in found if finding.level is not Severity.SYMPTOM]
    explained = {name for finding in findings if _may_explain(finding) for name in finding.explains}
    for symptom in symptoms:
        counts_as = (unexplained or {}).get(symptom.check, Severity.INFO)
        if symptom.check not in explained and counts_as.at_least(Severity.WARN):
            findings.append(replace(symptom, severity=counts_as))
    symptoms = [item for item in symptoms if all(other.check != item.check for other in findings)]
    findings = _demoted(findings)
    names = {symptom.check for symptom in symptoms}
    findings.sort(key=lambda finding: _order(finding, findings, names, quality))
    attached: set[str] = set()
    ranked = []
    for finding in findings:
        mine = [name for name in finding.explains if name in names and name not in attached]
        attached |= set(mine)
        ranked.append(replace(finding, symptoms=tuple(mine)))
    verdict = _verdict(outcomes, ranked)
    head = ranked[0] if ranked else None
    is_cause = head is not None and head.counts and head.level.at_least(Severity.WARN)
    return Ranked(tuple(ranked), tuple(symptoms), verdict, head.check if head and is_cause else None)


def confidence(finding: Finding) -> Confidence:
    """Grade A, or B with most of the lost quality regained, is proven; other B supported; C, D or none suspected."""
    proof = finding.proof
    if proof is None:
        return Confidence.SUSPECTED
    if proof.grade is Grade.A:
        return Confidence.PROVEN
    if proof.grade is Grade.B:
        strong = proof.p_value is None or proof.p_value < 0.01
        return Confidence.PROVEN if strong else Confidence.SUPPORTED
    return Confidence.SUSPECTED


def causes(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that count as causes: at most three, warn or above, in ranked order."""
    counted = [finding for finding in findings if finding.counts and finding.level.at_least(Severity.WARN)]
    return counted[:MAX_CAUSES]


def _may_explain(finding: Finding) -> bool:
    return finding.level.at_least(Severity.INFO)


def _capped(finding: Finding) -> Finding:
    """Where the run could not be reproduced, what rests on predictions is no more than a suspicion."""
    if finding.proof is None or finding.proof.grade is not Grade.B:
        return finding
    return replace(finding, proof=replace(finding.proof, grade=Grade.C), confidence=Confidence.SUSPECTED)


def _demoted(findings: list[Finding]) -> list[Finding]:
    """Exclusion rules: what a proven upstream cause makes unreadable is kept, but as info."""
    by_name = {finding.check: finding for finding in findings if finding.counts}
    out = []
    static_blocker = any(
        finding.area in ("activation_loss", "label_encoding")
        and finding.level is Severity.BLOCKER
        and finding.confidence is Confidence.PROVEN
        for finding in by_name.values()
    )
    under_trained = by_name.get("under-trained")
    for finding in findings:
        explained_by = next(
            (
                other
                for other in by_name.values()
                if other.check != finding.check
                and finding.check in other.explains
                and other.level.weight >= min(finding.level.weight, 2)
                and _rank_of(other) >= _rank_of(finding)
            ),
            None,
        )
        severity = finding.level
        if static_blocker and finding.area == "training_dynamics" and finding.check != "misconfigured-callback":
            severity = Severity.INFO
        elif (
            under_trained is not None
            and under_trained.confidence is not Confidence.SUSPECTED
            and finding.check in BELOW_UNDER_TRAINED
        ):
            severity = min(severity, Severity.WARN, key=lambda item: item.weight)
            if finding.check in ("threshold-off", "inverted-positive-class", "permuted-labels"):
                severity = Severity.INFO
        elif explained_by is not None and finding.level.at_least(Severity.WARN):
            severity = finding.level
        out.append(replace(finding, severity=severity))
    return out


def _rank_of(finding: Finding) -> int:
    return {Confidence.PROVEN: 2, Confidence.SUPPORTED: 1, Confidence.SUSPECTED: 0}[finding.confidence]


def _order(
    finding: Finding, findings: Sequence[Finding], symptoms: set[str], quality: float | None
) -> tuple[object, ...]:
    """Sort key, smallest first: what counts, then causes before what they explain, then proof, severity, upstream."""
    explained = any(
        finding.check in other.explains and other.check not in finding.explains and other.level.at_least(Severity.WARN)
        for other in findings
        if other.check != finding.check
    )
    about_number = finding.check in NUMBER_CHECKS
    number_first = about_number and finding.confidence is Confidence.PROVEN and (quality or 0.0) >= 0.8
    void_split = finding.check in SPLIT_CHECKS and any(
        other.check == "under-trained" and other.confidence is not Confidence.SUSPECTED for other in findings
    )
    serious = finding.level.at_least(Severity.ERROR)
    return (
        not finding.counts,
        -min(finding.level.weight, 2) if not serious else -3,
        not number_first,
        explained,
        void_split,
        -_rank_of(finding),
        -finding.level.weight,
        -len(symptoms & set(finding.explains)),
        STAGE_OF.get(finding.check, STAGES.get(finding.area, 5)),
        finding.check,
    )


def _verdict(outcomes: Sequence[Outcome], findings: Sequence[Finding]) -> Verdict:
    judged = [
        outcome
        for outcome in outcomes
        if outcome.area != "reproduction" and outcome.status in (Status.FIRED, Status.PASSED)
    ]
    if not judged:
        return Verdict.NOT_AUDITED
    levels = [finding.level for finding in findings if finding.counts]
    if any(level.at_least(Severity.ERROR) for level in levels):
        return Verdict.FAULTY
    return Verdict.SUSPECT if Severity.WARN in levels else Verdict.HEALTHY
