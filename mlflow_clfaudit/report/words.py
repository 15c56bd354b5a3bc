"""The words that every form of a report shares. They are plain text: each form escapes them for its own language."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow_clfaudit.types import Finding, Outcome, Proof, Report, Review, Severity, Status, Verdict, Word

REPORT_PATH = "clfaudit/report.html"
ROWS_PATH = "clfaudit/suspicious_rows.json"
BREAKS = re.compile(r"[ \t\r\n]+")  # not the no-break space that groups digits
NO_CAUSE = {
    Verdict.HEALTHY: "No fault found.",
    Verdict.SUSPECT: "Something deserves a look.",
    Verdict.FAULTY: "The run is faulty.",
    Verdict.NOT_AUDITED: "Nothing could be checked, so nothing is known about this run.",
}


def line(text: str, limit: int | None = None) -> str:
    """Text on one line, cut at a word where it is longer than `limit` characters."""
    joined = BREAKS.sub(" ", text).strip(" ")
    if limit is None or len(joined) <= limit:
        return joined
    cut = joined[: limit - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[limit // 2 :] else cut).rstrip(",;:. ") + "…"


def number(value: float) -> str:
    """A number as a person reads it: whole numbers in groups of three, others with three significant digits."""
    if isinstance(value, bool):
        return str(value)
    if not math.isfinite(value):
        return {True: "∞", False: "−∞"}[value > 0] if math.isinf(value) else "NaN"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}".replace(",", "\N{NO-BREAK SPACE}").replace("-", "−")
    size = abs(value)
    text = f"{value:.3f}" if 0.01 <= size < 10 else f"{value:.3g}"
    return text.replace("-", "−", 1) if value < 0 else text


def pair(before: float, after: float) -> tuple[str, str]:
    """Two values of one metric, with as many decimals as it takes to tell them apart."""
    if not (math.isfinite(before) and math.isfinite(after)):
        return number(before), number(after)
    for decimals in (2, 3, 4):
        texts = f"{before:.{decimals}f}", f"{after:.{decimals}f}"
        if max(abs(before), abs(after)) >= 1000:
            break
        if before == after or float(texts[0]) != float(texts[1]):
            return texts[0].replace("-", "−"), texts[1].replace("-", "−")
    return number(before), number(after)


def p_value(value: float) -> str:
    if not math.isfinite(value):
        return "p not known"
    if value < 1e-16:
        return "p < 1e-16"
    return f"p = {value:.1g}" if value < 0.001 else f"p = {value:.2g}"


def proof_sentence(proof: Proof) -> str:
    """The measurement in one line: what was done, the metric before and after, on how many rows, how surely."""
    how, measured = _how_and_measured(proof)
    parts = [": ".join(part for part in (how, measured) if part)]
    if proof.p_value is not None:
        parts.append(p_value(proof.p_value))
    return ", ".join(part for part in parts if part)


def proof_in_brief(proof: Proof, limit: int) -> str:
    """The measurement in at most `limit` characters: where the whole is longer, what was measured comes first."""
    whole = proof_sentence(proof)
    if len(whole) <= limit:
        return whole
    how, measured = _how_and_measured(proof)
    return line(": ".join(part for part in (measured, how) if part), limit)


def _how_and_measured(proof: Proof) -> tuple[str, str]:
    how = line(proof.how)
    measured = ""
    if proof.before is not None and proof.after is not None:
        before, after = pair(proof.before, proof.after)
        measured = f"{proof.metric or 'value'} {before} → {after}"
    elif proof.before is not None or proof.after is not None:
        measured = f"{proof.metric or 'value'} {number(one(proof.before, proof.after))}"
    if proof.n is not None and " rows" not in how:
        on = f"on {number(proof.n)} rows"
        how, measured = (how, f"{measured} {on}") if measured else (f"{how}, {on}" if how else on, "")
    return how, measured


def one(*values: float | None) -> float:
    """The first that is there."""
    return next(value for value in values if value is not None)


def title(finding: Finding) -> str:
    """The check's name, with the variant and the model output that it is about where there are several."""
    name = f"{finding.check}/{finding.variant}" if finding.variant else finding.check
    return line(f"{name} ({finding.output})" if finding.output else name)


def standing(finding: Finding) -> str:
    """Severity and confidence in two words, and whether a reviewer set it aside."""
    words = f"{finding.level}, {finding.confidence}"
    return words if finding.counts else f"{words}, ignored"


def lead(report: Report) -> Finding | None:
    """The finding that the report opens with: its root cause."""
    if report.root_cause is None:
        return None
    return next((finding for finding in report.findings if finding.check == report.root_cause), None)


def headline(report: Report) -> str:
    """What was audited in a few words, with the seconds that it took."""
    seconds = total_seconds(report)
    parts = [report.headline] if report.headline else []
    if seconds is not None:
        parts.append(f"{seconds:.1f} s")
    return line(" · ".join(parts))


def total_seconds(report: Report) -> float | None:
    """The wall time of the audit. `read` and `examine` are its two stages; every other entry is part of one of them."""
    stages = [report.seconds[stage] for stage in ("read", "examine") if stage in report.seconds]
    chosen = [value for value in stages or report.seconds.values() if math.isfinite(value)]
    return sum(chosen) if chosen else None


