"""What changed between the audits of two runs, from their stored reports: for a pull request, or for a second look.

A finding that is missing from the later report went away only where its check ran and passed. Where the check could
not run, nobody knows, and the difference says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from mlflow_clfaudit.errors import AuditError
from mlflow_clfaudit.report import words
from mlflow_clfaudit.report.markdown import code, escaped
from mlflow_clfaudit.report.plain import clean, data
from mlflow_clfaudit.report.text import printed, terminal
from mlflow_clfaudit.types import Confidence, Severity, Verdict

SCHEMA = 1
FORMATS = ("text", "markdown", "json")
LABEL = 19
STYLES = {
    "appeared": "bold red",
    "worse": "red",
    "newly checked": "yellow",
    "changed": "cyan",
    "no longer checked": "yellow",
    "went away": "green",
}


@dataclass(frozen=True)
class Side:
    """One of the two audits. `quality` is the balanced accuracy of the served model, where it was measured."""

    run_id: str
    name: str
    verdict: str
    root_cause: str | None
    quality: float | None
    rows: int | None


@dataclass(frozen=True)
class Change:
    """One finding that differs. `kind` is a key of STYLES; `how` says in words what is different."""

    kind: str
    finding: str
    severity: str
    confidence: str
    how: str


@dataclass(frozen=True)
class Difference:
    """Two audits side by side: the changes, the worst kind first, and the number of findings that are the same."""

    before: Side
    after: Side
    changes: tuple[Change, ...]
    same: int

    def fails(self, bar: Severity) -> bool:
        """Whether a finding at or above `bar` appeared or got worse."""
        worse = [change for change in self.changes if change.kind in ("appeared", "worse")]
        return any(Severity(change.severity).at_least(bar) for change in worse)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Compare two reports as report.json holds them, the earlier one first.

    Raises:
        AuditError: one of them is none: whoever may write to a run may have put anything there.
    """
    try:
        return _compared(data(before, clean), data(after, clean))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise AuditError("one of the two reports is not one of this version; audit both runs again") from None


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    matched, lost, new = _matched(_findings(before), _findings(after))
    changes: list[Change] = []
    same = 0
    for old, found in matched:
        how = list(_how(old, found))
        if not how:
            same += 1
            continue
        worse = _level(found).weight > _level(old).weight
        changes.append(_change("worse" if worse else "changed", found, "; ".join(how)))
    for finding in new:
        if not _counts(finding):
            kind = "changed"
        else:
            kind = "newly checked" if _unknown(before, finding["check"]) else "appeared"
        changes.append(_change(kind, finding, finding["message"]))
    for finding in lost:
        reason = _unknown(after, finding["check"])
        changes.append(_change("no longer checked" if reason else "went away", finding, reason))
    order = list(STYLES)
    changes.sort(key=lambda change: (order.index(change.kind), -Severity(change.severity).weight, change.finding))
    return Difference(_side(before), _side(after), tuple(changes), same)


def to_json(found: Difference) -> str:
    """The difference as a JSON object, schema 1."""
    return json.dumps({"schema": SCHEMA, **asdict(found)}, indent=2, ensure_ascii=False) + "\n"


def to_markdown(found: Difference) -> str:
    """The difference as a comment on a pull request."""
    lines = [
        f"**clfaudit: {_verdicts(found)}**",
        "",
        f"{code(found.before.name)} → {code(found.after.name)}"
        + "".join(f" · {escaped(text)}" for text in _numbers(found)),
    ]
    if found.changes:
        lines += ["", "| change | finding | severity | |", "|---|---|---|---|"]
    for change in found.changes:
        cells = [f"**{change.kind}**", code(change.finding, in_table=True), _standing(change), escaped(change.how)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _same(found)]) + "\n"


def to_text(found: Difference, *, color: bool, width: int = 80) -> str:
    """The difference for a terminal, in lines of at most `width` columns."""
    console = terminal(color=color, width=width)
    return printed(console, _lines(console, found, width))


def _lines(console: Console, found: Difference, width: int) -> Iterator[Text]:
    names = Text(f"{found.before.name} → {found.after.name}", style="bold")
    yield from names.wrap(console, width)
    yield Text(f"  {_verdicts(found)}", style="bold")
    for text in _numbers(found):
        yield from _indented(console, Text(text), width, 2)
    for change in found.changes:
        told = Text.assemble(
            (change.finding, "bold"), f" ({_standing(change)})", f": {change.how}" if change.how else ""
        )
        label = Text.assemble("  ", (change.kind.ljust(LABEL), STYLES[change.kind]))
        for place, part in enumerate(told.wrap(console, max(width - LABEL - 2, 20))):
            yield Text.assemble(label if place == 0 else " " * (LABEL + 2), part)
    yield Text(f"  {_same(found)}", style="dim")


