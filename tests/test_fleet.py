"""Many runs at a time: workers that die, clusters that are started for real, sweeps that are resumed or interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from mlflow_clfaudit import AuditError, Report, __version__, audit_runs
from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.errors import AlreadyAudited, UsageError
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.fleet import Fleet
from mlflow_clfaudit.isolated import Limits
from mlflow_clfaudit.question import Question
from mlflow_clfaudit.types import Tier
from tests.runs import make_run
from tests.test_attach import log_ordered_run

RUNS = [f"run{place}" for place in range(7)]
ROOT = str(Path(__file__).parents[1])


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="mlflow-clfaudit")


@pytest.fixture
def found_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers import the functions of this file by its name."""
    monkeypatch.setenv("PYTHONPATH", ROOT)


# -- what workers do, in place of audits ------------------------------------------------------------------------------


def says_who(run_id: str) -> tuple[str, int]:
    return run_id, os.getpid()


def takes_its_worker_along(run_id: str) -> str:
    if run_id == "run3":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return run_id


def never_works(run_id: str) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return run_id


# -- the map ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("found_by_workers")
@pytest.mark.parametrize("backend", ["loky", pytest.param("dask", marks=pytest.mark.long)])
def test_a_run_that_takes_its_worker_along_is_one_error(backend: str) -> None:
    found = list(Fleet(backend, 2).map(takes_its_worker_along, RUNS))
    assert sorted(item for item in found if isinstance(item, str)) == [name for name in RUNS if name != "run3"]
    (error,) = (item for item in found if not isinstance(item, str))
    assert isinstance(error, AuditError)
    assert str(error).startswith("run run3 could not be audited: its worker was lost: ")


@pytest.mark.slow
@pytest.mark.usefixtures("found_by_workers")
def test_ray_does_the_work_even_with_one_worker() -> None:
    found = dict(Fleet("ray", 1).map(says_who, RUNS))
    assert sorted(found) == RUNS
    assert os.getpid() not in found.values()
    with pytest.raises(UsageError, match="the Ray cluster has 1 CPUs and 0 GPUs: too few"):
        list(Fleet("ray", 1, gpus_per_run=0.5).map(says_who, RUNS))


@pytest.mark.long
@pytest.mark.usefixtures("found_by_workers")
def test_a_run_that_takes_its_ray_actor_along_is_one_error() -> None:
    found = list(Fleet("ray", 2).map(takes_its_worker_along, RUNS))
    assert sorted(item for item in found if isinstance(item, str)) == [name for name in RUNS if name != "run3"]
    (error,) = (item for item in found if isinstance(item, AuditError))
    assert str(error).startswith("run run3 could not be audited: it")


