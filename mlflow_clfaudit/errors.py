"""What can go wrong, said in one line with the next step.

AuditError              exit 3: the run could not be audited
├── RunNotFound
├── RunNotFinished
├── LeftAlone           the run is none to audit, or need not be audited again; nothing was written
├── TrackingUnreachable
└── NotWritable
UsageError              exit 2: the command was not understood
Missing                 not an error: a piece of evidence that the run does not carry
"""

from __future__ import annotations


class AuditError(Exception):
    """The run could not be audited. The message is one line and names the next step."""

    exit_code = 3


class RunNotFound(AuditError):
    pass


class RunNotFinished(AuditError):
    pass


class LeftAlone(AuditError):
    pass


class TrackingUnreachable(AuditError):
    pass


class NotWritable(AuditError):
    pass


class UsageError(AuditError):
    exit_code = 2


class Missing(Exception):
    """A piece of evidence is not there. `how_to_supply` is the line that would have logged it."""

    def __init__(self, reason: str, how_to_supply: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.how_to_supply = how_to_supply
