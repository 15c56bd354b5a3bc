"""The MLflow writer: a report becomes artifacts, metrics, a description and tags on its run."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_clfaudit import saved_view
from mlflow_clfaudit.errors import NotWritable, first_line, redacted
from mlflow_clfaudit.evidence.audited import AuditedRun, Experiment
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.names import AUDITED_AT, ERROR, ROOT_CAUSE, SEVERITY, SUMMARY, VERDICT
from mlflow_clfaudit.report.plain import clean, cleaned
from mlflow_clfaudit.report.tags import CLOSE, OPEN, merged_note, metrics, tags, with_table
from mlflow_clfaudit.report.words import ROWS_PATH
from mlflow_clfaudit.types import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mlflow import MlflowClient

_logger = logging.getLogger(__name__)

FOLDER = "clfaudit"
NOTE = "mlflow.note.content"
TABLES = "mlflow.loggedArtifacts"
DIGEST = "clfaudit.report"  # of the report.json that the verdict belongs to
WRITING = "clfaudit.writing"  # there while an audit writes, or after one was killed
ATTEMPTS = 5
VERSION_TAGS = (ROOT_CAUSE, SEVERITY, AUDITED_AT, VERDICT)
MAX_TAG = 5_000


def write(run: Run, report: Report) -> None:
    """Attach the report, so that a verdict on the run always means that the report it belongs to is there, complete.

    A run that has a verdict loses it before its report is overwritten and gets the new one after, together with the
    digest of its report.json. Two audits at once notice each other by the tag clfaudit.writing; the later one repeats.

    Raises:
        NotWritable: the store refused. Where nothing had been overwritten yet, the earlier verdict stands again.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunTag

    from mlflow_clfaudit.report.markdown import description

    client = MlflowClient(run.tracking_uri)
    plain = cleaned(report)
    files = _rendered(run, report, plain)
    found = {DIGEST: _digest(files["report.json"].encode()), **tags(report)}
    verdict = {key: clean(value)[:MAX_TAG] for key, value in found.items()}
    before: dict[str, str] = {}
    try:
        for attempt in range(ATTEMPTS):
            token = secrets.token_hex(8)
            _again_if_deleted(client.set_tag, run.run_id, WRITING, token)
            current = client.get_run(run.run_id).data.tags
            if VERDICT in current:
                before = before or current
                _delete_tag(client, run.run_id, VERDICT)
            _upload(client, run.run_id, files)
            current = client.get_run(run.run_id).data.tags
            if current.get(WRITING) == token:
                break
            time.sleep(random.uniform(0.0, 2.0**attempt))  # noqa: S311 - two audits must not keep step
        else:
            raise TimeoutError("other audits of this run are writing too")
        note = merged_note(current.get(NOTE, ""), description(plain))
        # The verdict is last, for the stores that write tags one by one.
        written = [RunTag(NOTE, note), *(RunTag(key, value) for key, value in verdict.items())]
        if Path(ROWS_PATH).name in files:
            written.insert(0, RunTag(TABLES, with_table(current.get(TABLES, ""))))
        now = int(time.time() * 1000)
        measured = [Metric(name, value, now, 0) for name, value in metrics(report).items()]
        _again_if_deleted(client.log_batch, run.run_id, measured, tags=written)
        for key in (WRITING, ERROR):
            if key in current:
                _delete_tag(client, run.run_id, key)
    except Exception as error:  # noqa: BLE001 - stores differ in what they raise
        _stand_again(client, run, before)
        reason = f"the report could not be written to run {run.run_id}: {first_line(error)}; try --dry-run"
        raise NotWritable(reason) from None
    _save_view(client, run)
    tag_versions(run, verdict)


def _rendered(run: Run, report: Report, plain: Report | None = None) -> dict[str, str]:
    """The report's files by name, report.json first. Suspicious rows of an earlier audit are overwritten by none."""
    from mlflow_clfaudit.report.html import confusion_svg, to_html
    from mlflow_clfaudit.report.json import to_json
    from mlflow_clfaudit.report.markdown import to_markdown
    from mlflow_clfaudit.suspicious import to_table

    plain = cleaned(report) if plain is None else plain
    files = {"report.json": to_json(report), "report.md": to_markdown(plain), "report.html": to_html(plain)}
    picture = confusion_svg(plain)
    if picture is not None:
        files["confusion.svg"] = picture
    if report.rows or ROWS_PATH in run.artifacts:
        files[Path(ROWS_PATH).name] = to_table(report.rows)
    return files


def _upload(client: MlflowClient, run_id: str, files: Mapping[str, str]) -> None:
    """Write the files to the run: report.json before the others, so that while it is unchanged they all are."""
    names = list(files)
    for group in (names[:1], names[1:]):
        with tempfile.TemporaryDirectory() as folder:
            for name in group:
                (Path(folder) / name).write_text(files[name], encoding="utf-8")
            client.log_artifacts(run_id, folder, FOLDER)


def _stand_again(client: MlflowClient, run: Run, before: Mapping[str, str]) -> None:
    """After a failure: the earlier verdict again if its report is untouched, and the end of our claim; never raises."""
    from mlflow.artifacts import download_artifacts

    with contextlib.suppress(Exception):
        if VERDICT in before and DIGEST in before:
            with tempfile.TemporaryDirectory() as folder:
                path = download_artifacts(
                    run_id=run.run_id,
                    artifact_path=f"{FOLDER}/report.json",
                    dst_path=folder,
                    tracking_uri=run.tracking_uri,
                )
                if _digest(Path(path).read_bytes()) == before[DIGEST]:
                    client.set_tag(run.run_id, VERDICT, before[VERDICT])
        _delete_tag(client, run.run_id, WRITING)


