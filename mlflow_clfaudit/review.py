"""A reviewer's word, given as tags of a run in MLflow's pages or by `mlflow clfaudit review`, and what it changes.

`clfaudit.ignore.<check>` = reason   that check's findings no longer count, on this run or on its whole experiment
`clfaudit.review` = accepted         the run may be used as it is: what the reviewer had seen no longer fails an audit
`clfaudit.review` = fixed            mended in a later run: what the reviewer had seen no longer fails an audit
`clfaudit.review` = rejected         the run must not be used: its audit fails whatever it finds

The verdict stays what was measured. A finding that is new, or worse than it was when the word was given, still fails.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlflow_clfaudit.errors import UsageError
from mlflow_clfaudit.evidence.audited import STORED_REPORT, read_audited, stored_report
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.names import IGNORE, REVIEW
from mlflow_clfaudit.registry import all_checks
from mlflow_clfaudit.report.words import is_new, title
from mlflow_clfaudit.types import Finding, Report, Review, Severity, Word

WHY_TAG, BY_TAG, AT_TAG = f"{REVIEW}.why", f"{REVIEW}.by", f"{REVIEW}.at"


def give(
    run_id: str,
    words: Mapping[Word, str | None],
    *,
    ignore: Mapping[str, str] | None = None,
    withdraw: bool = False,
    tracking_uri: str | None = None,
) -> str:
    """Put a reviewer's word on an audited run and say in a line what it changes.

    Args:
        run_id: the run.
        words: each word with the reason; None for those that were not said.
        ignore: check names with the reason why they do not count on this run.
        withdraw: take the run's word back.
        tracking_uri: the store that has the run; MLflow's own setting when left out.

    Raises:
        UsageError: no word, several, one without a reason, or an unknown check.
        AuditError: the run was not audited, or the store could not be read or written.
    """
    from mlflow_clfaudit.attach import write_tags

    said = [(word, why.strip()) for word, why in words.items() if why is not None]
    if len(said) + withdraw > 1 or not (said or withdraw or ignore):
        raise UsageError("say one of --accept, --reject, --fixed or --withdraw, or --ignore NAME=REASON")
    if any(not why for _, why in said):
        raise UsageError("a word needs a reason, for whoever reads it next year")
    unknown = next((name for name in ignore or {} if name not in all_checks()), None)
    if unknown is not None:
        raise UsageError(f"no check is named {unknown!r}; `mlflow clfaudit list` shows them")
    run = read_audited(run_id, tracking_uri)
    stored = stored_report(run)
    tags = {f"{IGNORE}{name}": reason for name, reason in (ignore or {}).items()}
    told = [f"{name} no longer counts on this run" for name in ignore or {}]
    for word, why in said:
        review = Review(word, word, why, _user(), datetime.now(UTC).isoformat(timespec="seconds"))
        tags |= {REVIEW: review.given, WHY_TAG: review.why, BY_TAG: review.by, AT_TAG: review.at}
        told.append(_effect(word, known_from(review, stored)))
    if withdraw:
        told.append("the word is withdrawn: findings count as they did before")
    write_tags(run, tags, (REVIEW, WHY_TAG, BY_TAG, AT_TAG) if withdraw else ())
    return f"{run.name} ({run.run_id}): {'; '.join(told)}"


def _effect(word: Word, review: Review) -> str:
    if word is Word.REJECTED:
        return "rejected: every audit of this run fails"
    faults = [name for name, level in review.known.items() if Severity(level).at_least(Severity.WARN)]
    count = f"{len(faults)} known finding{'s' * (len(faults) != 1)}"
    return f"{word}: {count} no longer fail{'s' * (len(faults) == 1)} an audit" + f" ({', '.join(faults)})" * bool(
        faults
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def ignored_checks(tags: Mapping[str, str]) -> dict[str, str]:
    """The checks that do not count, with the reasons, from the tags of a run or of an experiment."""
    return {
        key.removeprefix(IGNORE): value or "no reason given" for key, value in tags.items() if key.startswith(IGNORE)
    }


def review_of(run: Run) -> Review | None:
    """The word on a run about to be audited; None where there is none. What was known is in the run's last report."""
    review = read_review(run.tags)
    if review is None or review.word is None:
        return review
    try:
        return known_from(review, json.loads(run.fetch(STORED_REPORT).read_text(encoding="utf-8")))
    except Exception:  # noqa: BLE001 - a report that is missing or broken has been seen by nobody
        return review


def read_review(tags: Mapping[str, str]) -> Review | None:
    """The word that the tags of a run give."""
    given = tags.get(REVIEW, "").strip()
    if not given:
        return None
    word = Word(given.lower()) if given.lower() in set(Word) else None
    return Review(given, word, tags.get(WHY_TAG, ""), tags.get(BY_TAG, ""), tags.get(AT_TAG, ""))


def known_from(review: Review, stored: Mapping[str, Any]) -> Review:
    """The review with what its reviewer had seen: the findings of the last report, or of the first one after the word.

    A report that repeats the same word keeps what was known then: what came up since has not been seen.
    """
    earlier = stored.get("review")
    parts = ("given", "why", "by", "at")
    if isinstance(earlier, dict) and all(earlier.get(part) == getattr(review, part) for part in parts):
        seen = earlier["known"]
    else:
        counted = [finding for finding in stored["findings"] if finding["ignored"] is None]
        seen = {title_of(finding): finding["severity"] for finding in counted}
    return replace(review, known={str(name): level for name, level in seen.items() if level in set(Severity)})


def title_of(finding: Mapping[str, Any]) -> str:
    """The title of a finding of a stored report."""
    return title(Finding("", check=str(finding["check"]), variant=finding["variant"], output=finding["output"]))


def unreviewed(report: Report) -> list[Finding]:
    """The findings that count and that no reviewer answered for."""
    counted = [finding for finding in report.findings if finding.counts]
    if report.review is None or report.review.word in (None, Word.REJECTED):
        return counted
    review = report.review
    return [finding for finding in counted if is_new(review, finding)]


def fails(report: Report, bar: Severity) -> bool:
    """Whether the audit fails at this severity: by a finding that nobody answered for, or by a reviewer's rejection."""
    rejected = report.review is not None and report.review.word is Word.REJECTED
    return rejected or any(finding.level.at_least(bar) for finding in unreviewed(report))
