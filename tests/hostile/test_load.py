"""A watcher that is given more runs than it can audit: it falls behind, looks stay cheap, and it catches up.

CLFAUDIT_LOAD says how many runs end each second, and for how many seconds: 20x120 in docs/reliability.md.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from mlflow_clfaudit.lease import LEASE
from tests.servers import mlflow_server
from tests.watching import ten_thousand_runs

RATE, SECONDS = (int(number) for number in os.environ.get("CLFAUDIT_LOAD", "20x10").split("x"))
PATIENCE = 5_400.0
AUDITED = "SELECT COUNT(*) FROM tags WHERE key = 'clfaudit.verdict' AND value = 'faulty'"

# The command, with a stopwatch at its looks: seconds of the clock and of the processor, to stderr.
WATCHING = """
import sys, time
from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.finder import Finder
look = Finder.look
def timed(self):
    began, worked = time.monotonic(), time.process_time()
    found = look(self)
    print("look", time.monotonic() - began, time.process_time() - worked, len(found), file=sys.stderr, flush=True)
    return found
Finder.look = timed
cli(["watch", "--tier", "static", "--every", "1"], prog_name="mlflow-clfaudit")
"""


@pytest.mark.long
def test_a_watcher_falls_behind_and_catches_up(
    empty_store: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    store = Path(shutil.copy(empty_store, tmp_path / "server.db"))
    uri = f"sqlite:///{store}"
    MlflowClient(uri).create_experiment("tests", artifact_location="mlflow-artifacts:/tests")
    ten_thousand_runs(uri)
    with mlflow_server(tmp_path) as address, watching(address, tmp_path) as watcher:
        time.sleep(10)  # the watcher has looked at the 10,000
        memory = Memory(watcher.pid)
        began = time.monotonic()
        runs = end_runs(store, tmp_path / "files" / "tests")
        loaded = time.monotonic() - began
        backlog = len(runs) - audited(store)
        while audited(store) < len(runs) and time.monotonic() - began < PATIENCE and watcher.poll() is None:
            time.sleep(1)
        caught_up = time.monotonic() - began - loaded
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(60) == 0
        megabytes = memory.stop()
    said = Counter(line.split()[-1].rpartition("/")[2] for line in (tmp_path / "watcher.out").read_text().splitlines())
    log = (tmp_path / "watcher.err").read_text().splitlines()
    looks = np.array([line.split()[1:] for line in log if line.startswith("look ")], dtype=float)
    told = [line for line in log if not line.startswith("look ")]
    with closing(sqlite3.connect(store)) as read:
        audits = dict(read.execute("SELECT run_uuid, COUNT(*) FROM metrics WHERE key = 'clfaudit/seconds' GROUP BY 1"))
        (leased,) = read.execute("SELECT COUNT(*) FROM tags WHERE key LIKE ?", [f"{LEASE}%"]).fetchone()
    figures = {
        "runs": len(runs),
        "seconds_of_load": round(loaded),
        "backlog": backlog,
        "seconds_to_catch_up": round(caught_up),
        "runs_lost": len(set(runs) - set(audits)),
        "megabytes_after_half": megabytes[len(megabytes) // 2],
        "megabytes_at_most": max(megabytes),
        "looks": len(looks),
        "look_milliseconds_median": round(1000 * float(np.median(looks[:, 0]))),
        "look_milliseconds_at_most": round(1000 * looks[:, 0].max()),
        "look_processor_milliseconds_at_most": round(1000 * looks[:, 1].max()),
        "warnings": len(told),
    }
    for name, value in figures.items():
        record_property(name, value)
    print(figures, *told[:5], sep="\n")
    assert audits == dict.fromkeys(runs, 1)
    assert said == Counter(runs)
    assert leased == 0


@contextmanager
def watching(address: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`mlflow-clfaudit watch` of that server, killed at the end if it still runs."""
    with (folder / "watcher.out").open("w") as out, (folder / "watcher.err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", WATCHING], env=os.environ | {"MLFLOW_TRACKING_URI": address}, stdout=out, stderr=err
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def end_runs(store: Path, files: Path) -> list[str]:
    """End RATE runs a second for SECONDS seconds, a faulty training each; their ids.

    They are written to the store's tables and files: a client's requests would be the server's load, not the watcher's.
    """
    labels = np.r_[np.ones(50, dtype=int), np.zeros(767, dtype=int)]
    runs: list[str] = []
    began = time.monotonic()
    with closing(sqlite3.connect(store, timeout=60)) as connection:
        experiment, location = connection.execute(
            "SELECT experiment_id, artifact_location FROM experiments WHERE name = 'tests'"
        ).fetchone()
        for second in range(SECONDS):
            fresh = [uuid.uuid4().hex for _ in range(RATE)]
            for run_id in fresh:
                data = files / run_id / "artifacts" / "data"
                data.mkdir(parents=True)
                np.save(data / "y_train.npy", labels)
            now = int(time.time() * 1000)
            with connection:
                connection.executemany(
                    "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
                    " start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
                    " VALUES (?, 'training', 'LOCAL', '', '', '', 'FINISHED', ?, ?, '', 'active', ?, ?)",
                    [(run_id, now - 5_000, now, f"{location}/{run_id}/artifacts", experiment) for run_id in fresh],
                )
                connection.executemany(
                    "INSERT INTO params (run_uuid, key, value) VALUES (?, ?, ?)",
                    [(run_id, *item) for run_id in fresh for item in (("epochs", "2"), ("validation_split", "0.2"))],
                )
                curve = [("loss", 0.5, 0), ("loss", 0.4, 1), ("accuracy", 0.9, 0), ("accuracy", 0.9, 1)]
                connection.executemany(
                    "INSERT INTO metrics (run_uuid, timestamp, is_nan, key, value, step) VALUES (?, ?, 0, ?, ?, ?)",
                    [(run_id, now, *point) for run_id in fresh for point in curve],
                )
                connection.executemany(
                    "INSERT INTO latest_metrics (run_uuid, timestamp, is_nan, key, value, step)"
                    " VALUES (?, ?, 0, ?, ?, ?)",
                    [(run_id, now, *point) for run_id in fresh for point in curve if point[2]],
                )
            runs += fresh
            time.sleep(max(0.0, began + second + 1 - time.monotonic()))
    return runs


def audited(store: Path) -> int:
    with closing(sqlite3.connect(store, timeout=60)) as connection:
        (count,) = connection.execute(AUDITED).fetchone()
    return int(count)


class Memory:
    """The memory of a process and its children, in MB, looked at each second by a thread."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.megabytes: list[int] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def stop(self) -> list[int]:
        self.ended.set()
        self.thread.join()
        return self.megabytes

    def _look(self) -> None:
        import psutil

        watcher = psutil.Process(self.process)
        while not self.ended.wait(1):
            try:
                each = [watcher, *watcher.children(recursive=True)]
                self.megabytes.append(round(sum(process.memory_info().rss for process in each) / 2**20))
            except psutil.NoSuchProcess:  # a child was replaced meanwhile
                continue
