"""The rows: each MLflow that the project claims, the lowest versions, other stores."""

from __future__ import annotations

from tests.matrix.environments import DECLARED, lowest_versions
from tests.matrix.steps import (
    audit,
    audit_json,
    doctor,
    estimator,
    fast_tests,
    files,
    hook,
    server,
    train,
    written,
)
from tests.matrix.stores import NEWEST, postgres, s3, skinny
from tests.matrix.trial import ROOT, Trial

LOWEST = "lowest"
MAIN = {
    "train": train,
    "`mlflow clfaudit`": audit,
    "`--format json`": audit_json,
    "tags and report": written,
    "hook": hook,
    "doctor": doctor,
    "scikit-learn": estimator,
    "server": server,
    "file store": files,
}


def trials() -> list[Trial]:
    """The rows."""
    project = f"{ROOT}[tensorflow]"
    lean = tuple(item for item in DECLARED["dependencies"] if not item.startswith("mlflow"))
    lowest = [f"{name}=={version}" for name, version in lowest_versions().items()]
    testing = ("pytest", "pytest-timeout", "hypothesis", "jsonschema", "markdown-it-py")
    return [
        *(Trial(name, (project, f"mlflow=={name}.*"), MAIN) for name in ("2.22", "3.1", "3.5")),
        Trial(NEWEST, (project, "mlflow", "psycopg2-binary", "boto3", "moto[server]"), MAIN),
        Trial(LOWEST, (project, *lowest, *testing), {**MAIN, "tests": fast_tests}),
        Trial("skinny", ("mlflow-skinny", *lean), {"client of a server": skinny}),
        Trial("PostgreSQL", (), {"end to end": postgres}, shared=NEWEST),
        Trial("S3", (), {"end to end": s3}, shared=NEWEST),
    ]
