"""What the command prints of the runs that it audits, one or thousands, and the code that it exits with."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from mlflow_clfaudit.errors import AlreadyAudited, AuditError, UsageError
from mlflow_clfaudit.fleet import Fleet
from mlflow_clfaudit.names import SEVERITY, VERDICT
from mlflow_clfaudit.types import Report, Severity, Verdict

# Of more runs, the text has a line each in place of the whole report.
FEW = 3
# TensorFlow's memory grows from model to model; what only reads files needs no new process for long.
RUNS_OF_A_PROCESS = {"static": 2_000}
# A worker of a cluster outlives the sweep: what it started for it shall not.
IDLE = 60.0


@dataclass
class Sweep:
    """The audits of a command. `form` is how they are printed, `keep` whether the reports are needed afterwards.

    `attached` says whether the reports are written to their runs, and so have an address.
    """

    run_ids: Sequence[str]
    form: str
    fail_on: str
    keep: bool = False
    attached: bool = True
    reports: list[Report] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    codes: set[int] = field(default_factory=set)
    failed: int = 0
    skipped: int = 0
    mistakes: list[str] = field(default_factory=list)

    def run(self, fleet: Fleet | None, **options: Any) -> None:
        """Audit the runs, in this process or by a fleet, and print each as it is done.

        Raises:
            UsageError: the options make no sense for any of the runs.
        """
        from mlflow_clfaudit.audit import audit_runs
        from mlflow_clfaudit.evidence.decisions import Goal
        from mlflow_clfaudit.isolated import Limits
        from mlflow_clfaudit.registry import select

        limits = None
        if self.many or fleet is not None:
            # Said once, not once a run.
            select(options["select_checks"])
            if options["goal"] is not None:
                Goal.parse(options["goal"])
            limits = Limits(runs=RUNS_OF_A_PROCESS.get(options["tier"], Limits.runs), idle=IDLE if fleet else None)
        if fleet is not None:
            from mlflow_clfaudit.evidence.reader import current_tracking_uri

            options["tracking_uri"] = options["tracking_uri"] or current_tracking_uri()
        results = audit_runs(self.run_ids, map=map if fleet is None else fleet.map, limits=limits, **options)
        with contextlib.ExitStack() as stack:
            stack.callback(getattr(results, "close", lambda: None))
            advance = stack.enter_context(_progress(len(self.run_ids)))
            for result in results:
                self._take(result)
                advance()
        self._conclude()

    @property
    def many(self) -> bool:
        return len(self.run_ids) > 1

    @property
    def exit_code(self) -> int:
        """1 where any run fails at --fail-on, else 3 where any could not be audited, else 0."""
        return next((code for code in (1, AuditError.exit_code) if code in self.codes), 0)

    def as_json(self) -> str:
        """The kept reports in the order in which their runs were asked for."""
        places = {run_id: place for place, run_id in enumerate(self.run_ids)}
        return as_json(sorted(self.reports, key=lambda report: places[report.run_id]), many=self.many)

    def _take(self, result: Report | AuditError) -> None:
        if isinstance(result, AlreadyAudited):
            self.skipped += 1
            self.codes.add(_code_of(result.tags, self.fail_on))
        elif isinstance(result, UsageError):
            self.mistakes.append(str(result))
        elif isinstance(result, AuditError):
            self._fail(str(result))
        else:
            self.verdicts[str(result.verdict)] += 1
            self.codes.add(exit_code([result], 0, self.fail_on))
            if self.keep or self.form == "json":
                self.reports.append(result)
            if self.form == "text" and len(self.run_ids) > FEW:
                from mlflow_clfaudit.report.text import to_line

                click.echo(to_line(result, color=sys.stdout.isatty()))
            elif self.form != "json":
                show(result, self.form, attached=self.attached)

    def _fail(self, message: str) -> None:
        self.failed += 1
        self.codes.add(AuditError.exit_code)
        click.echo(f"error: {message}", err=True)

    def _conclude(self) -> None:
        if self.mistakes and len(self.mistakes) == len(self.run_ids):
            raise UsageError(self.mistakes[0])
        for mistake in self.mistakes:
            self._fail(mistake)
        if self.skipped:
            click.echo(
                f"{_runs(self.skipped)} skipped: audited before, by this version and on the same evidence; "
                "--again audits all",
                err=True,
            )
        if self.form == "json":
            click.echo(self.as_json())
        elif self.form == "text" and len(self.run_ids) > FEW:
            told = [f"{count} {verdict.replace('_', ' ')}" for verdict, count in self.verdicts.most_common()]
            told += [f"{self.failed} could not be audited"] if self.failed else []
            click.echo(f"{_runs(sum(self.verdicts.values()) + self.failed)}: {', '.join(told) or 'nothing to do'}")


def exit_code(reports: Iterable[Report], failed: int, fail_on: str) -> int:
    """0 nothing at or above --fail-on, 1 findings at or above it, 3 a run could not be audited."""
    from mlflow_clfaudit.review import fails

    reports = list(reports)
    bar = None if fail_on == "never" else Severity(fail_on)
    if bar and any(fails(report, bar) for report in reports):
        return 1
    if failed or any(report.verdict is Verdict.NOT_AUDITED for report in reports):
        return 3
    return 0


def show(report: Report, form: str, *, attached: bool) -> None:
    """Print one report in one of the forms but json."""
    from mlflow_clfaudit.report.github import to_github
    from mlflow_clfaudit.report.json import to_dict
    from mlflow_clfaudit.report.markdown import to_markdown
    from mlflow_clfaudit.report.text import to_text

    if form == "jsonl":
        click.echo(json.dumps(to_dict(report)))
    elif form == "markdown":
        click.echo(to_markdown(report))
    elif form == "github":
        click.echo(to_github(report))
    else:
        click.echo(to_text(report, color=sys.stdout.isatty(), attached=attached))


def as_json(reports: Sequence[Report], *, many: bool) -> str:
    """One object for one run, an array for several."""
    from mlflow_clfaudit.report.json import to_dict

    found = [to_dict(report) for report in reports]
    return json.dumps(found if many or not found else found[0], indent=2)


def _code_of(tags: dict[str, str], fail_on: str) -> int:
    """The exit code that an earlier audit's verdict stands for."""
    worst = tags.get(SEVERITY, "none")
    if fail_on != "never" and worst in set(Severity) and Severity(worst).at_least(Severity(fail_on)):
        return 1
    return AuditError.exit_code if tags.get(VERDICT) == Verdict.NOT_AUDITED else 0


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr where that is a terminal and there are several runs; what is called after each run."""
    from rich.console import Console

    console = Console(stderr=True)
    if total < 2 or not console.is_terminal:
        yield lambda: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("auditing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    # What is printed to the same terminal appears above the bar; what goes elsewhere is left alone.
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:
        task = progress.add_task("auditing", total=total)
        yield lambda: progress.advance(task)


def _runs(count: int) -> str:
    return f"{count:,} run{'s' * (count != 1)}".replace(",", " ")
