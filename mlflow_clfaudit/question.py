"""What an audit is asked, beside the run itself, and whether an earlier audit has answered it already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlflow_clfaudit import __version__
from mlflow_clfaudit.errors import UsageError
from mlflow_clfaudit.evidence.decisions import Goal
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.names import EVIDENCE, REVIEW, VERDICT, VERSION
from mlflow_clfaudit.storage import SPLITS
from mlflow_clfaudit.types import Tier


@dataclass(frozen=True)
class Question:
    """How deep an audit goes, which checks it runs, what is supplied beside the run, and whether names are left out."""

    tier: Tier = Tier.PROBE
    checks: tuple[str, ...] = ()
    overrides: Overrides = field(default_factory=Overrides)
    ignore: Mapping[str, str] = field(default_factory=dict)
    allow_unsafe: bool = False
    redact: bool = False

    def digest(self, run: Run) -> str:
        """A digest of all that is audited; that of the run alone where everything is asked and nothing supplied."""
        asked: dict[str, Any] = {
            "tier": None if self.tier is Tier.PROBE else str(self.tier),
            "checks": sorted(self.checks),
            "labels": {split: _file(path) for split, path in self.overrides.labels.items()},
            "inputs": {split: _file(path) for split, path in self.overrides.inputs.items()},
            "metrics": dict(self.overrides.metrics),
            "goal": self.overrides.goal,
            "ignore": dict(self.ignore),
            "allow_unsafe": self.allow_unsafe,
            "redact": self.redact,
        }
        asked = {name: value for name, value in asked.items() if value}
        if not asked:
            return run.digest
        return hashlib.sha256(json.dumps([run.digest, asked], sort_keys=True).encode()).hexdigest()[:16]

    def answered(self, run: Run) -> bool:
        """Whether the run's verdict is that of this version on the same evidence, at this tier or a dearer one.

        What a reviewer said of the run can change what its verdict means, so that such a run is always audited.
        """
        if VERDICT not in run.tags or REVIEW in run.tags or run.tags.get(VERSION) != __version__:
            return False
        deep_enough = [tier for tier in Tier if tier >= self.tier]
        return run.tags.get(EVIDENCE) in {replace(self, tier=tier).digest(run) for tier in deep_enough}


def must_exist(run: Run, overrides: Overrides) -> None:
    """Raise UsageError for evidence that was given but is not there, or is not understood."""
    for option, given in (("labels", overrides.labels), ("inputs", overrides.inputs)):
        for split, path in given.items():
            if split not in SPLITS:
                raise UsageError(f"--{option} {split}=…: a split is one of {', '.join(SPLITS)}")
            if not Path(path).is_file() and path not in run.artifacts:
                raise UsageError(f"--{option} {split}={path}: neither a local file nor an artifact of the run")
    for name, logged in overrides.metrics.items():
        if logged not in run.metrics:
            known = ", ".join(sorted(run.metrics)[:20]) or "none"
            raise UsageError(f"--metric {name}={logged}: the run has no such metric; it has {known}")
    if overrides.goal is not None:
        Goal.parse(overrides.goal)


def _file(path: str) -> list[Any]:
    """A path and, of a local file, what tells that it is another one by now."""
    try:
        found = Path(path).stat()
    except OSError:
        return [path]
    return [path, found.st_size, found.st_mtime_ns]