def _delete_tag(client: MlflowClient, run_id: str, key: str) -> None:
    """Delete a tag; that another audit has deleted it already is no error."""
    from mlflow.exceptions import MlflowException

    try:
        client.delete_tag(run_id, key)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _again_if_deleted(write: Callable[..., object], *given: object, **named: object) -> None:
    """Write tags; once more where another audit deleted one meanwhile, so that SQLAlchemy had no row to update."""
    from mlflow.exceptions import MlflowException

    try:
        write(*given, **named)
    except MlflowException as error:
        if "were matched" not in str(error):
            raise
        write(*given, **named)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def note_failure(run_id: str, tracking_uri: str | None, reason: str) -> None:
    """Say on the run that an audit was tried and why it failed; never raises."""
    from mlflow import MlflowClient

    with contextlib.suppress(Exception):  # the failure itself reaches the caller anyway
        MlflowClient(tracking_uri).set_tag(run_id, ERROR, clean(redacted(reason))[:MAX_TAG])


def write_tags(run: AuditedRun, given: Mapping[str, str], withdrawn: Iterable[str] = ()) -> None:
    """Set tags of a run in one batch, and delete those that are withdrawn, where they are there.

    Raises:
        NotWritable: the store refused.
    """
    from mlflow import MlflowClient
    from mlflow.entities import RunTag

    client = MlflowClient(run.tracking_uri)
    try:
        client.log_batch(run.run_id, tags=[RunTag(key, clean(value)[:MAX_TAG]) for key, value in given.items()])
        for key in withdrawn:
            if key in run.tags:
                client.delete_tag(run.run_id, key)
    except Exception as error:  # noqa: BLE001 - stores differ in what they raise
        raise NotWritable(f"the tags of run {run.run_id} could not be written: {first_line(error)}") from None


def write_summary(experiment: Experiment, files: Mapping[str, str], note: str) -> str:
    """Keep an experiment's summary: files by name and a description on its one run "clfaudit summary"; its id.

    Raises:
        NotWritable: the store refused.
    """
    from mlflow import MlflowClient

    client = MlflowClient(experiment.tracking_uri)
    try:
        found = client.search_runs([experiment.experiment_id], f"tags.`{SUMMARY}` = 'true'", max_results=1)
        made = (
            found[0]
            if found
            else client.create_run(experiment.experiment_id, tags={SUMMARY: "true"}, run_name="clfaudit summary")
        )
        run_id = str(made.info.run_id)
        _upload(client, run_id, files)
        client.set_tag(run_id, NOTE, merged_note(made.data.tags.get(NOTE, ""), f"{OPEN}\n{note}{CLOSE}"))
        # Unlike set_terminated, this does not tell the hook that a training has ended.
        client.update_run(run_id, status="FINISHED")
    except Exception as error:  # noqa: BLE001 - stores differ in what they raise
        reason = f"the summary of {experiment.name!r} could not be written: {first_line(error)}; try --dry-run"
        raise NotWritable(reason) from None
    return run_id


def _save_view(client: MlflowClient, run: Run) -> None:
    """Give the experiment the view "clfaudit" of its runs; never raises."""
    value = saved_view.to_write(run.experiment_tags, int(time.time() * 1000))
    if value is None:
        return
    try:
        client.set_experiment_tag(run.experiment_id, saved_view.TAG, value)
    except Exception as error:  # noqa: BLE001 - a view is a convenience
        _logger.info("the saved view could not be written: %s", first_line(error))


def tag_versions(run: Run, verdict: Mapping[str, str]) -> set[tuple[str, str]]:
    """Put the verdict on the registered versions of the audited model: their names and numbers; never raises."""
    from mlflow import MlflowClient

    client = MlflowClient(run.tracking_uri)
    tagged = set()
    try:
        for name, version in versions_of(run):
            for key in VERSION_TAGS:
                client.set_model_version_tag(name, version, key, verdict.get(key, "none"))
            tagged.add((name, version))
    except Exception as error:  # noqa: BLE001 - not every store has a registry, and not everyone may write to it
        _logger.warning(
            "the verdict could not be put on the registered versions of run %s: %s", run.run_id, first_line(error)
        )
    return tagged


def versions_of(run: Run) -> set[tuple[str, str]]:
    """The registered versions (name, version) of the model that an audit of the run is about."""
    from mlflow import MlflowClient

    model = run.model
    if model is None:
        return set()
    matching = set()
    for found in MlflowClient(run.tracking_uri).search_model_versions(f"run_id = '{run.run_id}'"):
        source = (found.source or "").rstrip("/")
        uris = [source, f"models:/{found.name}/{found.version}"] + [f"models:/{found.name}@{a}" for a in found.aliases]
        # MLflow 2 names the folder among the run's artifacts.
        if model.uri in uris or source.endswith(f"/{model.name}"):
            matching.add((found.name, str(found.version)))
    return matching


def version_of_alias(name: str, alias: str, tracking_uri: str | None) -> str | None:
    """The version that the alias of a registered model is at; None where it is not set."""
    from mlflow import MlflowClient

    aliases = MlflowClient(tracking_uri).get_registered_model(name).aliases
    return str(aliases[alias]) if alias in aliases else None


def set_alias(name: str, alias: str, version: str, tracking_uri: str | None) -> None:
    """Move the alias of a registered model to a version.

    Raises:
        NotWritable: the registry refused.
    """
    from mlflow import MlflowClient

    try:
        MlflowClient(tracking_uri).set_registered_model_alias(name, alias, version)
    except Exception as error:  # noqa: BLE001 - registries differ in what they raise
        raise NotWritable(f"the alias {alias!r} of {name!r} could not be moved: {first_line(error)}") from None
