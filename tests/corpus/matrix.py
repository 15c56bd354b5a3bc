"""The fault matrix: what an audit says at warn and above on a few faulty and healthy runs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.corpus.audits import ALARM, audit_all
from tests.corpus.store import train

GOLDEN = Path(__file__).with_name("fault_matrix.json")
FAULTY = (
    "SO-31880720",
    "SO-44066044",
    "SO-48385830",
    "SO-59325381",
    "TDC-base-low-lr",
    "cancer+argmax-on-one-column",
    "cancer+broadcast-comparison",
    "rings+binary-labels-not-01(1-2)",
    "rings+logits-in-probability-loss",
    "rings+softmax-on-one-unit",
    "text+encoder-refit",
    "text+tail-split-of-ordered-data(classes)",
    "wine+labels-out-of-range",
    "wine+multiclass-on-one-unit",
)
HEALTHY = ("base-rings", "linear-head-from-logits", "reserved-unknown-class", "squares-two-units", "tiny-data")


def measured(jobs: int = 2) -> dict[str, dict[str, str]]:
    """Program → check → severity, "first" naming what the audit put first. Trains what is missing."""
    names = [*FAULTY, *HEALTHY]
    for _ in train(names, [0], jobs=jobs):
        pass
    found = {}
    for run in audit_all(names, [0], jobs=jobs):
        alarms = {finding["check"]: finding["severity"] for finding in run.raised(ALARM)}
        found[run.program.name] = {"first": run.first} | dict(sorted(alarms.items()))
    return {name: found[name] for name in names}


def write() -> None:
    """Write the golden file anew."""
    GOLDEN.write_text(json.dumps(measured(), indent=2) + "\n")
