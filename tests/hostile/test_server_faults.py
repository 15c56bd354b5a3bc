"""A tracking server that fails, disappears or refuses while a report is written to it, and credentials."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from mlflow_clfaudit import attach
from mlflow_clfaudit.attach import WRITING
from mlflow_clfaudit.errors import AuditError, Missing, NotWritable, redacted
from mlflow_clfaudit.evidence.reader import read_run
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.names import VERDICT
from mlflow_clfaudit.types import Report
from tests.hostile.faults import Faults, proxy
from tests.hostile.test_writing import is_on, reports
from tests.servers import mlflow_server
from tests.test_attach import log_ordered_run

PASSWORD = "s3cret-Pass.word"  # noqa: S105 - of a server that lives for a minute


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def audited(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Run, Report, Report, Faults]]:
    """A run on the server with an old report, a new report, and a proxy to write it through."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    before = mlflow.get_tracking_uri()
    # MLflow remembers where a run's artifacts go, so everything goes through the proxy from the start.
    with proxy(server) as faults:
        mlflow.set_tracking_uri(faults.address)
        mlflow.set_experiment("faults")
        run, old, new = reports(log_ordered_run(tmp_path))
        yield run, old, new, faults
    mlflow.set_tracking_uri(before)


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 0], ids=["500", "disappears"])
def test_a_server_that_fails_from_some_write_on(
    status: int, audited: tuple[Run, Report, Report, Faults], record_property: Callable[[str, object], None]
) -> None:
    run, old, new, faults = audited
    attach.write(run, old)
    faults.writes.clear()
    attach.write(run, new)
    writes = len(faults.writes)
    assert writes >= 7
    for first in range(1, writes + 1):
        attach.write(run, old)
        faults.writes.clear()
        faults.fail_from, faults.status = first, status
        with pytest.raises(NotWritable, match=r"^[^\n]*try --dry-run$"):
            attach.write(run, new)
        faults.fail_from = None
        tags = MlflowClient().get_run(run.run_id).data.tags
        assert VERDICT not in tags or is_on(run, old) or is_on(run, new)
        attach.write(run, new)
        assert is_on(run, new)
        assert WRITING not in MlflowClient().get_run(run.run_id).data.tags
    record_property("faults", writes)


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 429])
def test_a_server_that_stumbles_once_is_asked_again(status: int, audited: tuple[Run, Report, Report, Faults]) -> None:
    run, _, new, faults = audited
    faults.writes.clear()
    faults.fail_from, faults.heal_after, faults.status = 2, 2, status
    attach.write(run, new)
    assert is_on(run, new)


@pytest.mark.slow
def test_a_server_that_does_not_answer_in_time(
    audited: tuple[Run, Report, Report, Faults], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, new, faults = audited
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    faults.writes.clear()
    faults.fail_from, faults.status, faults.delay = 1, 0, 10.0
    started = time.monotonic()
    with pytest.raises(NotWritable, match=r"^[^\n]*try --dry-run$"):
        attach.write(run, new)
    assert time.monotonic() - started < 60
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    faults.fail_from = None
    attach.write(run, new)
    assert is_on(run, new)


def command(run_id: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(
        [sys.executable, "-m", "mlflow_clfaudit.cli", run_id, "--tier", "static", "--fail-on", "never", *options],
        env=os.environ | quick | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_user_who_may_only_read(audited: tuple[Run, Report, Report, Faults]) -> None:
    run, _, _, faults = audited
    faults.writes.clear()
    faults.credentials, faults.fail_from, faults.status = f"reader:{PASSWORD}", 1, 403
    user = {"MLFLOW_TRACKING_USERNAME": "reader", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    done = command(run.run_id, MLFLOW_TRACKING_URI=faults.address, **user)
    assert done.returncode == 3
    assert done.stderr.strip().splitlines()[-1].startswith("error: the report could not be written to run")
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    faults.credentials = None
    assert not [key for key in MlflowClient().get_run(run.run_id).data.tags if key.startswith("clfaudit.")]
    assert MlflowClient().list_artifacts(run.run_id, "clfaudit") == []


@pytest.mark.slow
def test_credentials_in_the_address_are_never_said_nor_written(audited: tuple[Run, Report, Report, Faults]) -> None:
    run, _, _, faults = audited
    faults.credentials = f"me:{PASSWORD}"
    address = faults.address.replace("://", f"://me:{PASSWORD}@")
    done = command(run.run_id, MLFLOW_TRACKING_URI=address)
    assert done.returncode == 0, done.stderr
    faults.credentials = None
    tags = MlflowClient().get_run(run.run_id).data.tags
    assert tags[VERDICT]
    files = [run.fetch(f"clfaudit/{name}").read_text() for name in ("report.json", "report.md", "report.html")]
    for text in (done.stdout, done.stderr, *tags.values(), *files):
        assert PASSWORD not in text
    faults.credentials = "someone:else"
    refused = command(run.run_id, MLFLOW_TRACKING_URI=address)
    assert refused.returncode == 3
    assert "error: " in refused.stderr
    assert PASSWORD not in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    "text",
    [
        f"http://me:{PASSWORD}@host:5000/api did not answer",
        f"postgresql+psycopg2://me:{PASSWORD}@host/db",
        f"two: http://a:{PASSWORD}@b and https://c:{PASSWORD}@d/e",
        f"http://me:p@ss{PASSWORD}@host",
        f"the header was {PASSWORD}",
    ],
)
def test_errors_are_redacted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    for said in (redacted(text), str(AuditError(text)), str(Missing(text)), Missing(text).reason):
        assert PASSWORD not in said


def test_an_address_without_credentials_is_said_as_it_is() -> None:
    text = "http://host:5000/#/experiments/1?mail=a@b.c did not answer; sqlite:///a@b/c.db"
    assert redacted(text) == text


def test_an_unreachable_server_with_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(AuditError) as raised:
        read_run("0" * 32, f"http://me:{PASSWORD}@127.0.0.1:9")
    assert PASSWORD not in str(raised.value)
    assert "127.0.0.1:9" in str(raised.value)
