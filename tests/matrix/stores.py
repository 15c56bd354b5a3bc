"""The same on stores that are not SQLite, and as the client of a server."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.matrix.steps import audit, audit_json, doctor, train, written
from tests.matrix.trial import Trial, must
from tests.servers import free_port, mlflow_server, wait

# The row whose environment the others of this file share.
NEWEST = "newest"


def end_to_end(trial: Trial) -> None:
    """Train, audit, look."""
    train(trial)
    audit(trial)
    audit_json(trial)
    written(trial)


@contextlib.contextmanager
def started(command: list[str], folder: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is ended with the block."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def postgres(trial: Trial) -> None:
    """A cluster of Debian's PostgreSQL, made and ended here; it refuses to run as root."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    (folder := trial.folder / "postgres").mkdir()
    options: dict[str, object] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        trial.folder.chmod(0o755)
        options = {"user": "postgres", "group": "postgres", "extra_groups": []}
    tools = installed[-1].parent
    command = [tools / "initdb", "--pgdata", folder / "data", "--username", "audits", "--auth", "trust"]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    port = free_port()
    serve = [tools / "postgres", "-D", folder / "data", "-p", port, "-k", folder, "-h", "127.0.0.1"]
    with started([str(word) for word in serve], folder, **options):
        deadline = time.monotonic() + 60
        ready = [str(tools / "pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", str(port)]
        while subprocess.run(ready, check=False).returncode != 0:
            must((folder / "log").read_text(), time.monotonic() < deadline)
            time.sleep(0.2)
        trial.environment["MLFLOW_TRACKING_URI"] = f"postgresql+psycopg2://audits@127.0.0.1:{port}/postgres"
        end_to_end(trial)
        doctor(trial)


def s3(trial: Trial) -> None:
    """Artifacts in a bucket of moto's server, which speaks S3's protocol."""
    (folder := trial.folder / "s3").mkdir()
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(trial.place / "bin" / "moto_server"), "--host", "127.0.0.1", "--port", str(port)]
    with started(command, folder) as process:
        wait(address, process, folder / "log")
        request = urllib.request.Request(f"{address}/audits", method="PUT")  # noqa: S310 - ours
        urllib.request.urlopen(request).close()  # noqa: S310 - ours
        trial.environment |= {
            "MLFLOW_S3_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "audits",
            "AWS_SECRET_ACCESS_KEY": "audits",
            "AWS_DEFAULT_REGION": "us-east-1",
            "MLFLOW_EXPERIMENT_NAME": "s3",
        }
        trial.call("mlflow", "experiments", "create", "-n", "s3", "-l", "s3://audits/runs")
        end_to_end(trial)


def skinny(trial: Trial) -> None:
    """A run that others trained, on their server, audited by a client without TensorFlow and without full MLflow."""
    (folder := trial.folder / "server").mkdir()
    trainer = Trial("trainer", (), {}, trial.folder, shared=NEWEST)
    with mlflow_server(folder, python=trainer.python) as address:
        trainer.environment["MLFLOW_TRACKING_URI"] = trial.environment["MLFLOW_TRACKING_URI"] = address
        train(trainer)
        trial.runs = trainer.runs
        audit(trial)
        told = trial.call("mlflow-clfaudit", trial.runs["healthy"])
        must(told, "no Keras backend is installed here" in told)
        seen = trial.look(trial.runs["faulty"])
        must(seen, seen["tags"].get("clfaudit.root_cause") == "softmax-on-one-unit")
        must(seen, "clfaudit/report.html" in seen["paths"])
        doctor(trial)
