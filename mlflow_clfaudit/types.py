"""The nouns of an audit: what a check is, what it says, and what a report holds. Frozen data only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

AREAS = (
    "reproduction",
    "activation_loss",
    "label_encoding",
    "stratification",
    "thresholding",
    "training_dynamics",
)


class Severity(StrEnum):
    """How bad a finding is. A symptom is never a root cause by itself."""

    BLOCKER = "blocker"
    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    SYMPTOM = "symptom"

    @property
    def weight(self) -> int:
        """Order of severities: blocker 4, error 3, warn 2, info 1, symptom 0."""
        return _WEIGHTS[self]

    def at_least(self, other: Severity) -> bool:
        return self.weight >= other.weight


_WEIGHTS = {
    Severity.BLOCKER: 4,
    Severity.ERROR: 3,
    Severity.WARN: 2,
    Severity.INFO: 1,
    Severity.SYMPTOM: 0,
}


class Tier(IntEnum):
    """What an audit may touch: files only, one forward pass of the logged model, or short counterfactual training."""

    STATIC = 0
    FORWARD = 1
    PROBE = 2

    @classmethod
    def parse(cls, name: str) -> Tier:
        return cls[name.upper()]

    def __str__(self) -> str:
        return self.name.lower()


class Grade(StrEnum):
    """How a finding was proven: an identity, a held-out counterfactual, an association, or a pattern only."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class Confidence(StrEnum):
    PROVEN = "proven"
    SUPPORTED = "supported"
    SUSPECTED = "suspected"


class Verdict(StrEnum):
    HEALTHY = "healthy"
    SUSPECT = "suspect"
    FAULTY = "faulty"
    NOT_AUDITED = "not_audited"


@dataclass(frozen=True)
class Proof:
    """The measurement behind a finding.

    `before` and `after` are values of `metric` on the same `n` rows without and with the counterfactual;
    `how` says in words what was done. `p_value` is of the paired test between them, where there is one.
    """

    grade: Grade
    how: str
    metric: str | None = None
    before: float | None = None
    after: float | None = None
    n: int | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Finding:
    """What a check says about a run. A check fills message, fix and evidence; the runner and the ranking the rest."""

    message: str
    fix: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    proof: Proof | None = None
    severity: Severity | None = None
    explains: tuple[str, ...] = ()
    unproven: str | None = None
    variant: str | None = None
    check: str = ""
    area: str = ""
    output: str | None = None
    confidence: Confidence = Confidence.SUSPECTED
    ignored: str | None = None
    symptoms: tuple[str, ...] = ()
    explained_by: str | None = None

    @property
    def level(self) -> Severity:
        """The severity, once the runner has filled it in."""
        return self.severity or Severity.INFO

    @property
    def counts(self) -> bool:
        """Whether the finding takes part in the verdict."""
        return self.ignored is None


class Status(StrEnum):
    FIRED = "fired"
    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What came of one check: it fired, passed, was skipped (with the reason and the remedy), or failed."""

    check: str
    area: str
    status: Status
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    how_to_supply: str = ""


class Word(StrEnum):
    """What a reviewer can say about a run."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FIXED = "fixed"


@dataclass(frozen=True)
class Review:
    """A reviewer's word about a run. `given` is the tag as it was written; it is no `word` where it says another.

    `known` maps the findings that the reviewer had seen, by title, to their severities: the word is about no others.
    """

    given: str
    word: Word | None = None
    why: str = ""
    by: str = ""
    at: str = ""
    known: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SuspiciousRow:
    """A row that the served model gets wrong: its place in its split, and no input of it.

    `score` is what the model gives the class that it serves: a probability where it gives such.
    """

    row: int
    split: str
    label: str
    prediction: str
    score: float
    why: str


@dataclass(frozen=True)
class Report:
    """One audited run: everything that is rendered and written, and nothing that is not.

    `findings` are ranked, root cause first; `figures` holds the numbers that the pictures are drawn from; `rows` are
    written as a table of their own.
    """

    run_id: str
    run_name: str
    verdict: Verdict
    root_cause: str | None
    findings: Sequence[Finding]
    symptoms: Sequence[Finding]
    outcomes: Sequence[Outcome]
    sources: Mapping[str, str]
    environment: Mapping[str, str]
    seconds: Mapping[str, float]
    figures: Mapping[str, Any] = field(default_factory=dict)
    experiment_id: str = ""
    url: str | None = None
    digest: str = ""
    headline: str = ""
    review: Review | None = None
    rows: Sequence[SuspiciousRow] = ()

    @property
    def severity(self) -> Severity | None:
        """The worst severity that counts, or None."""
        counted = [finding.level for finding in self.findings if finding.counts]
        return max(counted, key=lambda severity: severity.weight, default=None)

    def fired(self, name: str) -> bool:
        """Whether the check of that name reported something, as a finding or as a symptom."""
        return any(finding.check == name for finding in (*self.findings, *self.symptoms))

    def outcomes_of(self, status: Status) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.status is status]

    def to_pandas(self) -> pd.DataFrame:
        """One row a finding, in ranked order."""
        from mlflow_clfaudit.report.notebook import to_pandas

        return to_pandas(self)

    def _repr_html_(self) -> str:
        """The page, for Jupyter."""
        from mlflow_clfaudit.report.notebook import framed

        return framed(self)