@pytest.mark.usefixtures("found_by_workers")
def test_workers_that_can_do_nothing_end_the_sweep_with_one_line() -> None:
    with pytest.raises(AuditError, match="no worker of loky could audit: ") as raised:
        list(Fleet("loky", 2).map(never_works, RUNS))
    assert "\n" not in str(raised.value)


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    with (
        dask.config.set({"scheduler-address": "tcp://127.0.0.1:9", "distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(AuditError, match=r"the Dask scheduler at tcp://127\.0\.0\.1:9 did not answer: "),
    ):
        list(Fleet("dask").map(says_who, RUNS))


def test_gpus_are_counted_by_ray_alone() -> None:
    with pytest.raises(UsageError, match="goes with --backend ray"):
        list(Fleet("loky", 2, gpus_per_run=1).map(says_who, RUNS))


def test_a_backend_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'mlflow-clfaudit\[dask\]'"):
        list(Fleet("dask").map(says_who, RUNS))


# -- audits by workers ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", ["loky", pytest.param("dask", marks=pytest.mark.long), pytest.param("ray", marks=pytest.mark.long)]
)
def test_a_fleet_audits_as_one_process_does(backend: str, tracking_uri: str, tmp_path: Path) -> None:
    runs = log_copies(log_ordered_run(tmp_path), 3)
    options = {"tracking_uri": tracking_uri, "limits": Limits(), "tier": "static"}
    found = list(audit_runs([*runs, "f" * 32], map=Fleet(backend, 2).map, **options))
    reports = {item.run_id: item for item in found if isinstance(item, Report)}
    assert sorted(reports) == sorted(runs)
    assert {report.root_cause for report in reports.values()} == {"tail-split-of-ordered-data"}
    assert ["no run 'ffff" in str(item) for item in found if isinstance(item, AuditError)] == [True]
    for run_id in runs:
        assert MlflowClient().get_run(run_id).data.tags["clfaudit.verdict"] == "faulty"


@pytest.mark.slow
def test_of_more_than_a_few_runs_the_text_is_a_line_each(tracking_uri: str, tmp_path: Path) -> None:
    runs = log_copies(log_ordered_run(tmp_path), 3)
    result = run(*runs, "f" * 32, "--tier", "static", "--dry-run", "--jobs", "2")
    *lines, last = result.stdout.splitlines()
    assert sorted(line.split()[-1] for line in lines) == sorted(runs)
    assert all(line.split()[0] == "faulty" and "tail-split-of-ordered-data" in line for line in lines)
    assert last == "5 runs: 4 faulty, 1 could not be audited"
    assert result.stderr.count("\n") == 1, "no bar where stderr is no terminal"
    assert result.exit_code == 1
    array = json.loads(run(*runs, "--tier", "static", "--dry-run", "--jobs", "2", "--format", "json").stdout)
    assert [report["run_id"] for report in array] == runs, "in the order asked"


SWEEP = [sys.executable, "-m", "mlflow_clfaudit.cli", "--experiment", "tests", "--tier", "static", "--format", "jsonl"]


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_leaves_finished_runs_whole(tracking_uri: str, tmp_path: Path) -> None:
    runs = log_copies(log_ordered_run(tmp_path), 60)
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri, "PYTHONPATH": ROOT}
    with subprocess.Popen(
        [*SWEEP, "--jobs", "2"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.strip() == "interrupted; runs that were audited keep their reports"
    until = time.monotonic() + 20
    while _audits_at_work(tracking_uri) and time.monotonic() < until:
        time.sleep(0.2)
    assert not _audits_at_work(tracking_uri)
    verdicts = {run_id: MlflowClient().get_run(run_id).data.tags.get("clfaudit.verdict") for run_id in runs}
    assert verdicts[first["run_id"]] == "faulty"
    assert None in verdicts.values()
    for run_id, verdict in verdicts.items():
        if verdict is not None:
            assert MlflowClient().list_artifacts(run_id, "clfaudit"), "its report is there"


def log_copies(run_id: str, count: int) -> list[str]:
    """Runs with the labels and the last metrics of that one, logged in a fraction of its time."""
    client = MlflowClient()
    whole = client.get_run(run_id)
    copies = []
    for _ in range(count):
        copy = client.create_run(whole.info.experiment_id).info
        metrics = [Metric(key, value, 0, 0) for key, value in whole.data.metrics.items()]
        client.log_batch(copy.run_id, metrics, [Param(key, value) for key, value in whole.data.params.items()])
        client.log_artifacts(copy.run_id, f"{whole.info.artifact_uri}/data".removeprefix("file://"), "data")
        client.set_terminated(copy.run_id)
        copies.append(str(copy.run_id))
    return [run_id, *copies]


def _audits_at_work(tracking_uri: str) -> list[int]:
    """Processes of this package that work on the store."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if tracking_uri.encode() in environment and (b"mlflow_clfaudit" in command or b"loky" in command):
                found.append(int(folder.name))
    return found


# -- resuming ---------------------------------------------------------------------------------------------------------


def test_runs_that_were_audited_on_the_same_evidence_are_skipped(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    sweep = ["--experiment", "tests", "--tier", "static", "--format", "jsonl"]
    assert json.loads(run(*sweep).stdout)["run_id"] == run_id
    skipped = run(*sweep)
    assert skipped.stdout == ""
    assert skipped.stderr == (
        "1 run skipped: audited before, by this version and on the same evidence; --again audits all\n"
    )
    assert skipped.exit_code == 1, "what was found then still counts"
    assert run(*sweep, "--fail-on", "never").exit_code == 0
    assert json.loads(run(*sweep, "--again").stdout)["run_id"] == run_id
    assert json.loads(run(*sweep, "--dry-run").stdout)["run_id"] == run_id
    assert json.loads(run(run_id, *sweep[2:]).stdout)["run_id"] == run_id, "who names a run wants it audited"
    MlflowClient().log_param(run_id, "optimizer", "adam")
    assert json.loads(run(*sweep).stdout)["run_id"] == run_id, "there is new evidence"
    assert run(*sweep).stdout == ""


def test_an_interrupted_or_failed_run_is_audited_by_the_next_sweep(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    sweep = ["--experiment", "tests", "--tier", "static", "--format", "jsonl"]
    run(*sweep)
    MlflowClient().delete_tag(run_id, "clfaudit.verdict")
    assert json.loads(run(*sweep).stdout)["run_id"] == run_id


def test_an_experiment_without_runs_is_audited_with_nothing_to_do(tracking_uri: str) -> None:
    result = run("--experiment", "tests", "--format", "jsonl", "--jobs", "2")
    assert (result.stdout, result.exit_code) == ("", 0)


def test_mistakes_of_all_runs_are_said_once(tracking_uri: str, tmp_path: Path) -> None:
    runs = [log_ordered_run(tmp_path) for _ in range(2)]
    result = run(*runs, "--select", "no-such-check", "--jobs", "2")
    assert result.exit_code == 2
    assert result.stderr.count("no check or area is named") == 1


def test_the_error_of_an_audited_run_survives_the_way_from_a_worker() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(AlreadyAudited("r", {"clfaudit.severity": "error"})))
    assert (error.run_id, error.tags) == ("r", {"clfaudit.severity": "error"})


ASKED = Question(Tier.FORWARD, ("overfit",), Overrides(labels={"validation": "labels/y.npy"}), {"dead-units": "known"})


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, checks=("overfit", "dead-units")),
        replace(ASKED, overrides=Overrides()),
        replace(ASKED, ignore={}),
        replace(ASKED, allow_unsafe=True),
        replace(ASKED, redact=True),
    ],
)
def test_another_question_is_not_answered(other: Question) -> None:
    asked = make_run(params={"epochs": "5"})
    tags = {"clfaudit.verdict": "healthy", "clfaudit.version": __version__, "clfaudit.evidence": ASKED.digest(asked)}
    audited = replace(asked, tags=tags)
    assert ASKED.answered(audited)
    assert replace(ASKED, tier=Tier.STATIC).answered(audited), "a dearer tier has said all of it"
    assert not replace(ASKED, tier=Tier.PROBE).answered(audited)
    assert not other.answered(audited)


@pytest.mark.parametrize(
    "changed",
    [
        lambda tags: tags.pop("clfaudit.verdict"),
        lambda tags: tags.update({"clfaudit.version": "0.0.1"}),
        lambda tags: tags.update({"clfaudit.review": "accepted"}),
        lambda tags: tags.update({"clfaudit.ignore.overfit": "known"}),
    ],
    ids=["no verdict", "another version", "a reviewer's word", "a check that no longer counts"],
)
def test_an_answer_that_may_be_another_by_now_is_none(changed: Callable[[dict[str, str]], None]) -> None:
    asked = make_run(params={"epochs": "5"})
    tags = {"clfaudit.verdict": "healthy", "clfaudit.version": __version__, "clfaudit.evidence": asked.digest}
    assert Question().answered(replace(asked, tags=tags))
    changed(tags)
    assert not Question().answered(replace(asked, tags=tags))


def test_a_file_that_was_given_counts_with_its_content(tmp_path: Path) -> None:
    path = tmp_path / "y.csv"
    path.write_text("label\n0\n")
    asked = Question(overrides=Overrides(labels={"validation": str(path)}))
    before = asked.digest(make_run())
    path.write_text("label\n0\n1\n")
    assert asked.digest(make_run()) != before
