"""Audits in a child process: a crash, an endless loop or too little memory is the error of one run."""

import ctypes
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from mlflow_clfaudit import AuditError, Report, audit_runs
from mlflow_clfaudit.errors import LeftAlone, OutOfMemory, UsageError
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.hook import audits
from mlflow_clfaudit.isolated import Limits, audit_isolated
from mlflow_clfaudit.names import VERDICT
from tests.test_attach import log_ordered_run

pytestmark = pytest.mark.slow

LIMITS = Limits(seconds=300, megabytes=4_000)


def error_of(run_id: str) -> str | None:
    return dict(MlflowClient().get_run(run_id).data.tags).get("clfaudit.error")


# -- what happens within the child, in place of a model: `unless` is called there with the run -------------------------


def crashes(_: Run) -> None:
    ctypes.string_at(0)


def leaves(_: Run) -> None:
    sys.exit(0)


def takes_memory(_: Run) -> None:
    bytearray(5_000 * 2**20)


def never_ends(_: Run) -> None:
    started = subprocess.Popen(["sleep", "1000"])
    Path("started").write_text(f"{os.getpid()} {started.pid}")
    while True:
        pass


def says_who(_: Run) -> str:
    return f"process {os.getpid()}, hook {os.environ.get('MLFLOW_CLFAUDIT_AUTO')}"


def gone(process: int) -> bool:
    """Whether the process ends within half a minute."""
    for _ in range(300):
        status = Path(f"/proc/{process}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def who(run_id: str, limits: Limits = LIMITS) -> str:
    with pytest.raises(LeftAlone) as raised:
        audit_isolated(run_id, limits=limits, tier="static", unless=says_who)
    return str(raised.value)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (crashes, "its process was ended by SIGSEGV; try --tier static"),
        (leaves, "its process ended with exit code 0"),
        (takes_memory, "the memory does not suffice to audit it"),
    ],
)
def test_what_ends_an_audit_is_the_error_of_one_run(
    act: Callable[[Run], None], said: str, tracking_uri: str, tmp_path: Path
) -> None:
    run_id = log_ordered_run(tmp_path)
    (error,) = audit_runs([run_id], limits=LIMITS, unless=act)
    assert isinstance(error, AuditError)
    assert said in str(error)
    assert "\n" not in str(error)
    if act is not takes_memory:
        assert said in str(error_of(run_id))
    (report,) = audit_runs([run_id], limits=LIMITS, tier="static")
    assert isinstance(report, Report)
    assert report.root_cause == "tail-split-of-ordered-data"
    assert error_of(run_id) is None


def test_an_endless_loop_is_ended_with_all_that_it_started(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    who(run_id)
    limits = replace(LIMITS, seconds=30)
    before = time.monotonic()
    with pytest.raises(AuditError, match="it took longer than 30 s and was ended"):
        audit_isolated(run_id, limits=limits, dry_run=True, unless=never_ends)
    assert time.monotonic() - before < 60
    assert all(gone(int(process)) for process in Path("started").read_text().split())
    assert error_of(run_id) is None, "a dry run writes nothing"


def test_the_child_ends_with_its_parent(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    code = (
        "import sys; from mlflow_clfaudit.isolated import audit_isolated; from tests.hostile import test_isolated; "
        f"audit_isolated({run_id!r}, unless=test_isolated.never_ends)"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as parent:
        while not Path("started").exists():
            assert parent.poll() is None
            time.sleep(0.1)
        parent.kill()
    assert all(gone(int(process)) for process in Path("started").read_text().split())


def test_one_child_serves_run_after_run_until_it_is_used_up(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_CLFAUDIT_AUTO", "1")
    run_id = log_ordered_run(tmp_path)
    limits = replace(LIMITS, runs=2)
    first, second, third = (who(run_id, limits) for _ in range(3))
    assert first == second != third
    assert "hook None" in first
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    assert who(run_id, limits) != third, "another environment is another child"


def test_each_thread_has_its_own_child(tracking_uri: str, tmp_path: Path) -> None:
    runs = [log_ordered_run(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(2) as pool:
        found = list(audit_runs(runs, map=pool.map, limits=LIMITS, tier="static"))
    assert [report.run_id for report in found if isinstance(report, Report)] == runs


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"labels": {"validation": "absent.npy"}}, UsageError), ({"run_id": "f" * 32}, AuditError)],
    ids=["usage", "no such run"],
)
def test_errors_are_those_of_an_audit_in_this_process(
    options: dict[str, Any], kind: type[AuditError], tracking_uri: str, tmp_path: Path
) -> None:
    options = {"run_id": log_ordered_run(tmp_path), **options}
    with pytest.raises(kind) as raised:
        audit_isolated(**options, limits=LIMITS, tier="static")
    assert "fault of mlflow-clfaudit" not in str(raised.value)


def test_the_detached_hook_audits_in_a_child(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = log_ordered_run(tmp_path)
    monkeypatch.setattr(audits, "_need_not", says_who)
    audits.audit_ended(run_id, tracking_uri, "static")
    assert VERDICT not in MlflowClient().get_run(run_id).data.tags, "it was left alone"
    monkeypatch.setattr(audits, "_need_not", crashes)
    audits.audit_ended(run_id, tracking_uri, "static")
    assert "SIGSEGV" in str(error_of(run_id))
    audits.audit_ended(run_id, tracking_uri, "static", "1")
    assert MlflowClient().get_run(run_id).data.tags[VERDICT] == "faulty"


# -- models -----------------------------------------------------------------------------------------------------------

# What they do once the file "armed" is there.
ACTS = (
    "__import__('ctypes').string_at(0)",
    "__import__('tensorflow').reduce_sum(__import__('tensorflow').random.uniform((10**5, 10**5)))",
    "0",
)
SCRIPT = """
import keras, mlflow, numpy as np, sys
random = np.random.default_rng(0)
X = random.normal(size=(200, 4)).astype("float32")
np.save("X_val.npy", X); np.save("y_val.npy", (X[:, 0] > 0).astype("int64"))
for act in sys.argv[1:]:
    hidden = keras.layers.Lambda(eval(f"lambda x: x * (1.0 + ({act} if __import__('os').path.exists('armed') else 0))"))
    model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(1, activation="softmax")])
    model.compile("adam", "binary_crossentropy")
    with mlflow.start_run() as run:
        mlflow.keras.log_model(model, name="model")
        mlflow.log_artifact("X_val.npy", "data"); mlflow.log_artifact("y_val.npy", "data")
    print("RUN", run.info.run_id)
"""


def test_models_that_crash_or_fill_the_memory(tracking_uri: str, tmp_path: Path) -> None:
    logged = subprocess.run(
        [sys.executable, "-c", SCRIPT, *ACTS],
        env=os.environ | {"MLFLOW_TRACKING_URI": tracking_uri},
        capture_output=True,
        text=True,
        check=False,
    )
    runs = re.findall(r"RUN (\w+)", logged.stdout)
    assert len(runs) == len(ACTS), logged.stderr
    (tmp_path / "armed").touch()
    crashed, full, harmless = audit_runs(runs, limits=LIMITS, tier="forward", allow_unsafe=True)
    assert isinstance(crashed, AuditError)
    assert "was ended by SIGSEGV" in str(crashed)
    assert isinstance(full, OutOfMemory), full
    assert isinstance(harmless, Report)
    assert harmless.root_cause == "softmax-on-one-unit"
    assert [bool(error_of(run)) for run in runs] == [True, True, False]
