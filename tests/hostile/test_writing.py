"""Writing a report while things fail: a verdict on a run always has the complete report that it belongs to."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from mlflow_clfaudit import attach, audit_run
from mlflow_clfaudit.attach import DIGEST, NOTE, WRITING
from mlflow_clfaudit.audit import audit
from mlflow_clfaudit.errors import NotWritable
from mlflow_clfaudit.evidence.reader import read_run
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.names import VERDICT
from mlflow_clfaudit.types import Report
from tests.hostile import forks
from tests.test_attach import log_ordered_run

CALLS = ("set_tag", "get_run", "delete_tag", "log_artifacts", "log_batch")
IGNORED = ("tail-split-of-ordered-data", "single-class-validation", "class-shift", "class-missing-from-split")
FILES = ("report.json", "report.md", "report.html")


def reports(run_id: str) -> tuple[Run, Report, Report]:
    """A run and two reports on it that say different things."""
    run = read_run(run_id)
    old = audit(run, tier="static")
    new = audit(run, tier="static", ignore=dict.fromkeys(IGNORED, "known"))
    assert old.verdict != new.verdict
    return run, old, new


def tags_of(run_id: str) -> dict[str, str]:
    return dict(MlflowClient().get_run(run_id).data.tags)


def stored(run: Run, name: str) -> str:
    """The file as it is now: a run that was read keeps what it has fetched."""
    path = f"clfaudit/{name}"
    local = mlflow.artifacts.download_artifacts(run_id=run.run_id, artifact_path=path, tracking_uri=run.tracking_uri)
    return Path(local).read_text(encoding="utf-8")


def is_on(run: Run, report: Report) -> bool:
    """Whether that report is on the run, all of it: every file, the verdict, the digest and the description."""
    tags = tags_of(run.run_id)
    files = attach._rendered(run, report)
    return (
        tags.get(VERDICT) == str(report.verdict)
        and tags.get("clfaudit.root_cause") == (report.root_cause or "none")
        and tags.get(DIGEST) == attach._digest(files["report.json"].encode())
        and (report.root_cause or "") in tags.get(NOTE, "")
        and all(stored(run, name) == files[name] for name in FILES)
    )


def killed(step: int, half: bool) -> Callable[[], None]:
    """Make this process kill itself before its given call of MLflow, or in the middle of it where that writes files."""
    count = 0

    def counting(original: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == step and not (half and name == "log_artifacts"):
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return call

    def torn(self: LocalArtifactRepository, folder: str, path: str | None = None) -> None:
        if count != step:
            whole(self, folder, path)
            return
        source = min(Path(folder).iterdir())
        target = Path(self.artifact_dir, path or "", source.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text()[: source.stat().st_size // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    whole = LocalArtifactRepository.log_artifacts

    def install() -> None:
        for name in CALLS:
            setattr(MlflowClient, name, counting(getattr(MlflowClient, name), name))
        if half:
            LocalArtifactRepository.log_artifacts = torn

    return install


def recorded(function: Callable[[], None]) -> list[str]:
    """The calls of MLflow that the function makes, in order."""
    names: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            original = getattr(MlflowClient, name)

            def call(*args: Any, _name: str = name, _original: Callable[..., Any] = original, **kwargs: Any) -> Any:
                names.append(_name)
                return _original(*args, **kwargs)

            patch.setattr(MlflowClient, name, call)
        function()
    return names


def write_and_die(run: Run, report: Report, step: int, half: bool) -> None:
    killed(step, half)()
    attach.write(run, report)


def write_thrice(run: Run, report: Report) -> None:
    for _ in range(3):
        attach.write(run, report)


def in_children(*calls: tuple[Any, ...]) -> list[int | None]:
    """The exit codes of children that call these functions at once; minus the number of the signal that ended one."""
    context = forks.context()
    children = [context.Process(target=function, args=arguments) for function, *arguments in calls]
    for child in children:
        child.start()
    for child in children:
        child.join(300)
    return [child.exitcode for child in children]


def unread(path: str) -> Path:
    raise AssertionError(f"{path} is not read again to write a report")


def own(run: Run) -> Run:
    """The run as another process can have it."""
    return replace(run, fetch=unread, fetch_model=unread)


@pytest.mark.parametrize("audited_before", [True, False], ids=["audited before", "first audit"])
def test_killed_at_every_step(
    audited_before: bool, tracking_uri: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    run, old, new = reports(log_ordered_run(tmp_path))
    attach.write(run, old)
    names = recorded(lambda: attach.write(run, new))
    deaths = [(step, half) for step, name in enumerate(names, 1) for half in {False, name == "log_artifacts"}]
    withdrawn = 0
    for step, half in deaths:
        if audited_before:
            attach.write(run, old)
        else:
            run, old, new = reports(log_ordered_run(tmp_path))
        (code,) = in_children((write_and_die, own(run), new, step, half))
        assert code == -signal.SIGKILL or (code == 0 and not audited_before)
        if VERDICT in tags_of(run.run_id):
            assert is_on(run, new) or (audited_before and is_on(run, old))
        else:
            withdrawn += 1
            assert tags_of(run.run_id).get(WRITING) or not audited_before
        attach.write(run, new)
        assert is_on(run, new)
        assert WRITING not in tags_of(run.run_id)
    assert withdrawn
    record_property("kills", len(deaths))


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_leaves_the_earlier_report(
    call: str, tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, old, new = reports(log_ordered_run(tmp_path))
    attach.write(run, old)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, call, full)
    with pytest.raises(NotWritable, match="No space left on device"):
        attach.write(run, new)
    monkeypatch.undo()
    if call in ("log_batch", "delete_tag"):  # the report was overwritten already, or the verdict could not be withdrawn
        assert VERDICT not in tags_of(run.run_id) or is_on(run, old)
    else:
        assert is_on(run, old)
    attach.write(run, new)
    assert is_on(run, new)


@pytest.mark.parametrize(
    "problem",
    [PermissionError(13, "Read-only file system", "/mnt/artifacts"), OSError(28, "No space left on device")],
    ids=["read-only", "disk full"],
)
def test_an_artifact_store_that_takes_nothing_leaves_the_earlier_report(
    problem: OSError, tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, old, new = reports(log_ordered_run(tmp_path))
    attach.write(run, old)

    def refused(self: LocalArtifactRepository, *_: object) -> None:
        raise problem

    monkeypatch.setattr(LocalArtifactRepository, "log_artifacts", refused)
    with pytest.raises(NotWritable, match=str(problem.strerror)):
        attach.write(run, new)
    assert is_on(run, old)
    assert WRITING not in tags_of(run.run_id)


def test_a_run_that_is_deleted_meanwhile(tracking_uri: str, tmp_path: Path) -> None:
    run, _, new = reports(log_ordered_run(tmp_path))
    MlflowClient().delete_run(run.run_id)
    with pytest.raises(NotWritable, match="could not be written"):
        attach.write(run, new)
    MlflowClient().restore_run(run.run_id)
    assert not [key for key in tags_of(run.run_id) if key.startswith("clfaudit.")]
    assert MlflowClient().list_artifacts(run.run_id, "clfaudit") == []
    attach.write(run, new)
    assert is_on(run, new)


def test_audits_at_once_leave_one_whole_report(tracking_uri: str, tmp_path: Path) -> None:
    run, old, new = reports(log_ordered_run(tmp_path))
    assert in_children((write_thrice, own(run), old), (write_thrice, own(run), new)) == [0, 0]
    assert is_on(run, old) or is_on(run, new)
    assert WRITING not in tags_of(run.run_id)


def test_another_audit_in_between_is_noticed(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another audit overwrites a file and claims the run after ours has written its files."""
    run, old, new = reports(log_ordered_run(tmp_path))
    upload, disturbed = attach._upload, iter([True, False])

    def interrupted(client: MlflowClient, run_id: str, files: Any) -> None:
        upload(client, run_id, files)
        if next(disturbed):
            client.set_tag(run_id, WRITING, "another")
            client.log_text(run_id, attach._rendered(run, old)["report.html"], "clfaudit/report.html")

    monkeypatch.setattr(attach, "_upload", interrupted)
    attach.write(run, new)
    assert is_on(run, new)


