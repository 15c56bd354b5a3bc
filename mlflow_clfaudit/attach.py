"""The MLflow writer: a report becomes artifacts, metrics, a description and tags on its run."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_clfaudit import __version__, saved_view
from mlflow_clfaudit.errors import NotWritable
from mlflow_clfaudit.evidence.audited import SUMMARY_TAG, AuditedRun, Experiment
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.types import AREAS, Report, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Metric

_logger = logging.getLogger(__name__)

FOLDER = "clfaudit"
NOTE = "mlflow.note.content"
OPEN, CLOSE = "<!-- clfaudit -->", "<!-- /clfaudit -->"
VERSION_TAGS = ("clfaudit.root_cause", "clfaudit.severity", "clfaudit.audited_at", "clfaudit.verdict")
MAX_TAG = 5_000
MAX_NOTE = 8_000


def write(run: Run, report: Report) -> None:
    """Attach the report: artifacts first, then all the rest in one batch, so that a verdict means a report.

    Raises:
        NotWritable: the store refused; nothing says that the run was audited.
    """
    from mlflow import MlflowClient
    from mlflow.entities import RunTag

    from mlflow_clfaudit.report.html import confusion_svg, to_html
    from mlflow_clfaudit.report.json import to_json
    from mlflow_clfaudit.report.markdown import description, to_markdown

    client = MlflowClient(run.tracking_uri)
    try:
        with tempfile.TemporaryDirectory() as folder:
            files = {
                "report.json": to_json(report),
                "report.md": to_markdown(report),
                "report.html": to_html(report),
            }
            picture = confusion_svg(report)
            if picture is not None:
                files["confusion.svg"] = picture
            for name, text in files.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
            client.log_artifacts(run.run_id, folder, FOLDER)
        note = merged_note(client.get_run(run.run_id).data.tags.get(NOTE, ""), description(report))
        verdict = {key: value[:MAX_TAG] for key, value in tags(report).items()}
        written = [RunTag(key, value) for key, value in verdict.items()] + [RunTag(NOTE, note)]
        client.log_batch(run.run_id, metrics=metrics(report), tags=written)
        if "clfaudit.error" in run.tags:
            client.delete_tag(run.run_id, "clfaudit.error")
    except Exception as error:  # noqa: BLE001 - stores differ in what they raise
        reason = f"the report could not be written to run {run.run_id}: {_first_line(error)}; try --dry-run"
        raise NotWritable(reason) from None
    _save_view(client, run)
    _tag_versions(client, run, {key: verdict[key] for key in VERSION_TAGS})


def note_failure(run: Run, reason: str) -> None:
    """Say on the run that an audit was tried and why it failed; never raises."""
    from mlflow import MlflowClient

    with contextlib.suppress(Exception):  # the failure itself reaches the caller anyway
        MlflowClient(run.tracking_uri).set_tag(run.run_id, "clfaudit.error", reason[:MAX_TAG])


def write_tags(run: AuditedRun, given: Mapping[str, str], withdrawn: Iterable[str] = ()) -> None:
    """Set tags of a run in one batch, and delete those that are withdrawn, where they are there.

    Raises:
        NotWritable: the store refused.
    """
    from mlflow import MlflowClient
    from mlflow.entities import RunTag

    client = MlflowClient(run.tracking_uri)
    try:
        client.log_batch(run.run_id, tags=[RunTag(key, value[:MAX_TAG]) for key, value in given.items()])
        for key in withdrawn:
            if key in run.tags:
                client.delete_tag(run.run_id, key)
    except Exception as error:  # noqa: BLE001 - stores differ in what they raise
        raise NotWritable(f"the tags of run {run.run_id} could not be written: {_first_line(error)}") from None


def write_summary(experiment: Experiment, files: Mapping[str, str], note: str) -> str:
    """Keep an experiment's summary: files by name and a description on its one run "clfaudit summary"; its id.

    Raises:
        NotWritable: the store refused.
    """
    from mlflow import MlflowClient

    client = MlflowClient(experiment.tracking_uri)
    try:
        found = client.search_runs([experiment.experiment_id], f"tags.`{SUMMARY_TAG}` = 'true'", max_results=1)
        made = (
            found[0]
            if found
            else client.create_run(experiment.experiment_id, tags={SUMMARY_TAG: "true"}, run_name="clfaudit summary")
        )
        run_id = str(made.info.run_id)
        for name, text in files.items():
            client.log_text(run_id, text, f"{FOLDER}/{name}")
        client.set_tag(run_id, NOTE, merged_note(made.data.tags.get(NOTE, ""), f"{OPEN}\n{note}{CLOSE}"))
        # Unlike set_terminated, this does not tell the hook that a training has ended.
        client.update_run(run_id, status="FINISHED")
    except Exception as error:  # noqa: BLE001 - stores differ in what they raise
        reason = f"the summary of {experiment.name!r} could not be written: {_first_line(error)}; try --dry-run"
        raise NotWritable(reason) from None
    return run_id


def tags(report: Report) -> dict[str, str]:
    """Every tag of the interface, always all of them, so that a re-audit leaves nothing stale; the verdict last."""
    found = {
        "clfaudit.root_cause": report.root_cause or "none",
        "clfaudit.severity": str(report.severity or "none"),
        **{f"clfaudit.{area}": area_state(report, area) for area in AREAS},
        "clfaudit.version": __version__,
        "clfaudit.audited_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "clfaudit.evidence": report.digest or "none",
    }
    return {**found, "clfaudit.verdict": str(report.verdict)}


def _save_view(client: MlflowClient, run: Run) -> None:
    """Give the experiment the view "clfaudit" of its runs; never raises."""
    value = saved_view.to_write(run.experiment_tags, int(time.time() * 1000))
    if value is None:
        return
    try:
        client.set_experiment_tag(run.experiment_id, saved_view.TAG, value)
    except Exception as error:  # noqa: BLE001 - a view is a convenience
        _logger.info("the saved view could not be written: %s", error)


def _tag_versions(client: MlflowClient, run: Run, verdict: Mapping[str, str]) -> None:
    """Put the verdict on the registered versions of the audited model; never raises."""
    try:
        for name, version in _versions(client, run):
            for key, value in verdict.items():
                client.set_model_version_tag(name, version, key, value)
    except Exception as error:  # noqa: BLE001 - not every store has a registry, and not everyone may write to it
        _logger.warning("the verdict could not be put on the registered versions of run %s: %s", run.run_id, error)


def _versions(client: MlflowClient, run: Run) -> Iterator[tuple[str, str]]:
    """The registered versions (name, version) of the model that was audited."""
    model = run.model
    if model is None:
        return
    for found in client.search_model_versions(f"run_id = '{run.run_id}'"):
        source = (found.source or "").rstrip("/")
        uris = [source, f"models:/{found.name}/{found.version}"] + [f"models:/{found.name}@{a}" for a in found.aliases]
        # MLflow 2 names the folder among the run's artifacts.
        if model.uri in uris or source.endswith(f"/{model.name}"):
            yield found.name, str(found.version)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def area_state(report: Report, area: str) -> str:
    """pass, skipped, or the worst severity found in the area."""
    levels = [item.level for item in report.findings if item.area == area and item.counts]
    if levels:
        return str(max(levels, key=lambda level: level.weight))
    outcomes = [outcome for outcome in report.outcomes if outcome.area == area]
    ran = any(outcome.status in (Status.PASSED, Status.FIRED) for outcome in outcomes)
    return "pass" if ran else "skipped"


def metrics(report: Report) -> list[Metric]:
    """What a person would plot over runs."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    quality = report.figures.get("quality", {})
    values = {
        "clfaudit/faults": sum(f.counts and f.level.weight >= 3 for f in report.findings),
        "clfaudit/warnings": sum(f.counts and f.level.weight == 2 for f in report.findings),
        "clfaudit/severity": report.severity.weight if report.severity else 0,
        "clfaudit/seconds": sum(report.seconds.get(stage, 0.0) for stage in ("read", "examine")),
        **{f"clfaudit/{name}": quality[name] for name in ("balanced_accuracy", "information") if quality.get(name)},
    }
    return [Metric(key, float(value), now, 0) for key, value in values.items()]


def merged_note(existing: str, block: str) -> str:
    """The description with our block at the top and everything that a person wrote kept."""
    pattern = re.compile(re.escape(OPEN) + ".*?" + re.escape(CLOSE) + r"\s*", re.DOTALL)
    own_words = pattern.sub("", existing).strip()
    return f"{block.strip()}\n\n{own_words}".strip()[: max(MAX_NOTE, len(own_words))]
