"""An audit in a child process with limits, and what it needed: how the tests prove bounded time and memory."""

from __future__ import annotations

import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.hostile import forks

MEGABYTE = 2**20


@dataclass(frozen=True)
class Used:
    """What the child's function returned, and the processor seconds and megabytes that it took for that."""

    result: Any
    seconds: float
    megabytes: float


def limited(function: Callable[..., Any], *arguments: Any, seconds: int = 60, megabytes: int = 6_000) -> Used:
    """Call the module's function in a child that is killed beyond the limits; fails the test where it was.

    The limit on memory is of address space on top of what it has at first, so that loaded libraries do not count.
    """
    context = forks.context()
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(function, arguments, send, seconds, megabytes))
    child.start()
    send.close()
    try:
        kind, value, used, grown = receive.recv()
    except EOFError:
        child.join()
        raise AssertionError(f"the audit died with exit code {child.exitcode}") from None
    child.join()
    assert kind == "result", value
    return Used(value, used, grown)


def _run(function: Callable[..., Any], arguments: tuple[Any, ...], send: Any, seconds: int, megabytes: int) -> None:
    pages = int(open("/proc/self/statm").read().split()[0])  # noqa: PTH123, SIM115
    space = pages * resource.getpagesize() + megabytes * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    started = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(started) + seconds, int(started) + seconds))
    before = _resident()
    try:
        result: tuple[str, Any] = ("result", function(*arguments))
    except BaseException:  # noqa: BLE001 - the parent shows it
        result = ("error", traceback.format_exc())
    send.send((*result, time.process_time() - started, _resident() - before))
    send.close()


def _resident() -> float:
    """The peak of resident memory in MB."""
    lines = open("/proc/self/status").read().splitlines()  # noqa: PTH123, SIM115
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024
