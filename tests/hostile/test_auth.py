"""MLflow's own basic-auth app, by password and by token: who may write, who may only read, and who not even that."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from mlflow_clfaudit.names import VERDICT
from tests.hostile.test_server_faults import command
from tests.hostile.tokens import TOKEN
from tests.servers import mlflow_server
from tests.test_attach import log_ordered_run

pytest.importorskip("flask_wtf", reason="MLflow's basic-auth app needs mlflow[auth]")
pytestmark = pytest.mark.slow

ADMIN, READER, PASSWORD = "admin", "reader", "s3cret-Pass.word-42"
WRONG = "wrong-Pass.word-42"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that asks for a password, where everybody may read and the admin may write."""
    folder = tmp_path_factory.mktemp("auth")
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\n"
        f"admin_username = {ADMIN}\nadmin_password = {PASSWORD}\n"
        "authorization_function = tests.hostile.tokens:authenticate\n"
        "auth_cache_ttl_seconds = 600\n"  # a request costs a tenth of a second of hashing without it
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(folder / "auth.ini"))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        patch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "of a server that lives for a minute")
        with mlflow_server(folder, "--app-name", "basic-auth") as address:
            asked = urllib.request.Request(  # noqa: S310 - ours
                f"{address}/api/2.0/mlflow/users/create",
                json.dumps({"username": READER, "password": PASSWORD}).encode(),
                {
                    "Content-Type": "application/json",
                    "Authorization": "Basic " + base64.b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode(),
                },
            )
            with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - ours
                assert answer.status == 200
            yield address


def test_who_may_do_what(guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(guarded)
    mlflow.set_experiment("guarded")
    run_id = log_ordered_run(tmp_path)
    reader = {"MLFLOW_TRACKING_USERNAME": READER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    nobody = {"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""}

    for who, address, said in (
        (reader, guarded, "the report could not be written to run"),
        (nobody, guarded.replace("://", f"://{READER}:{PASSWORD}@"), "the report could not be written to run"),
        (reader | {"MLFLOW_TRACKING_PASSWORD": WRONG}, guarded, "did not answer"),
        (nobody, guarded, "did not answer"),
    ):
        done = command(run_id, MLFLOW_TRACKING_URI=address, **who)
        assert done.returncode == 3, done.stdout
        assert said in done.stderr.strip().splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        assert WRONG not in done.stdout + done.stderr
        assert not [key for key in MlflowClient().get_run(run_id).data.tags if key.startswith("clfaudit.")]
        assert MlflowClient().list_artifacts(run_id, "clfaudit") == []

    done = command(run_id, "--dry-run", MLFLOW_TRACKING_URI=guarded, **reader)
    assert done.returncode == 0, done.stderr
    assert "tail-split-of-ordered-data" in done.stdout
    done = command(run_id, MLFLOW_TRACKING_URI=guarded)
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert MlflowClient().get_run(run_id).data.tags[VERDICT] == "faulty"

    bearer = nobody | {"MLFLOW_TRACKING_TOKEN": TOKEN}
    done = command(run_id, MLFLOW_TRACKING_URI=guarded, **bearer)
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    done = command(run_id, MLFLOW_TRACKING_URI=guarded, **bearer | {"MLFLOW_TRACKING_TOKEN": WRONG})
    assert done.returncode == 3, done.stdout
    assert WRONG not in done.stdout + done.stderr
    mlflow.set_tracking_uri(before)
