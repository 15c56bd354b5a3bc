"""Who is auditing a run at the moment: a tag with an owner and a time, so that nobody else starts and nothing is lost.

MLflow's tags know no compare-and-set. A claim is therefore written, left to settle, and read again: the last writer
has it. Whoever took longer between looking and writing than the others let settle gives way, so that two can never
both believe that they have it.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

LEASE = "clfaudit.lease"
SECONDS = 120.0
SETTLE = 1.0


def is_leased(tags: Mapping[str, str], *, now: float | None = None) -> bool:
    """Whether somebody is auditing the run: its lease has not expired. Anything that is no lease is none."""
    _, _, until = tags.get(LEASE, "").rpartition(" ")
    try:
        return float(until) > (time.time() if now is None else now)
    except ValueError:
        return False


@dataclass(frozen=True)
class Owner:
    """One process that audits runs; `seconds` is how long its lease of a run lasts unless it is renewed."""

    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    seconds: float = SECONDS
    settle: float = SETTLE

    def value(self) -> str:
        return f"{self.name} {time.time() + self.seconds:.0f}"

    def holds(self, tags: Mapping[str, str]) -> bool:
        return is_leased(tags) and tags[LEASE].rpartition(" ")[0] == self.name

    def take(self, client: MlflowClient, run_id: str) -> None:
        """Mark the run as being audited by this process, or renew that."""
        client.set_tag(run_id, LEASE, self.value())

    def release(self, client: MlflowClient, run_id: str) -> None:
        """Remove the mark where it is this process's own."""
        if self.holds(client.get_run(run_id).data.tags):
            client.delete_tag(run_id, LEASE)

    def claim(self, client: MlflowClient, run_ids: Iterable[str]) -> list[str]:
        """Those of the runs that are this process's to audit: neither leased nor audited by anyone else."""
        claimed = []
        for run_id in run_ids:
            started = time.monotonic()
            tags = client.get_run(run_id).data.tags
            if is_leased(tags) or "clfaudit.verdict" in tags:
                continue
            self.take(client, run_id)
            if time.monotonic() - started < self.settle:
                claimed.append(run_id)
        if claimed:
            time.sleep(self.settle)
        return [run_id for run_id in claimed if self.holds(client.get_run(run_id).data.tags)]
