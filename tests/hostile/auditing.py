"""The static tier under a limit of time and memory."""

from pathlib import Path
from typing import Any

from mlflow_clfaudit.audit import audit
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.run import LoggedModel
from mlflow_clfaudit.types import Report, Status
from tests.hostile.limits import limited
from tests.runs import make_run

SECONDS = 20
MEGABYTES = 1_000


def audit_files(folder: Path) -> Report:
    models = (LoggedModel("models:/m", "model"),) if (folder / "model").exists() else ()
    run = make_run(folder / "artifacts", models=models, fetch_model=lambda _: folder / "model")
    return audit(run, tier="static")


def find_classes(folder: Path) -> Any:
    return Evidence({"run": make_run(folder)}).find("class_lists")


def audited(folder: Path) -> Report:
    """Audit the files under `folder` at the static tier: artifacts/ are the run's, model/ is its model."""
    (folder / "artifacts").mkdir(exist_ok=True)
    used = limited(audit_files, folder, seconds=SECONDS)
    assert used.megabytes < MEGABYTES
    report = used.result
    assert isinstance(report, Report)
    assert report.outcomes_of(Status.FAILED) == []
    return report


def reasons(report: Report) -> str:
    return "\n".join(outcome.reason for outcome in report.outcomes_of(Status.SKIPPED))
