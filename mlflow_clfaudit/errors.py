"""What can go wrong, said in one line with the next step.

AuditError              exit 3: the run could not be audited
├── RunNotFound
├── RunNotFinished
├── OutOfMemory
├── LeftAlone           the run is none to audit, or need not be audited again; nothing was written
│   └── AlreadyAudited
├── TrackingUnreachable
└── NotWritable
UsageError              exit 2: the command was not understood
Missing                 not an error: a piece of evidence that the run does not carry
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

# What MLflow itself reads its credentials from.
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN", "AWS_SECRET_ACCESS_KEY")


def redacted(text: str) -> str:
    """The text without the credentials of addresses (http://user:password@host) and without MLflow's own secrets."""
    text = re.sub(r"(?<=://)[^/\s]*@", "", text)
    for name in SECRETS:
        secret = os.environ.get(name, "")
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return text


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of what the error says, without credentials; its kind where it says nothing."""
    return redacted((str(error).strip() or type(error).__name__).splitlines()[0])[:limit]


def kind_and_first_line(error: BaseException, limit: int = 200) -> str:
    """The kind of the error and the first line of what it says."""
    return f"{type(error).__name__}: {first_line(error, limit)}"


class AuditError(Exception):
    """The run could not be audited. The message is one line and names the next step; credentials are left out."""

    exit_code = 3

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))


class RunNotFound(AuditError):
    pass


class RunNotFinished(AuditError):
    pass


class OutOfMemory(AuditError):
    pass


class LeftAlone(AuditError):
    pass


class AlreadyAudited(LeftAlone):
    """The run has the verdict already that an audit would come to. `tags` are those of the run."""

    def __init__(self, run_id: str, tags: Mapping[str, str]) -> None:
        super().__init__(f"run {run_id} is left alone: it was audited already and has not changed since")
        self.run_id, self.tags = run_id, dict(tags)

    def __reduce__(self) -> tuple[type[AlreadyAudited], tuple[str, Mapping[str, str]]]:
        return AlreadyAudited, (self.run_id, self.tags)


class TrackingUnreachable(AuditError):
    pass


class NotWritable(AuditError):
    pass


class UsageError(AuditError):
    exit_code = 2


class Missing(Exception):
    """A piece of evidence is not there. `how_to_supply` is the line that would have logged it."""

    def __init__(self, reason: str, how_to_supply: str = "") -> None:
        self.reason = redacted(reason)
        super().__init__(self.reason)
        self.how_to_supply = how_to_supply
