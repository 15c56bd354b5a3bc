"""Trains a network that can only answer 1.0 and its repaired twin, audits both, says where the reports lie.

`make demo` runs this. The runs go to a store of their own, .demo/mlflow.db, and stay there to be looked at.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow

EXAMPLES = Path(__file__).parent
STORE = EXAMPLES.parent / ".demo"
TRACKING_URI = f"sqlite:///{STORE / 'mlflow.db'}"
# Each script with what its audit should say: the verdict on the run, and the exit code, 1 for an error or worse.
SCRIPTS = {
    "seed_002_softmax_on_one_unit.py": ("faulty", 1),
    "seed_002_fixed.py": ("healthy", 0),
}


def train(script: str) -> str:
    """Run a training script as its author would, and return the id of the run that it logged."""
    started = time.time()
    subprocess.run([sys.executable, EXAMPLES / script], cwd=STORE, check=True)
    (run,) = mlflow.search_runs(
        search_all_experiments=True,
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    print(f"{script} took {time.time() - started:.0f} s and is run {run.info.run_id}\n", flush=True)
    return str(run.info.run_id)


def audit(run_id: str) -> tuple[str, int]:
    """Audit a run from the command line and return the verdict that it left on the run, and its exit code."""
    command = Path(sys.executable).with_name("mlflow-clfaudit")
    exit_code = subprocess.run([command, run_id], cwd=STORE, check=False).returncode
    return mlflow.get_run(run_id).data.tags.get("clfaudit.verdict", "not audited"), exit_code


def main() -> int:
    STORE.mkdir(exist_ok=True)
    os.environ |= {"MLFLOW_TRACKING_URI": TRACKING_URI, "TF_CPP_MIN_LOG_LEVEL": "3"}
    reports = {}
    for script, expected in SCRIPTS.items():
        print(f"--- training {script}", flush=True)
        run_id = train(script)
        found = audit(run_id)
        print("\nverdict {}, exit code {}\n".format(*found), flush=True)
        if found != expected:
            print("expected: verdict {}, exit code {}".format(*expected), file=sys.stderr)
            return 1
        reports[script] = mlflow.artifacts.download_artifacts(
            run_id=run_id, artifact_path="clfaudit/report.html", dst_path=str(STORE / Path(script).stem)
        )
    print("--- the reports, to open in a browser")
    for script, path in reports.items():
        print(f"{script:34} {path}")
    print(f"\nor on the runs themselves: .venv/bin/mlflow ui --backend-store-uri {TRACKING_URI}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
