"""Registered versions without a verdict: registered after the audit of their run, or of another model of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mlflow_clfaudit import attach
from mlflow_clfaudit.evidence.reader import read_run
from mlflow_clfaudit.names import VERDICT
from mlflow_clfaudit.report.tags import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from mlflow_clfaudit.types import Report

PAGE = 200


def without_verdict(client: MlflowClient, done: set[str]) -> Iterator[ModelVersion]:
    """Registered versions that have no verdict, the newest first. `done` are those, by URI, that are not looked at.

    Versions that have a verdict are added to it, so that the next look ends where it finds nothing new.
    """
    token = None
    while True:
        page = client.search_model_versions(max_results=PAGE, order_by=["creation_timestamp DESC"], page_token=token)
        fresh = [version for version in page if uri_of(version) not in done]
        for version in fresh:
            if VERDICT in version.tags:
                done.add(uri_of(version))
            else:
                yield version
        token = page.token
        if not fresh or not token:
            return


def uri_of(version: ModelVersion) -> str:
    return f"models:/{version.name}/{version.version}"


def passed_on(client: MlflowClient, version: ModelVersion, run_id: str) -> bool:
    """Give the version the verdict of its run, if that is about the same model; whether it was."""
    run = read_run(run_id, client.tracking_uri)
    return (version.name, str(version.version)) in attach.tag_versions(run, run.tags)


def audited(client: MlflowClient, version: ModelVersion, run_id: str, audit: Callable[..., Report]) -> Report:
    """Audit the version's own model and tag the version. The verdict of its run, which is another's, stays.

    Raises:
        AuditError: as audit_run.
    """
    uri = uri_of(version)
    report = audit(run_id, model_uri=uri, dry_run=True)
    attach.tag_versions(read_run(run_id, client.tracking_uri, uri), tags(report))
    return report
