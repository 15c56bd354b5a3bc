"""Root cause first: which finding is the cause, which are its effects, and how sure that is.

By the tables of `causality`: what goes wrong earlier in the making of a classifier explains what goes wrong later, and
what a proven cause makes unreadable is kept, but as info, with the cause named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mlflow_clfaudit.causality import (
    ABOUT_A_NUMBER,
    EXCLUSIONS,
    SECOND_TO_UNDER_TRAINED,
    SHOWN_BY_TRAINING,
    WEIGHTS_OF_CLASSES,
    breaks_the_loss,
    established,
    stage,
)
from mlflow_clfaudit.types import Confidence, Finding, Grade, Outcome, Severity, Status, Verdict

MAX_CAUSES = 3
GOOD_BALANCED_ACCURACY = 0.8


@dataclass(frozen=True)
class Ranked:
    """The ranked findings and the symptoms that they leave over."""

    findings: tuple[Finding, ...]
    symptoms: tuple[Finding, ...]
    verdict: Verdict
    root_cause: str | None


def rank(
    outcomes: Sequence[Outcome],
    *,
    unexplained: Mapping[str, Severity] | None = None,
    quality: float | None = None,
    repaired: str | None = None,
    residual: frozenset[str] = frozenset(),
) -> Ranked:
    """Order findings so that the first is the cause.

    Args:
        outcomes: of every check that was selected.
        unexplained: what each symptom counts as when no finding explains it.
        quality: balanced accuracy of the served model on the judged rows; None where it was not measured.
        repaired: the cause whose fix was applied virtually.
        residual: checks that still fire after that: faults of their own, not its effects.
    """
    found = [finding for outcome in outcomes for finding in outcome.findings]
    if any(finding.check == "not-reproduced" for finding in found):
        found = [_without_counterfactual(finding) for finding in found]
    best: dict[str | None, float] = {}
    for proof in (finding.proof for finding in found):
        if proof is not None and proof.after is not None:
            best[proof.metric] = max(proof.after, best.get(proof.metric, proof.after))
    found = [
        replace(finding, confidence=confidence(finding, best.get(finding.proof.metric) if finding.proof else None))
        for finding in found
    ]
    findings, symptoms = _explained(found, unexplained or {})
    findings = [_with_the_harm_of_its_effects(item, findings) for item in findings]
    effects = [item for item in findings if item.check not in residual]
    own = [item for item in findings if item.check in residual]
    findings = [_excluded(item, findings) for item in effects]
    findings += [_excluded(item, [other for other in [*effects, *own] if other.check != repaired]) for item in own]
    shown = {symptom.check for symptom in symptoms}
    ordered = sorted(findings, key=lambda finding: _order(finding, findings, shown, quality))
    ranked = tuple(_with_symptoms(ordered, shown))
    first = next(iter(causes(ranked)), None)
    return Ranked(ranked, tuple(symptoms), _verdict(outcomes, ranked), first.check if first else None)


def confidence(finding: Finding, reference: float | None = None) -> Confidence:
    """An identity, or a counterfactual that regains most of what was lost, is proven; a lesser one supports.

    `reference` is the best value of the proof's metric that any counterfactual of this run reached.
    """
    proof = finding.proof
    if proof is None or proof.grade in (Grade.C, Grade.D):
        return Confidence.SUSPECTED
    if proof.grade is Grade.A:
        return Confidence.PROVEN
    return Confidence.PROVEN if _regained(finding, reference) >= 0.8 else Confidence.SUPPORTED


def causes(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that count as causes, at most three: warn or above, in ranked order."""
    counted = [finding for finding in findings if finding.counts and finding.level.at_least(Severity.WARN)]
    return counted[:MAX_CAUSES]


def _regained(finding: Finding, reference: float | None) -> float:
    """ρ: the share of the lost quality that this finding's counterfactual gives back; 0 where it was not measured."""
    proof = finding.proof
    if proof is None or proof.before is None or proof.after is None or reference is None:
        return 0.0
    lost = reference - proof.before
    return (proof.after - proof.before) / lost if lost > 0 else 0.0


def _without_counterfactual(finding: Finding) -> Finding:
    """Where the run could not be reproduced, what rests on predictions is no more than a suspicion."""
    if finding.proof is None or finding.proof.grade is not Grade.B:
        return finding
    return replace(finding, proof=replace(finding.proof, grade=Grade.C))


def _explained(found: Iterable[Finding], unexplained: Mapping[str, Severity]) -> tuple[list[Finding], list[Finding]]:
    """Findings and symptoms; a symptom that nothing explains becomes a finding of the severity that it counts as."""
    found = list(found)
    findings = [finding for finding in found if finding.level is not Severity.SYMPTOM]
    symptoms = []
    explained = {name for finding in findings for name in finding.explains}
    for symptom in (finding for finding in found if finding.level is Severity.SYMPTOM):
        counts_as = unexplained.get(symptom.check, Severity.INFO)
        if symptom.check in explained or not counts_as.at_least(Severity.WARN):
            symptoms.append(symptom)
        else:
            findings.append(replace(symptom, severity=counts_as))
    return findings, symptoms


