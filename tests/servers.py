"""Real MLflow tracking servers on 127.0.0.1, started and stopped by the test."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mlflow_server(folder: Path, *arguments: str, python: Path | str = sys.executable) -> Iterator[str]:
    """The address of an `mlflow server` with an SQLite store and its artifacts under `folder`."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "files")]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    # A dozen consumers of jobs that no test has.
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, *stores, *arguments],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait(f"{address}/health", process, folder / "server.log")
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 120.0) -> None:
    """Until the process answers at that address."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - ours
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the server did not come up:\n{log.read_text()[-2000:]}")
