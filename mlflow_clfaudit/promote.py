"""`mlflow clfaudit promote`: an alias of a registered model moves to a version only where its audit passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow_clfaudit import attach
from mlflow_clfaudit.audit import audit_run
from mlflow_clfaudit.evidence.reader import read_run, run_of_model
from mlflow_clfaudit.report.tags import tags
from mlflow_clfaudit.types import Report


def audit_version(name: str, version: str, *, tracking_uri: str | None = None, **options: Any) -> Report:
    """Audit a registered version and tag it with the verdict.

    Its run gets the report, too, unless the run's own verdict is about another of its models.

    Raises:
        AuditError: as audit_run; or there is no such version.
    """
    uri = f"models:/{name}/{version}"
    run_id = run_of_model(uri, tracking_uri)
    if (name, version) in attach.versions_of(read_run(run_id, tracking_uri)):
        return audit_run(run_id, tracking_uri=tracking_uri, **options)
    report = audit_run(run_id, tracking_uri=tracking_uri, model_uri=uri, dry_run=True, **options)
    attach.tag_versions(read_run(run_id, tracking_uri, uri), tags(report))
    return report


def promote(
    name: str,
    version: str,
    alias: str,
    passes: Callable[[Report], bool],
    *,
    tracking_uri: str | None = None,
    **options: Any,
) -> tuple[Report, str]:
    """Audit a version and move the alias to it where the audit passes; the report, and what became of the alias.

    Raises:
        AuditError: the version could not be audited, or the alias not be moved.
    """
    report = audit_version(name, version, tracking_uri=tracking_uri, **options)
    before = attach.version_of_alias(name, alias, tracking_uri)
    if not passes(report):
        stays = f"stays at version {before}" if before else "is not set"
        return report, f"{name}: {alias} {stays}; version {version} does not pass"
    attach.set_alias(name, alias, version, tracking_uri)
    came = f", it was at version {before}" if before and before != version else ""
    return report, f"{name}: {alias} is at version {version}{came}"
