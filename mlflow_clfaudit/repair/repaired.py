"""What a repair tried, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.repair.measured import Comparison
from mlflow_clfaudit.types import Report


@dataclass(frozen=True)
class Attempt:
    """One finding that was to be mended: what was done and what came of it.

    `kept` says whether it is part of the repaired model; else `why` says why not. `comparison` is with the model that
    was kept before, None where nothing could be tried or the step only prepares the next one. `with_step` is the
    place of the attempt that mends this finding, too.
    """

    check: str
    did: str = ""
    kept: bool = False
    why: str = ""
    measure: str = ""
    comparison: Comparison | None = None
    with_step: int | None = None
    prepares: bool = False


@dataclass(frozen=True)
class Repaired:
    """A run's repair: what was tried, and what the whole of it gives on the judged rows.

    `overall` compares the logged model with the repaired one, None where nothing was kept. `child` is the id of the run
    that holds the repaired model, None where none was written, `after` the audit of it.
    """

    run: Run
    before: Report
    attempts: Sequence[Attempt]
    rows: str = ""
    overall: Comparison | None = None
    patch: str = ""
    child: str | None = None
    after: Report | None = None
    version: str | None = None
    url: str | None = None

    @property
    def kept(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.kept]
