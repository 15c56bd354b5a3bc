"""An experiment at a glance: verdicts over time, causes by count, the worst runs, and what was not seen again.

It reads the tags that audits left and audits nothing itself. A cause counts as gone where later runs were audited in
its area and it was not their root cause; whether somebody mended it is for a person to say (clfaudit.review = fixed).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from mlflow_clfaudit.evidence.audited import AuditedRun, Experiment
from mlflow_clfaudit.evidence.run import run_url
from mlflow_clfaudit.registry import all_checks
from mlflow_clfaudit.report import words
from mlflow_clfaudit.report.plain import clean
from mlflow_clfaudit.review import read_review
from mlflow_clfaudit.types import Severity, Verdict, Word

SCHEMA = 1
FORMATS = ("text", "markdown", "json")
# From the worst on: the order in which verdicts are listed and drawn.
ORDER = (Verdict.FAULTY, Verdict.SUSPECT, Verdict.NOT_AUDITED, Verdict.HEALTHY)
MAX_PERIODS = 24
MAX_WORST = 12
DAY = timedelta(days=1)
LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Entry:
    """An audited run in a line. `date` is that of its start, in UTC; `review` what a person said of it."""

    run_id: str
    name: str
    date: str
    verdict: str
    severity: str
    root_cause: str | None
    faults: int
    balanced_accuracy: float | None
    review: str
    url: str | None


@dataclass(frozen=True)
class Period:
    """The verdicts of the runs that started in one hour, day, week, month or year; `name` is its first."""

    name: str
    verdicts: dict[str, int]


@dataclass(frozen=True)
class Cause:
    """A root cause: how many runs have it, its first and last run, and how many later runs do not have it.

    `since` counts runs that were audited in the cause's area after the last one that has it.
    """

    check: str
    runs: int
    first: Entry
    last: Entry
    since: int


@dataclass(frozen=True)
class Summary:
    """An experiment's audits. `unaudited` runs have no verdict; `worst` leaves out what a person answered for."""

    experiment_id: str
    name: str
    url: str | None
    runs: int
    unaudited: int
    verdicts: dict[str, int]
    periods: tuple[Period, ...]
    causes: tuple[Cause, ...]
    worst: tuple[Entry, ...]
    reviewed: tuple[Entry, ...]

    @property
    def gone(self) -> tuple[Cause, ...]:
        """The causes that later audits did not meet again."""
        return tuple(cause for cause in self.causes if cause.since)

    @property
    def sentence(self) -> str:
        """The experiment in one sentence."""
        audited = self.runs - self.unaudited
        if not audited:
            return "No run of this experiment was audited."
        told = [f"{count} {name.replace('_', ' ')}" for name, count in self.verdicts.items() if count]
        return f"{audited} audited run{'s' * (audited != 1)}: {', '.join(told)}."


def summarise(experiment: Experiment) -> Summary:
    """Sum up an experiment. The same runs give the same summary."""
    ordered = sorted(experiment.runs, key=lambda run: (run.started, run.run_id))
    audited = [(run, _entry(run)) for run in ordered if run.verdict is not None]
    counted = Counter(entry.verdict for _, entry in audited)
    answered = {entry.run_id for run, entry in audited if _is_answered(run)}
    bad = [entry for _, entry in reversed(audited) if entry.verdict in (Verdict.FAULTY, Verdict.SUSPECT)]
    worst = sorted((entry for entry in bad if entry.run_id not in answered), key=_badness)
    server = experiment.tracking_uri.startswith("http")
    return Summary(
        experiment_id=experiment.experiment_id,
        name=words.line(clean(experiment.name), 120),
        url=f"{experiment.tracking_uri.rstrip('/')}/#/experiments/{experiment.experiment_id}/runs" if server else None,
        runs=len(ordered),
        unaudited=len(ordered) - len(audited),
        verdicts={str(verdict): counted[verdict] for verdict in ORDER},
        periods=tuple(_periods([(run.started, entry.verdict) for run, entry in audited])),
        causes=tuple(_causes(audited)),
        worst=tuple(worst[:MAX_WORST]),
        reviewed=tuple(entry for _, entry in reversed(audited) if entry.review),
    )


def publish(experiment: Experiment, summary: Summary) -> str:
    """Write the summary to the experiment's run "clfaudit summary" and say where it is read.

    Raises:
        NotWritable: the store refused.
    """
    from mlflow_clfaudit.attach import write_summary
    from mlflow_clfaudit.report.overview import to_html
    from mlflow_clfaudit.report.summary import to_markdown

    files = {"summary.json": to_json(summary), "summary.html": to_html(summary)}
    run_id = write_summary(experiment, files, to_markdown(summary, links=True))
    page = run_url(experiment.tracking_uri, experiment.experiment_id, run_id)
    return f"{page}/artifacts/clfaudit/summary.html" if page else f"clfaudit/summary.html of run {run_id}"