# -- what is written --------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile_run(tracking_uri: str, tmp_path: Path) -> Run:
    name = "\x1b[31m<script>alert(1)</script>\u202e| **x** -->"
    run_id = log_ordered_run(tmp_path, **{"mlflow.runName": name, "clfaudit.ignore.class-shift": "\x07" + "x" * 4_000})
    return read_run(run_id)


def test_what_is_written_of_hostile_text(hostile_run: Run) -> None:
    audit_run(hostile_run.run_id, tier="static")
    tags = {key: value for key, value in tags_of(hostile_run.run_id).items() if key.startswith("clfaudit.")}
    note = tags_of(hostile_run.run_id)[NOTE]
    del tags["clfaudit.ignore.class-shift"]
    for value in (*tags.values(), note):
        assert not set(value) & {"\x1b", "\x07", "\u202e"}
        assert len(value) <= 8_000
    assert "<script" not in note


@pytest.mark.parametrize("length", [100, 7_000, 7_900, 7_999, 8_000])
def test_a_persons_words_are_never_cut(length: int, tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    words = ("words " * 2_000)[:length].strip()
    MlflowClient().set_tag(run_id, NOTE, words)
    audit_run(run_id, tier="static")
    audit_run(run_id, tier="static")
    note = tags_of(run_id)[NOTE]
    assert note.endswith(words)
    assert len(note) <= 8_000
    assert note.count(attach.OPEN) == note.count(attach.CLOSE) == (length < 7_500)


def test_a_failure_is_noted_without_control_characters(tracking_uri: str, tmp_path: Path) -> None:
    run = read_run(log_ordered_run(tmp_path))
    attach.note_failure(run.run_id, run.tracking_uri, "\x1b[2Jfailed at http://me:secret@host/" + "x" * 9_000)
    noted = tags_of(run.run_id)["clfaudit.error"]
    assert "\x1b" not in noted
    assert len(noted) <= attach.MAX_TAG


def test_the_stored_digest_is_of_the_stored_report(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_ordered_run(tmp_path)
    audit_run(run_id, tier="static")
    run = read_run(run_id)
    assert tags_of(run_id)[DIGEST] == attach._digest(stored(run, "report.json").encode())
    assert json.loads(stored(run, "report.json"))["verdict"] == tags_of(run_id)[VERDICT]