def _excluded(finding: Finding, findings: Sequence[Finding]) -> Finding:
    """The finding, lowered to info where a proven cause makes it unreadable."""
    others = [other for other in findings if other.check != finding.check and other.counts]
    for rule in EXCLUSIONS:
        cause = next((other for other in others if rule.cause(other)), None)
        if cause is not None and rule.effect(finding):
            return replace(finding, severity=Severity.INFO, explained_by=cause.check)
    explaining = next((other for other in others if _explains(other, finding)), None)
    if explaining is not None:
        # A slice of one class is there whatever made it; what training shows goes away with its cause.
        most = Severity.INFO if finding.area in SHOWN_BY_TRAINING else Severity.WARN
        return replace(
            finding,
            severity=min(finding.level, most, key=lambda level: level.weight),
            explained_by=explaining.check,
        )
    if finding.check in SECOND_TO_UNDER_TRAINED and finding.level.at_least(Severity.ERROR):
        cause = next((other for other in others if established("under-trained")(other)), None)
        if cause is not None:
            return replace(finding, severity=Severity.WARN, explained_by=cause.check)
    return finding


def _explains(cause: Finding, effect: Finding) -> bool:
    """What a proven cause explains is no second fault."""
    return cause.level.at_least(Severity.WARN) and _brings_about(cause, effect)


def _with_the_harm_of_its_effects(cause: Finding, found: Sequence[Finding]) -> Finding:
    """A proven cause that is a warning by itself does the harm of the errors that it explains."""
    if cause.level is not Severity.WARN or not cause.counts:
        return cause
    worst = any(other.level.at_least(Severity.ERROR) and _brings_about(cause, other) for other in found)
    return replace(cause, severity=Severity.ERROR) if worst else cause


def _brings_about(cause: Finding, effect: Finding) -> bool:
    """Whether a proven cause explains that finding, which is no identity of its own, and not the other way round."""
    if effect.check == cause.check or not effect.counts:
        return False
    unreadable = any(rule.cause(cause) and rule.effect(effect) for rule in EXCLUSIONS)
    proven = cause.confidence is Confidence.PROVEN and effect.check in cause.explains
    measured = effect.proof is not None and effect.proof.grade is Grade.A
    return ((proven and not measured) or unreadable) and cause.check not in effect.explains


def _order(
    finding: Finding, findings: Sequence[Finding], symptoms: set[str], quality: float | None
) -> tuple[object, ...]:
    """The sort key, smallest first."""
    explained = any(
        finding.check in other.explains and finding.check != other.check and other.level.at_least(Severity.WARN)
        for other in findings
    )
    good = quality is not None and quality >= GOOD_BALANCED_ACCURACY
    about_number = finding.check in ABOUT_A_NUMBER
    number_is_wrong = about_number and finding.confidence is Confidence.PROVEN and good
    # A wrong number about a bad model is not why the model is bad.
    beside_the_point = about_number and quality is not None and not good
    # A void split is worth fixing, but a net that learnt nothing is why the run is bad.
    about_split_only = (
        finding.area == "stratification"
        and finding.check not in WEIGHTS_OF_CLASSES
        and any(established("under-trained")(other) or breaks_the_loss(other) for other in findings)
    )
    return (
        not finding.counts,
        -_class_of(finding.level),
        not number_is_wrong,
        explained,
        about_split_only or beside_the_point,
        _CONFIDENCES.index(finding.confidence),
        -finding.level.weight,
        -len(symptoms & set(finding.explains)),
        stage(finding),
        finding.check,
    )


_CONFIDENCES = (Confidence.PROVEN, Confidence.SUPPORTED, Confidence.SUSPECTED)


def _class_of(level: Severity) -> int:
    """Errors and blockers are one class: which of them is the cause is not a matter of severity."""
    return min(level.weight, Severity.ERROR.weight)


def _with_symptoms(findings: Iterable[Finding], symptoms: set[str]) -> Iterable[Finding]:
    """Each symptom under the first finding that explains it."""
    left = set(symptoms)
    for finding in findings:
        mine = tuple(name for name in finding.explains if name in left)
        left -= set(mine)
        yield replace(finding, symptoms=mine)


def _verdict(outcomes: Iterable[Outcome], findings: Iterable[Finding]) -> Verdict:
    judged = any(
        outcome.area != "reproduction" and outcome.status in (Status.FIRED, Status.PASSED) for outcome in outcomes
    )
    if not judged:
        return Verdict.NOT_AUDITED
    levels = [finding.level for finding in findings if finding.counts]
    if any(level.at_least(Severity.ERROR) for level in levels):
        return Verdict.FAULTY
    return Verdict.SUSPECT if Severity.WARN in levels else Verdict.HEALTHY
