"""The audits of the corpus: every trained run through the public entry point, remembered until the code changes."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

import mlflow_clfaudit
from tests.corpus.log import Logged
from tests.corpus.program import COMPANIONS, SYMPTOMS, Program, part
from tests.corpus.store import ROOT, key, load, programs, tracking_uri

PACKAGE = Path(mlflow_clfaudit.__file__).parent
MODULES = (
    "audit",
    "calibration",
    "causality",
    "examine",
    "losses",
    "measures",
    "proofs",
    "rank",
    "registry",
    "thresholds",
)
JUDGEMENT = ("checks", "evidence", *(f"{name}.py" for name in MODULES))
ALARM = ("warn", "error", "blocker")
ERROR = ("error", "blocker")


@cache
def judgement_digest() -> str:
    """A digest of the code that an audit's judgement depends on."""
    hasher = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in JUDGEMENT:
            hasher.update(path.read_bytes())
    return hasher.hexdigest()[:12]


@dataclass(frozen=True)
class Judged:
    """A trained run, the truth about it, and what the audit said."""

    program: Program
    seed: int
    run: Logged
    parent: Logged | None
    report: dict[str, Any]

    @property
    def part(self) -> str:
        return part(self.seed)

    @property
    def name(self) -> str:
        return f"{self.program.name} seed {self.seed}"

    @cached_property
    def harmless(self) -> bool:
        """Whether the fault changed neither the held-out quality nor the numbers that the run shows."""
        if self.program.healthy or self.parent is None or not self.program.measured:
            return self.program.harmless
        # The loss that Keras logs holds the penalties.
        penalised = "over-regularised" in self.program.truth
        return quality_kept(self.run, self.parent) and numbers_true(self.run, self.parent, loss=not penalised)

    @cached_property
    def costly(self) -> bool:
        """Whether decisions are worse than the parent's, not its numbers alone. What is not known counts as costly."""
        one, other = self.run.balanced_accuracy, self.parent.balanced_accuracy if self.parent else None
        return one is None or other is None or one < other - 0.03

    @property
    def faulty(self) -> bool:
        """Whether the audit ought to name a fault."""
        return not self.program.healthy and not self.harmless

    @cached_property
    def welcome(self) -> frozenset[str]:
        """The checks that may be reported at warn or above."""
        truth = self.program.truth if self.faulty else ()
        follows = [COMPANIONS.get(check, frozenset()) for check in truth]
        return SYMPTOMS.union(truth, self.program.allowed, *follows)

    @property
    def findings(self) -> list[dict[str, Any]]:
        return list(self.report.get("findings", ()))

    def raised(self, severities: Sequence[str]) -> list[dict[str, Any]]:
        """The findings of these severities that stand for themselves."""
        return [finding for finding in self.findings if finding["severity"] in severities]

    @property
    def false_alarms(self) -> list[dict[str, Any]]:
        """Findings at warn or above that nothing in the truth bears out."""
        return [finding for finding in self.raised(ALARM) if finding["check"] not in self.welcome]

    @property
    def first(self) -> str:
        """What the audit put first, or none."""
        return self.report.get("root_cause") or next((f["check"] for f in self.raised(ALARM)), "none")

    @property
    def hit(self) -> bool:
        """Whether a planted fault came first."""
        return self.first in self.program.truth


def quality_kept(run: Logged, parent: Logged) -> bool:
    """Whether decisions and probabilities on the clean rows are as good as the parent's."""
    if run.failed or run.balanced_accuracy is None or parent.balanced_accuracy is None:
        return False
    if run.balanced_accuracy < parent.balanced_accuracy - 0.03:
        return False
    if run.brier is None or parent.brier is None:
        return run.brier is None and parent.brier is None
    return run.brier <= parent.brier + 0.01


def numbers_true(run: Logged, parent: Logged, *, loss: bool = True) -> bool:
    """Whether the run shows the accuracy that it has on the clean rows, give or take sampling, and a like loss.

    Sampling is more than .06 where the held-out rows are few: then it shows what its parent shows.
    """
    shown, same = (run.metrics or {}).get("loss"), (parent.metrics or {}).get("loss")
    if loss and shown is not None and same is not None and abs(shown - same) > 0.15:
        return False
    if run.reported is None or run.accuracy is None or abs(run.reported - run.accuracy) <= 0.06:
        return True
    return parent.reported is not None and abs(run.reported - parent.reported) <= 0.03


def audit_all(names: Sequence[str], seeds: Sequence[int], *, jobs: int = 2, root: Path = ROOT) -> Iterator[Judged]:
    """Audit what is trained, yielding each run as it is judged; what was audited by the same code comes first."""
    folder = root / "audits" / judgement_digest()
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for name in names:
        for seed in seeds:
            run = load(name, seed, root)
            if run is None:
                continue
            path = folder / f"{key(name, seed)}.json"
            if path.exists():
                yield judged(name, seed, run, json.loads(path.read_text()), root)
            else:
                missing.append((name, seed, run, path))
    work = (delayed(audit_one)(name, seed, run, path, root) for name, seed, run, path in missing)
    for name, seed, run, report in Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(work):
        yield judged(name, seed, run, report, root)


def judged(name: str, seed: int, run: Logged, report: dict[str, Any], root: Path) -> Judged:
    program = programs()[name]
    parent = load(program.parent, seed, root) if program.parent else None
    return Judged(program, seed, run, parent, report)


def audit_one(name: str, seed: int, run: Logged, path: Path, root: Path) -> tuple[str, int, Logged, dict[str, Any]]:
    """Audit one run in this process, without writing to the store, and remember the report."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    import keras

    from mlflow_clfaudit.report.json import to_dict

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    keras.utils.clear_session()
    started = time.process_time()
    try:
        options = {"tracking_uri": tracking_uri(root), "dry_run": True, "allow_unsafe": name.startswith("sklearn")}
        # An earlier version of the package, audited by tests.corpus.before, knows fewer of them.
        known = inspect.signature(mlflow_clfaudit.audit_run).parameters
        given = {name: value for name, value in options.items() if name in known}
        report = to_dict(mlflow_clfaudit.audit_run(run.run_id, **given))
    except Exception as error:  # noqa: BLE001  an audit that ends in an exception is a result to be counted
        report = {"verdict": "exception", "exception": f"{type(error).__name__}: {error}"[:500]}
    tried = report.pop("figures", {}).get("trainings", {}).get("tried", ())
    report["training_seconds"] = [training["seconds"] for training in tried]
    report["processor_seconds"] = time.process_time() - started
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(report))
    partial.replace(path)
    return name, seed, run, report
