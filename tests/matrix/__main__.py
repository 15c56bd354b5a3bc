"""`make test-matrix`: the main path with each MLflow that the project claims, with the lowest version of every
dependency, and on stores that are not SQLite.

Each MLflow lies in a virtual environment of its own under `.matrix/`; what runs in it are plain scripts and the
commands that a user types. What a row came to is kept in tests/matrix/outcomes.json, and docs/versions.md is its table;
a step that fails fails the target. Only the standard library is imported here, so that any Python starts it.

    python -m tests.matrix            # everything
    python -m tests.matrix 2.22 S3    # the rows of these names; the page keeps what the others last came to
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from tests.matrix.environments import install, lowest_versions, versions
from tests.matrix.page import NAMED, PAGE, page
from tests.matrix.rows import trials
from tests.matrix.trial import Outcome, Trial

OUTCOMES = Path(__file__).parent / "outcomes.json"


def tried(trial: Trial) -> Outcome:
    """Go through the steps; one that fails leaves a word and its traceback, and the others go on."""
    found = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trial.folder = Path(folder)
        trial.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        for name, step in trial.steps.items():
            start = time.monotonic()
            try:
                step(trial)
                found[name] = "works"
            except Exception:  # noqa: BLE001 - a row that breaks is a result
                found[name] = "FAILS"
                traceback.print_exc()
            print(f"{trial.name:12} {name:20} {found[name]} ({time.monotonic() - start:.0f} s)", flush=True)
    refused = trial.place / "refused"
    recorded = {*NAMED, *lowest_versions(), "mlflow-skinny", "moto", "postgresql"}
    return Outcome(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        python=sys.version.split()[0],
        packages={name: version for name, version in versions(trial).items() if name in recorded},
        refused=refused.read_text() if refused.is_file() else "",
        steps=found,
    )


def remembered() -> dict[str, Outcome]:
    """What the rows last came to."""
    return (
        {name: Outcome(**row) for name, row in json.loads(OUTCOMES.read_text()).items()} if OUTCOMES.is_file() else {}
    )


def main() -> None:
    words = sys.argv[1:]
    rows = trials()
    if unknown := {*words} - {trial.name for trial in rows}:
        sys.exit(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(trial.name for trial in rows)}")
    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        print("PostgreSQL is not installed here, and is left out: apt-get install postgresql", flush=True)
        rows = [trial for trial in rows if trial.name != "PostgreSQL"]
    for trial in rows:
        if not words or trial.name in words:
            install(trial)
            outcome = tried(trial)
            known = {**remembered(), trial.name: outcome}
            kept = {name: asdict(outcome) for name, outcome in known.items()}
            OUTCOMES.write_text(f"{json.dumps(kept, indent=2, sort_keys=True)}\n")
            PAGE.write_text(page(known))
    print(f"docs/{PAGE.name}")
    failed = [f"{name}: {step}" for name, outcome in remembered().items() for step in outcome.failed]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
