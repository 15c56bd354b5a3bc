"""Who is auditing a run at the moment: a tag of each who tries, with a time, so that only one does and nothing is lost.

MLflow's tags know no compare-and-set, so nobody writes over another's tag. Whoever wants a run leaves a tag under its
own name and looks afterwards: another's live tag means to give way. Of two who look after they have written, one sees
the other whatever the order, so that two can never both have a run; that both give way is possible and harmless.
A lease ends by itself: the clocks of those who share a store should agree within a minute.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

LEASE = "clfaudit.lease."
SECONDS = 120.0


def leases(tags: Mapping[str, str], *, now: float | None = None) -> dict[str, bool]:
    """Who left a lease on the run, by name, and whether it is live. Anything that is no time has expired."""
    now = time.time() if now is None else now
    return {key.removeprefix(LEASE): _time(value) > now for key, value in tags.items() if key.startswith(LEASE)}


def is_leased(tags: Mapping[str, str], *, now: float | None = None) -> bool:
    """Whether somebody is auditing the run."""
    return any(leases(tags, now=now).values())


def _time(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0


def _own_name() -> str:
    # What MLflow allows in the key of a tag.
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:60]
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Owner:
    """One process that audits runs; `seconds` is how long its lease of a run lasts unless it is renewed."""

    name: str = field(default_factory=_own_name)
    seconds: float = SECONDS

    @property
    def key(self) -> str:
        return f"{LEASE}{self.name}"

    def holds(self, tags: Mapping[str, str]) -> bool:
        return leases(tags).get(self.name, False)

    def take(self, client: MlflowClient, run_id: str) -> None:
        """Mark the run as being audited by this process, or renew that."""
        client.set_tag(run_id, self.key, f"{time.time() + self.seconds:.0f}")

    def release(self, client: MlflowClient, run_id: str) -> None:
        """Remove the mark, where there is one."""
        if self.key in client.get_run(run_id).data.tags:
            client.delete_tag(run_id, self.key)

    def claim(self, client: MlflowClient, run_id: str) -> Mapping[str, str] | None:
        """Try to have the run. Its tags, read while it is this process's own; None where it is another's.

        What a process that was killed left on it is removed.
        """
        self.take(client, run_id)
        tags = client.get_run(run_id).data.tags
        others = {name: live for name, live in leases(tags).items() if name != self.name}
        if any(others.values()):
            client.delete_tag(run_id, self.key)
            return None
        for name in others:
            with contextlib.suppress(Exception):  # another may have removed it
                client.delete_tag(run_id, f"{LEASE}{name}")
        return dict(tags)

    @contextlib.contextmanager
    def renewing(self, client: MlflowClient, run_id: str) -> Iterator[None]:
        """Keep the lease of the run alive, and release it at the end, come what may."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self.seconds / 3):
                with contextlib.suppress(Exception):  # the next renewal may succeed
                    self.take(client, run_id)

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            with contextlib.suppress(Exception):  # it ends by itself
                self.release(client, run_id)
