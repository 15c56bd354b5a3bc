"""The summary of an experiment as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from mlflow_clfaudit.report import words
from mlflow_clfaudit.report.markdown import SAFE, code, escaped
from mlflow_clfaudit.report.text import VERDICT_STYLES, printed, terminal
from mlflow_clfaudit.summary import ORDER, Cause, Entry, Summary

SHOWN_WORST = 5


def to_text(summary: Summary, *, color: bool, width: int = 80) -> str:
    """The summary for a terminal; only addresses may be longer than `width` columns."""
    console = terminal(color=color, width=width)
    return printed(console, _lines(console, summary, width))


def to_markdown(summary: Summary, *, links: bool = False) -> str:
    """The summary as Markdown. `links` leads to the runs within MLflow's own pages, for a description there."""
    return "\n".join(_document(summary, links=links)).rstrip() + "\n"


def _lines(console: Console, summary: Summary, width: int) -> Iterator[Text]:
    yield Text(words.line(summary.name, width), style="bold")
    yield from _wrapped(console, Text(summary.sentence), width, 2)
    if summary.unaudited:
        yield Text(f"  {summary.unaudited} without an audit", style="dim")
    for row, period in enumerate(summary.periods):
        told = Text()
        for verdict in ORDER:
            if period.verdicts[verdict]:
                told.append(f"{period.verdicts[verdict]} {verdict.replace('_', ' ')}  ", VERDICT_STYLES[verdict])
        if told.plain:
            yield from _labelled(console, "" if row else "over time", Text.assemble(period.name.ljust(13), told), width)
    for row, cause in enumerate(summary.causes):
        told = Text.assemble(
            f"{cause.runs} × ", (cause.check, "bold"), f", last {cause.last.date} in {cause.last.name}"
        )
        yield from _labelled(console, "" if row else "causes", told, width)
    for row, cause in enumerate(summary.gone):
        told = Text.assemble((cause.check, "bold"), f": {_since(cause)}")
        yield from _labelled(console, "" if row else "not since", told, width)
    for row, entry in enumerate(summary.worst[:SHOWN_WORST]):
        told = Text.assemble((entry.name, "bold"), f" {_standing(entry)}, {entry.date}")
        yield from _labelled(console, "" if row else "worst", told, width)
        if entry.url:
            yield Text.assemble(" " * 12, (entry.url, "dim"))
    for row, entry in enumerate(summary.reviewed[:SHOWN_WORST]):
        told = Text.assemble((entry.name, "bold"), f" {entry.review}")
        yield from _labelled(console, "" if row else "reviewed", told, width)


def _document(summary: Summary, *, links: bool) -> Iterator[str]:
    yield from (f"**{escaped(summary.sentence)}**", "")
    if summary.unaudited:
        yield from (f"{summary.unaudited} without an audit.", "")
    if summary.worst:
        yield from ("| worst runs | verdict | root cause | started |", "|---|---|---|---|")
        for entry in summary.worst[: 2 * SHOWN_WORST]:
            because = code(entry.root_cause or "", in_table=True)
            named = _named(summary, entry, links=links)
            yield f"| {named} | {entry.verdict}, {entry.severity} | {because} | {entry.date} |"
        yield ""
    if summary.causes:
        yield from ("| cause | runs | last in | |", "|---|---|---|---|")
        for cause in summary.causes:
            last = _named(summary, cause.last, links=links)
            since = _since(cause) if cause.since else ""
            yield f"| {code(cause.check, in_table=True)} | {cause.runs} | {last} | {since} |"
        yield ""
    for entry in summary.reviewed[: 2 * SHOWN_WORST]:
        yield f"- {_named(summary, entry, links=links)} {escaped(entry.review)}"


def _named(summary: Summary, entry: Entry, *, links: bool) -> str:
    if links and SAFE.fullmatch(summary.experiment_id) and SAFE.fullmatch(entry.run_id):
        return f"[{escaped(entry.name)}](#/experiments/{summary.experiment_id}/runs/{entry.run_id})"
    return escaped(entry.name)


def _since(cause: Cause) -> str:
    return f"not the cause in {cause.since} later run{'s' * (cause.since != 1)}, last seen {cause.last.date}"


def _standing(entry: Entry) -> str:
    return ", ".join(part for part in (entry.verdict, entry.severity, entry.root_cause) if part)


def _labelled(console: Console, label: str, text: Text, width: int) -> Iterator[Text]:
    for place, part in enumerate(text.wrap(console, max(width - 12, 20))):
        yield Text.assemble("  ", (label.ljust(10) if place == 0 else " " * 10, "dim"), part)


def _wrapped(console: Console, text: Text, width: int, indent: int) -> Iterator[Text]:
    for part in text.wrap(console, max(width - indent, 20)):
        yield Text.assemble(" " * indent, part)
