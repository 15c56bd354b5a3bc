"""Audits in a process of their own that is killed beyond its limits: what a model does there, it does to nobody else.

The limits guard against faults: a crash, an endless loop, too little memory. They are no prison: code that a model was
allowed to bring along (allow_unsafe) has the rights of the user there as it has anywhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mlflow_clfaudit.errors import AuditError
from mlflow_clfaudit.plugin import AUTO
from mlflow_clfaudit.types import Report

# The child itself is not hooked, and none of its code logs to a run of the user's.
LEFT_OUT = (AUTO, "MLFLOW_RUN_ID")


# How much longer than its caller counts on a process waits for the next run, in seconds.
GRACE = 30.0


@dataclass(frozen=True)
class Limits:
    """What an audit may take. After `runs` audits the process is replaced, for TensorFlow's memory only ever grows.

    `seconds` of wall clock for one audit; `megabytes` of private memory for the process, whatever it maps besides:
    three quarters of the machine's when left out. After `idle` seconds without a run the process ends, if it is given.
    """

    seconds: float = 900.0
    megabytes: int | None = None
    runs: int = 50
    idle: float | None = None


def _most_memory() -> int:
    """Three quarters of this machine's memory in MB."""
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 0.75 / 2**20)


def audit_isolated(run_id: str, *, limits: Limits | None = None, **options: Any) -> Report:
    """audit_run in a child process with limits, one for each thread that calls this; it serves until it fails.

    The child starts with this process's environment, folder and sys.path, and is replaced where they have changed.

    Args:
        run_id: the run.
        limits: see Limits.
        options: of audit_run. They are pickled, so `unless` is a function of a module, not a lambda.

    Raises:
        AuditError: as audit_run; and where the child crashed or exceeded a limit, which is then also said on the run.
    """
    limits = limits or Limits()
    child: _Child | None = getattr(_thread, "child", None)
    if child is None or not child.serves(limits):
        if child is not None:
            child.end()
        child = _thread.child = _Child(limits)
    try:
        result = child.audit(run_id, options)
    except _Died as died:
        reason = f"run {run_id} could not be audited: {died}"
        if not options.get("dry_run"):
            from mlflow_clfaudit.attach import note_failure

            note_failure(run_id, options.get("tracking_uri"), reason)
        raise AuditError(reason) from None
    finally:
        if not child.alive:
            _thread.child = None
    if isinstance(result, AuditError):
        raise result
    return result


_thread = threading.local()


class _Died(Exception):
    """The child ended without an answer; the message says how."""


class _Child:
    """A process that audits run after run."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.surroundings = _surroundings()
        self.served = 0
        self.asked = time.monotonic()
        self.connection, theirs = Pipe()
        number = theirs.fileno()
        # Its own sys.path comes first, so that what lies in its folder is not imported in place of this package.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from mlflow_clfaudit.isolated import serve; serve({number}, {limits.megabytes}, {limits.idle})"
        )
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, our own code
            [sys.executable, "-P", "-c", code],
            env={name: value for name, value in os.environ.items() if name not in LEFT_OUT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[number],
            start_new_session=True,
        )
        theirs.close()
        self.end = weakref.finalize(self, _end, self.process, self.connection)

    @property
    def alive(self) -> bool:
        return self.end.alive

    def serves(self, limits: Limits) -> bool:
        """Whether the next audit can be its: it is as the caller wants it, and not used up."""
        waited = time.monotonic() - self.asked
        fresh = self.served < limits.runs and (limits.idle is None or waited < limits.idle)
        return fresh and limits == self.limits and self.surroundings == _surroundings()

    def audit(self, run_id: str, options: dict[str, Any]) -> Report | AuditError:
        """Its answer; whatever keeps it from one ends it."""
        self.served += 1
        answered = False
        try:
            self.connection.send((run_id, options))
            if not self.connection.poll(self.limits.seconds):
                raise _Died(f"it took longer than {self.limits.seconds:g} s and was ended; try --tier static")
            result: Report | AuditError = self.connection.recv()
            answered = True
        except (EOFError, ConnectionError):
            raise _Died(f"its process {self._ending()}; try --tier static") from None
        finally:
            self.asked = time.monotonic()
            # After Ctrl-C as well: its answer would be taken for that of the next run.
            if not answered:
                self.end()
        return result

    def _ending(self) -> str:
        """How it ended. It is not reaped yet, so that its number still names what it started when that is killed."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if found is not None and found.si_code == os.CLD_EXITED:
                return f"ended with exit code {found.si_status}"
            if found is not None:
                return f"was ended by {signal.Signals(found.si_status).name}"
            time.sleep(0.01)
        return "gave no answer"


def _surroundings() -> tuple[str, list[str], dict[str, str]]:
    return os.getcwd(), list(sys.path), dict(os.environ)  # noqa: PTH109 - compared, not walked


def _end(process: subprocess.Popen[bytes], connection: Connection) -> None:
    """Kill the process and whatever it started."""
    connection.close()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def serve(number: int, megabytes: int | None = None, idle: float | None = None) -> None:
    """What the child does: audit what the connection with that file descriptor asks for, until nobody asks any more."""
    import resource

    os.set_inheritable(number, False)
    megabytes = megabytes or _most_memory()
    # Address space would be the wrong measure: CUDA and TensorFlow reserve far more of it than they use.
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 2**20, megabytes * 2**20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        # Where memory runs short in spite of the limit, this process is the one to go.
        Path("/proc/self/oom_score_adj").write_text("1000")
    # Model after model in one process is what it warns of.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from mlflow_clfaudit.audit import audit_or_error

    connection = Connection(number)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(EOFError, ConnectionError):
        while connection.poll(None if idle is None else idle + GRACE):
            run_id, options = connection.recv()
            connection.send(audit_or_error(run_id, **options))


def _end_with_parent(parent: int) -> None:
    """An audit that nobody waits for any more is not written."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)