def sentence(report: Report, limit: int = 110) -> str:
    """The report in one sentence: its root cause, in about `limit` characters at most, or that there is none."""
    cause = lead(report)
    if cause is not None:
        return brief(cause.message, limit)
    if report.verdict is Verdict.HEALTHY:
        ran = len(report.outcomes_of(Status.PASSED)) + len(report.outcomes_of(Status.FIRED))
        return f"No fault found by {ran} checks." if ran else NO_CAUSE[report.verdict]
    return NO_CAUSE[report.verdict]


def quality_sentence(report: Report) -> str:
    """How good the served decision is, in one line; empty where that was not measured."""
    quality = report.figures.get("quality") or {}
    if quality.get("balanced_accuracy") is None:
        return ""
    words = f"balanced accuracy {quality['balanced_accuracy']:.2f} on {judged_on(report)}"
    if quality.get("majority_share") is not None:
        words += f" (the largest class is {100 * quality['majority_share']:.0f} %)"
    return words


def judged_on(report: Report) -> str:
    """The rows that the served decision was measured on; empty where it was not measured."""
    quality = report.figures.get("quality") or {}
    if quality.get("rows") is None:
        return ""
    return f"{number(quality['rows'])} {'held-out' if quality.get('held_out') else 'training'} rows"


def brief(message: str, limit: int = 110) -> str:
    """A message's first clause where the whole is too long for a heading."""
    whole = line(message)
    if len(whole) <= limit:
        return whole
    ends = [found.start() for found in re.finditer(r"[:;] |, (?=which|so)|\. ", whole) if 30 <= found.start() < limit]
    return whole[: ends[0]] + "." if ends else line(whole, limit)


def explained(report: Report, finding: Finding) -> list[str]:
    """What fired in this run because of the finding: its symptoms, then lesser findings."""
    taken = {name for other in report.findings if other is not finding for name in other.symptoms}
    names = dict.fromkeys([*finding.symptoms, *finding.explains])
    return [name for name in names if name not in taken and name != finding.check and report.fired(name)]


def unexplained_symptoms(report: Report) -> list[Finding]:
    """The symptoms that no finding of this run explains."""
    known = {name for finding in report.findings for name in explained(report, finding)}
    return [symptom for symptom in report.symptoms if symptom.check not in known]


def notes(report: Report) -> list[Finding]:
    """The findings that count but are no faults: info."""
    return [finding for finding in report.findings if finding.counts and not finding.level.at_least(Severity.WARN)]


def faults(report: Report) -> list[Finding]:
    """The findings at warn or above that count, in ranked order."""
    return [finding for finding in report.findings if finding.counts and finding.level.at_least(Severity.WARN)]


def ignored(report: Report) -> list[Finding]:
    """The findings that a reviewer set aside, with a reason."""
    return [finding for finding in report.findings if not finding.counts]


def counts(report: Report) -> str:
    """How many checks passed, were skipped and failed."""
    found = Counter(outcome.status for outcome in report.outcomes)
    words = {Status.PASSED: "passed", Status.SKIPPED: "skipped", Status.FAILED: "failed"}
    told = [f"{found[status]} {word}" for status, word in words.items() if found[status]]
    return ", ".join(told) or "no check ran"


def remedies(report: Report) -> list[tuple[str, str, list[Outcome]]]:
    """The skipped checks by what would have let them run: (reason, how to supply it, checks), most checks first."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in report.outcomes_of(Status.SKIPPED):
        groups.setdefault((line(outcome.reason), outcome.how_to_supply.strip()), []).append(outcome)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [(reason, how, found) for (reason, how), found in ordered]


def review_sentence(report: Report) -> str:
    """What a reviewer said of the run, and what came up since; empty where nobody did."""
    review = report.review
    if review is None:
        return ""
    if review.word is None:
        return line(f"clfaudit.review is {review.given!r}, which is none of {', '.join(Word)}: it does not count", 300)
    said = f"{review.word}: {review.why}" if review.why.strip() else str(review.word)
    signed = " ".join(part for part in (f"by {review.by}" if review.by else "", review.at[:10]) if part)
    told = line(said, 300) + (f" ({line(signed, 80)})" if signed else "")
    new = [] if review.word is Word.REJECTED else [title(item) for item in faults(report) if is_new(review, item)]
    return f"{told}; new since: {', '.join(new)}" if new else told


def is_new(review: Review, finding: Finding) -> bool:
    """Whether the finding is one that the reviewer had not seen, or worse than it was then."""
    known = review.known.get(title(finding))
    return known is None or not Severity(known).at_least(finding.level)


def report_url(report: Report) -> str | None:
    """Where the report is read in the MLflow UI."""
    return f"{report.url}/artifacts/{REPORT_PATH}" if report.url else None


def flat(evidence: Mapping[str, Any], *, skip: Iterable[str] = (), limit: int = 200) -> list[tuple[str, str]]:
    """Evidence as (name, value) texts, one level of nesting opened, long ones cut."""
    found: list[tuple[str, str]] = []
    hidden = set(skip)
    for key, value in evidence.items():
        if key in hidden:
            continue
        name = str(key).replace("_", " ")
        if isinstance(value, Mapping) and 0 < len(value) <= 12:
            found += [(f"{name}: {inner}", line(_shown(item), limit)) for inner, item in value.items()]
        else:
            found.append((name, line(_shown(value), limit)))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, Mapping):
        items = [f"{key}: {_shown(item)}" for key, item in list(value.items())[:12]]
        return ", ".join(items) + (f" … {len(value)} in all" if len(value) > 12 else "")
    if isinstance(value, list | tuple):
        items = [_shown(item) for item in value[:12]]
        return ", ".join(items) + (f" … {len(value)} in all" if len(value) > 12 else "")
    return str(value)
