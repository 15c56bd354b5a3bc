"""Audits a run that has ended, in this process within its time or in one that outlives it."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from mlflow_clfaudit.hook import failures, state
from mlflow_clfaudit.plugin import AUTO

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence.run import Run

_logger = logging.getLogger(__package__)


def detach(run_id: str, tracking_uri: str, tier: str, *, certain: bool) -> None:
    """Start a process that audits the run and outlives this one. It is not hooked itself."""
    state.process.detached = [process for process in state.process.detached if process.poll() is None]
    code = "import sys; from mlflow_clfaudit.hook.audits import audit_ended; audit_ended(*sys.argv[1:])"
    environment = {name: value for name, value in os.environ.items() if name not in (AUTO, "MLFLOW_RUN_ID")}
    process = subprocess.Popen(  # noqa: S603 - this interpreter, our own code
        [sys.executable, "-c", code, run_id, tracking_uri, tier, "1" if certain else ""],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    state.process.detached.append(process)


def audit_ended(
    run_id: str,
    tracking_uri: str,
    tier: str = "probe",
    certain: bool | str = False,
    *,
    time_limit: float | None = None,
    silent: bool = True,
) -> None:
    """Audit a run that has ended, unless it has not changed since it was, or logged no classifier that is `certain`.

    Raises:
        KeyboardInterrupt: the user wants to go on. Nothing else is raised, see the module.
    """
    from mlflow import MlflowClient

    from mlflow_clfaudit.lease import Owner

    client = MlflowClient(tracking_uri)
    state.thread.auditing = True
    try:
        with Owner(name=owner_name(run_id)).renewing(client, run_id), failures.contained(client, run_id):
            _audit(run_id, tracking_uri, tier, bool(certain), time_limit, silent)
    finally:
        state.thread.auditing = False


def _audit(run_id: str, tracking_uri: str, tier: str, certain: bool, time_limit: float | None, silent: bool) -> None:
    from mlflow_clfaudit.audit import audit_run
    from mlflow_clfaudit.errors import LeftAlone
    from mlflow_clfaudit.evidence.subject import unchanged
    from mlflow_clfaudit.isolated import audit_isolated

    with contextlib.suppress(LeftAlone):
        # Without a time limit this process was started for the audit alone, and outlives what the model does.
        audit = audit_run if time_limit is not None else audit_isolated
        report = audit(
            run_id,
            tracking_uri=tracking_uri,
            tier=tier,
            budget=20.0 if time_limit is None else time_limit / 3,
            time_limit=time_limit,
            unless=unchanged if certain else _need_not,
        )
        if not silent and report.root_cause is not None:
            _logger.warning("%s", _line(report))


def _need_not(run: Run) -> str | None:
    from mlflow_clfaudit.evidence.subject import no_classifier, unchanged

    return unchanged(run) or no_classifier(run)


def _line(report: Any) -> str:
    first = report.findings[0]
    return f"clfaudit: {report.run_name} is {report.verdict}: {report.root_cause}. {first.message} Fix: {first.fix}"


def owner_name(run_id: str) -> str:
    """By which name the hook of any process claims the run."""
    return f"hook-{run_id}"
