"""The report for a terminal: root cause first, readable at 80 columns, plain when it is piped."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from mlflow_clfaudit.rank import MAX_CAUSES
from mlflow_clfaudit.report import words
from mlflow_clfaudit.report.plain import clean, cleaned
from mlflow_clfaudit.types import Finding, Report, Severity, Status, Verdict

STYLES = {
    Severity.BLOCKER: "bold red",
    Severity.ERROR: "red",
    Severity.WARN: "yellow",
    Severity.INFO: "cyan",
    Severity.SYMPTOM: "dim",
}
VERDICT_STYLES = {
    Verdict.HEALTHY: "bold green",
    Verdict.SUSPECT: "bold yellow",
    Verdict.FAULTY: "bold red",
    Verdict.NOT_AUDITED: "bold magenta",
}
LABEL = 10
INDENT = 4
MAX_REMEDIES = 4


def to_text(report: Report, *, color: bool, width: int = 80, attached: bool = True) -> str:
    """The report as lines of at most `width` columns; only the report's address may be longer, so that it stays one.

    `attached` says whether the report was written to its run, and so has an address.
    """
    console, shown = terminal(color=color, width=width), cleaned(report)
    return printed(console, [*_lines(console, shown, width), *(_address(shown) if attached else ())])


def to_line(report: Report, *, color: bool) -> str:
    """The report in one line: verdict, name, root cause, and where the run is."""
    verdict = str(report.verdict).replace("_", " ")
    text = Text.assemble((f"{verdict:11}", VERDICT_STYLES[report.verdict]))
    for part in (report.run_name, report.root_cause, report.url or report.run_id):
        text.append(f"  {words.line(clean(part))}" if part else "")
    return printed(terminal(color=color, width=80), [text]).rstrip("\n")


def terminal(*, color: bool, width: int) -> Console:
    """A console that writes to memory, whatever the environment says of the real one."""
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
        _environ={},
    )


def printed(console: Console, lines: Iterable[Text]) -> str:
    """What such a console makes of lines that are wrapped already."""
    with console.capture() as captured:
        for text in lines:
            text.rstrip()
            console.print(text, soft_wrap=True, highlight=False, markup=False, emoji=False)
    return captured.get()


def _lines(console: Console, report: Report, width: int) -> Iterator[Text]:
    yield from _top(console, report, width)
    faults = words.faults(report)
    if not faults:
        yield from _wrapped(console, words.sentence(report), width, indent=2)
        quality = words.quality_sentence(report)
        if quality:
            yield from _wrapped(console, quality, width, indent=2)
    for place, finding in enumerate(faults, 1):
        yield from _finding(console, report, finding, place, width)
    others = {
        "noted": words.notes(report),
        "symptoms": words.unexplained_symptoms(report),
        "ignored": words.ignored(report),
    }
    for label, found in others.items():
        for row, finding in enumerate(found):
            said = words.line(finding.message if finding.ignored is None else finding.ignored)
            because = f" (because of {finding.explained_by})" if finding.explained_by else ""
            told = Text.assemble((words.title(finding), STYLES[finding.level]), ": ", said, (because, "dim"))
            yield from _labelled(console, "" if row else label, told, width, indent=2)
    review = words.review_sentence(report)
    if review:
        yield from _labelled(console, "review", Text(review, style="bold"), width, indent=2)
    yield from _checked(console, report, width)


def _address(report: Report) -> Iterator[Text]:
    url = words.report_url(report)
    if url:
        yield Text.assemble("  ", ("report".ljust(LABEL), "dim"), words.line(url))


def _top(console: Console, report: Report, width: int) -> Iterator[Text]:
    verdict = str(report.verdict).upper().replace("_", " ")
    name = Text(words.line(report.run_name or report.run_id), style="bold")
    name.truncate(width - cell_len(verdict) - 2, overflow="ellipsis")
    audited = words.headline(report)
    left = Text.assemble(name, "   ", (audited, "dim"))
    fits = cell_len(left.plain) + 2 + cell_len(verdict) <= width
    if not fits:
        left = name
    gap = max(width - cell_len(left.plain) - cell_len(verdict), 2)
    yield Text.assemble(left, " " * gap, (verdict, VERDICT_STYLES[report.verdict]))
    if not fits:
        for part in Text(audited, style="dim").wrap(console, width - 2):
            yield Text.assemble("  ", part)


def _finding(console: Console, report: Report, finding: Finding, place: int, width: int) -> Iterator[Text]:
    number = f"{place:>3} "
    standing = words.standing(finding)
    name = Text(words.title(finding), style="bold")
    name.truncate(width - INDENT, overflow="ellipsis")
    gap = width - INDENT - cell_len(name.plain) - cell_len(standing)
    if gap >= 2:
        yield Text.assemble(number, name, " " * gap, (standing, STYLES[finding.level]))
    else:
        yield Text.assemble(number, name)
        yield Text.assemble(" " * INDENT, (standing, STYLES[finding.level]))
    yield from _wrapped(console, words.line(finding.message), width, indent=INDENT)
    if place > MAX_CAUSES:
        return
    if finding.proof is not None:
        yield from _labelled(console, "proof", Text(words.proof_sentence(finding.proof)), width)
    elif finding.unproven:
        yield from _labelled(console, "unproven", Text(words.line(finding.unproven)), width)
    for row, part in enumerate(finding.fix.strip().splitlines()):
        yield from _labelled(console, "" if row else "fix", Text(part.rstrip(), style="green"), width)
    yield from _explains(console, report, finding, place, width)


def _explains(console: Console, report: Report, finding: Finding, place: int, width: int) -> Iterator[Text]:
    names = words.explained(report, finding)
    messages = {symptom.check: words.line(symptom.message) for symptom in report.symptoms}
    told = [name for name in names if place == 1 and messages.get(name)]
    texts = [Text.assemble(name, (f": {messages[name]}", "dim")) for name in told]
    others = [name for name in names if name not in told]
    texts += [Text(", ".join(others))] if others else []
    for row, text in enumerate(texts):
        yield from _labelled(console, "" if row else "explains", text, width)


def _checked(console: Console, report: Report, width: int) -> Iterator[Text]:
    yield from _labelled(console, "checked", Text(words.counts(report), style="dim"), width, indent=2)
    groups = words.remedies(report)
    for row, (reason, how, outcomes) in enumerate(groups[:MAX_REMEDIES]):
        text = Text(f"{len(outcomes)} × {reason}", style="dim")
        if how:
            text.append(": ", style="dim").append(how)
        yield from _labelled(console, "" if row else "skipped", text, width, indent=2)
    if len(groups) > MAX_REMEDIES:
        rest = sum(len(outcomes) for _, _, outcomes in groups[MAX_REMEDIES:])
        yield from _labelled(console, "", Text(f"{rest} × for other reasons", style="dim"), width, indent=2)
    for outcome in report.outcomes_of(Status.FAILED):
        text = Text(f"{outcome.check}: {words.line(outcome.reason)}", style="dim")
        yield from _labelled(console, "failed", text, width, indent=2)


def _labelled(console: Console, label: str, text: Text, width: int, *, indent: int = INDENT) -> Iterator[Text]:
    """The text behind a label, its further lines under its first."""
    start = indent + LABEL
    for place, part in enumerate(text.wrap(console, max(width - start, 20))):
        shown = label.ljust(LABEL) if place == 0 else " " * LABEL
        yield Text.assemble(" " * indent, (shown, "dim"), part)


def _wrapped(console: Console, text: str, width: int, *, indent: int) -> Iterator[Text]:
    for part in Text(text).wrap(console, max(width - indent, 20)):
        yield Text.assemble(" " * indent, part)
