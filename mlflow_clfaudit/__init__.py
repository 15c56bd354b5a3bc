"""Why is this classifier wrong? Audits of finished MLflow runs, root cause first, with proof.

Importing this package imports nothing heavy: each public name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow_clfaudit.audit import audit_run, audit_runs
    from mlflow_clfaudit.errors import AuditError
    from mlflow_clfaudit.hook import autolog
    from mlflow_clfaudit.registry import check
    from mlflow_clfaudit.repair.mending import repair_run
    from mlflow_clfaudit.supply import log_labels
    from mlflow_clfaudit.types import Finding, Grade, Proof, Report, Severity, Verdict

__version__ = "0.1.0"

_HOMES = {
    "audit_run": "audit",
    "audit_runs": "audit",
    "autolog": "hook",
    "AuditError": "errors",
    "check": "registry",
    "log_labels": "supply",
    "repair_run": "repair.mending",
    "Finding": "types",
    "Grade": "types",
    "Proof": "types",
    "Report": "types",
    "Severity": "types",
    "Verdict": "types",
}

__all__ = [
    "AuditError",
    "Finding",
    "Grade",
    "Proof",
    "Report",
    "Severity",
    "Verdict",
    "audit_run",
    "audit_runs",
    "autolog",
    "check",
    "log_labels",
    "repair_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