def _indented(console: Console, text: Text, width: int, indent: int) -> Iterator[Text]:
    for part in text.wrap(console, max(width - indent, 20)):
        yield Text.assemble(" " * indent, part)


def _verdicts(found: Difference) -> str:
    before, after = (side.verdict.upper().replace("_", " ") for side in (found.before, found.after))
    return before if before == after else f"{before} → {after}"


def _numbers(found: Difference) -> Iterator[str]:
    causes = [side.root_cause or "none" for side in (found.before, found.after)]
    if causes != ["none", "none"]:
        yield f"root cause {' → '.join(causes) if causes[0] != causes[1] else causes[0]}"
    before, after = found.before, found.after
    if before.quality is not None and after.quality is not None:
        told = "balanced accuracy {} → {}".format(*words.pair(before.quality, after.quality))
        rows = f"{words.number(after.rows)} rows" if after.rows is not None else ""
        if before.rows != after.rows and before.rows is not None and rows:
            rows = f"{words.number(before.rows)} and {rows}: not the same rows"
        yield f"{told} on {rows}" if rows else told


def _standing(change: Change) -> str:
    return f"{change.severity}, {change.confidence}"


def _same(found: Difference) -> str:
    return f"{found.same} finding{'s' * (found.same != 1)} as before" if found.changes else "No finding changed."


def _findings(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = [*report["findings"], *report["symptoms"]]
    return [
        {
            **finding,
            "message": words.line(finding["message"]),
            "severity": str(Severity(finding["severity"])),
            "confidence": str(Confidence(finding["confidence"])),
        }
        for finding in found
    ]


Pairs = list[tuple[Mapping[str, Any], Mapping[str, Any]]]


def _matched(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> tuple[Pairs, list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Findings of both reports in pairs, and those of one alone: by title, then by check where the variant changed."""
    pairs: Pairs = []
    lost, new = list(before), list(after)
    for parts in (("check", "variant", "output"), ("check", "output")):
        for old in list(lost):
            key = [old.get(part) for part in parts]
            found = next((item for item in new if [item.get(part) for part in parts] == key), None)
            if found is not None:
                pairs.append((old, found))
                lost.remove(old)
                new.remove(found)
    return pairs, lost, new


def _how(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What is different between two findings of one check, in words; the numbers in messages are not compared."""
    if old.get("variant") != new.get("variant"):
        yield f"was {_title(old)}"
    for part in ("severity", "confidence"):
        if old[part] != new[part]:
            yield f"{old[part]} → {new[part]}"
    if old.get("ignored") != new.get("ignored"):
        reason = new.get("ignored")
        yield "no longer ignored" if reason is None else f"ignored: {words.line(reason)}"


def _unknown(report: Mapping[str, Any], check: str) -> str:
    """Why it is not known whether the check would find anything in this report; empty where it ran."""
    if check in report["passed"] or any(finding["check"] == check for finding in _findings(report)):
        return ""
    skipped = next((item["reason"] for item in report["skipped"] if item["check"] == check), None)
    if skipped is not None:
        return words.line(skipped) or "skipped"
    failed = next((item["error"] for item in report["errors"] if item["check"] == check), None)
    return f"the check failed: {words.line(failed)}" if failed is not None else "the check was not part of that audit"


def _level(finding: Mapping[str, Any]) -> Severity:
    """The severity that counts; an ignored finding counts as the least."""
    return Severity(finding["severity"]) if _counts(finding) else Severity.SYMPTOM


def _counts(finding: Mapping[str, Any]) -> bool:
    return finding.get("ignored") is None


def _title(finding: Mapping[str, Any]) -> str:
    name = f"{finding['check']}/{finding['variant']}" if finding.get("variant") else finding["check"]
    return words.line(f"{name} ({finding['output']})" if finding.get("output") else name)


def _change(kind: str, finding: Mapping[str, Any], how: str) -> Change:
    return Change(kind, _title(finding), finding["severity"], finding["confidence"], how)


def _side(report: Mapping[str, Any]) -> Side:
    quality = (report.get("figures") or {}).get("quality") or {}
    return Side(
        run_id=report["run_id"],
        name=words.line(report.get("run_name") or report["run_id"], 80),
        verdict=str(Verdict(report["verdict"])),
        root_cause=words.line(report["root_cause"]) if report["root_cause"] else None,
        quality=_number(quality.get("balanced_accuracy")),
        rows=_number(quality.get("rows")),
    )


def _number(value: Any) -> Any:
    """The value, where it is a number or missing."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError("no number")