def to_json(summary: Summary) -> str:
    """The summary as a JSON object, schema 1."""
    return json.dumps({"schema": SCHEMA, **asdict(summary)}, indent=2, ensure_ascii=False) + "\n"


def _entry(run: AuditedRun) -> Entry:
    review = read_review(run.tags)
    said = f"{review.word}: {review.why}" if review and review.word and review.why else review.word if review else ""
    return Entry(
        run_id=run.run_id,
        name=words.line(clean(run.name), 80),
        date=_utc(run.started).strftime("%Y-%m-%d"),
        verdict=str(run.verdict),
        severity=str(run.severity or "none"),
        root_cause=words.line(clean(run.root_cause), 80) if run.root_cause else None,
        faults=int(run.metrics.get("clfaudit/faults", 0)),
        balanced_accuracy=run.metrics.get("clfaudit/balanced_accuracy"),
        review=words.line(clean(said or ""), 200),
        url=run.url,
    )


def _is_answered(run: AuditedRun) -> bool:
    review = read_review(run.tags)
    return review is not None and review.word in (Word.ACCEPTED, Word.FIXED)


def _badness(entry: Entry) -> tuple[int, int]:
    weight = Severity(entry.severity).weight if entry.severity in set(Severity) else 0
    return -weight, -entry.faults


def _causes(audited: Sequence[tuple[AuditedRun, Entry]]) -> Iterator[Cause]:
    """The root causes of faulty and suspect runs, the most frequent first. `audited` is in order of time."""
    known = all_checks()
    found: dict[str, list[int]] = {}
    for place, (_, entry) in enumerate(audited):
        if entry.root_cause is not None and entry.verdict in (Verdict.FAULTY, Verdict.SUSPECT):
            found.setdefault(entry.root_cause, []).append(place)
    for name, places in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        area = known[name].area if name in known else None
        later = [run for run, _ in audited[places[-1] + 1 :] if _was_looked_for(run, area)]
        yield Cause(name, len(places), audited[places[0]][1], audited[places[-1]][1], len(later))


def _was_looked_for(run: AuditedRun, area: str | None) -> bool:
    """Whether the audit of a run could have found a cause of the area; a check that is not known here has none."""
    if run.verdict is Verdict.NOT_AUDITED:
        return False
    return area is None or run.tags.get(f"clfaudit.{area}", "skipped") != "skipped"


def _periods(verdicts: Sequence[tuple[float, str]]) -> Iterator[Period]:
    """Verdicts (start in seconds, verdict) by the finest period that gives at most 24, empty ones between included."""
    if not verdicts:
        return
    moments = [(_utc(started), verdict) for started, verdict in verdicts]
    first, last = moments[0][0], moments[-1][0]
    unit = next(
        (name for name in ("hour", "day", "week", "month") if len(_starts(name, first, last)) <= MAX_PERIODS), "year"
    )
    starts = _starts(unit, first, last)
    form = {"hour": "%m-%d %H:00", "month": "%Y-%m", "year": "%Y"}.get(unit, "%Y-%m-%d")
    for place, start in enumerate(starts):
        end = starts[place + 1] if place + 1 < len(starts) else datetime.max.replace(tzinfo=UTC)
        counted = Counter(verdict for moment, verdict in moments if start <= moment < end)
        yield Period(start.strftime(form), {str(verdict): counted[verdict] for verdict in ORDER})


def _starts(unit: str, first: datetime, last: datetime) -> list[datetime]:
    """The starts of the periods from the first moment to the last; at most one more than are of use."""
    start = _start(unit, first)
    found: list[datetime] = []
    while start <= last and (unit == "year" or len(found) <= MAX_PERIODS):
        found.append(start)
        step = {"hour": timedelta(hours=1), "day": DAY, "week": 7 * DAY, "month": 31 * DAY, "year": 366 * DAY}[unit]
        start = _start(unit, start + step)
    return found


def _start(unit: str, moment: datetime) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if unit == "hour":
        return hour
    day = hour.replace(hour=0)
    if unit == "week":
        return day - day.weekday() * DAY
    return day if unit == "day" else day.replace(day=1) if unit == "month" else day.replace(month=1, day=1)


def _utc(seconds: float) -> datetime:
    # A run says of itself when it started: in the year 50,000, if its client likes.
    return datetime.fromtimestamp(min(max(seconds, 0.0), LATEST), UTC)
