"""What earlier audits left in MLflow: the verdicts on runs, and the reports that are stored with them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_clfaudit.errors import AuditError, first_line
from mlflow_clfaudit.evidence.reader import find_experiment, find_run
from mlflow_clfaudit.evidence.run import run_url
from mlflow_clfaudit.names import ROOT_CAUSE, SEVERITY, SUMMARY, VERDICT
from mlflow_clfaudit.types import Severity, Verdict

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

STORED_REPORT = "clfaudit/report.json"


@dataclass(frozen=True)
class AuditedRun:
    """A run as its tags and last metric values show it, audited or not. `started` is in seconds since 1970."""

    run_id: str
    name: str = ""
    experiment_id: str = ""
    started: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tracking_uri: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """What the last audit said; None where there was none."""
        said = self.tags.get(VERDICT, "")
        return Verdict(said) if said in set(Verdict) else None

    @property
    def root_cause(self) -> str | None:
        cause = self.tags.get(ROOT_CAUSE, "none")
        return None if cause == "none" else cause

    @property
    def severity(self) -> Severity | None:
        """The worst severity that counts; None where nothing does."""
        worst = self.tags.get(SEVERITY, "none")
        return Severity(worst) if worst in set(Severity) else None

    @property
    def url(self) -> str | None:
        """The run's page in the MLflow UI, where the store has one."""
        return run_url(self.tracking_uri, self.experiment_id, self.run_id)


@dataclass(frozen=True)
class Experiment:
    """An experiment and its runs, the newest first."""

    experiment_id: str
    name: str
    tracking_uri: str
    runs: tuple[AuditedRun, ...]


def read_audited(run_id: str, tracking_uri: str | None = None) -> AuditedRun:
    """Read a run's tags and metrics.

    Raises:
        AuditError: there is no such run, or the store did not answer.
    """
    import mlflow

    uri = tracking_uri or mlflow.get_tracking_uri()
    return _audited(find_run(mlflow.MlflowClient(uri), run_id, uri), uri)


def read_experiment(name: str, filter_string: str = "", tracking_uri: str | None = None) -> Experiment:
    """Read every run of an experiment that passes the filter, summaries left out.

    Raises:
        AuditError: no experiment is named so, the filter is not understood, or the store did not answer.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    uri = tracking_uri or mlflow.get_tracking_uri()
    client = mlflow.MlflowClient(uri)
    found = find_experiment(client, name)
    runs: list[AuditedRun] = []
    token = None
    while True:
        try:
            page = client.search_runs([found.experiment_id], filter_string, max_results=1000, page_token=token)
        except MlflowException as error:
            raise AuditError(f"the runs of {name!r} could not be read: {first_line(error)}") from None
        runs += [_audited(item, uri) for item in page if SUMMARY not in item.data.tags]
        token = page.token
        if not token:
            return Experiment(found.experiment_id, found.name, uri, tuple(runs))


def stored_report(run: AuditedRun) -> dict[str, Any]:
    """The report.json that the last audit of the run left.

    Raises:
        AuditError: the run was not audited, or its report cannot be read.
    """
    import mlflow

    try:
        local = mlflow.artifacts.download_artifacts(
            run_id=run.run_id, artifact_path=STORED_REPORT, tracking_uri=run.tracking_uri
        )
        report = json.loads(Path(local).read_text(encoding="utf-8"))
    except Exception as error:  # noqa: BLE001 - artifact stores differ in what they raise
        if run.verdict is None:
            reason = f"run {run.run_id} has not been audited; `mlflow clfaudit {run.run_id}` does it"
        else:
            reason = f"the report of run {run.run_id} cannot be read: {type(error).__name__}; audit it again"
        raise AuditError(reason) from None
    if not isinstance(report, dict) or report.get("schema") != 1:
        raise AuditError(f"the report of run {run.run_id} is not one of this version; audit it again")
    return report


def _audited(found: MlflowRun, uri: str) -> AuditedRun:
    return AuditedRun(
        run_id=found.info.run_id,
        name=found.info.run_name or found.info.run_id[:8],
        experiment_id=found.info.experiment_id,
        started=(found.info.start_time or 0) / 1000,
        tags=dict(found.data.tags),
        metrics={key: value for key, value in found.data.metrics.items() if math.isfinite(value)},
        tracking_uri=uri,
    )
