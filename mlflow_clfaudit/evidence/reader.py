"""The MLflow reader: runs, and what leads to them, as plain data. No other module of the audit reads MLflow."""

from __future__ import annotations

import contextlib
import inspect
import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_clfaudit.errors import AuditError, RunNotFinished, RunNotFound, TrackingUnreachable, first_line
from mlflow_clfaudit.evidence.run import Dataset, LoggedModel, Run
from mlflow_clfaudit.names import KEPT_MODEL, SUMMARY

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment as MlflowExperiment
    from mlflow.entities import Run as MlflowRun
    from mlflow.entities import RunInfo
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

MAX_ARTIFACTS = 2000
MAX_REPOSITORIES = 1000
SKIPPED_FOLDERS = ("tensorboard_logs", "checkpoints", "clfaudit/report")


def read_run(
    run_id: str, tracking_uri: str | None = None, model_uri: str | None = None, *, running: bool = False
) -> Run:
    """Read a run from MLflow.

    Raises:
        RunNotFound: no such run, or it was deleted.
        RunNotFinished: it is still running, and `running` does not allow that.
        TrackingUnreachable: the tracking store did not answer.
    """
    import mlflow
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = tracking_uri or mlflow.get_tracking_uri()
    client = MlflowClient(uri)
    found = find_run(client, run_id, uri)
    info = found.info
    if info.status in ("RUNNING", "SCHEDULED") and not running:
        raise RunNotFinished(f"run {run_id} is still {info.status}; audit it when it has finished")
    try:
        files = _Files(info, uri)
        artifacts = tuple(sorted(files.walk()))
        models = tuple(_models(client, found, model_uri, artifacts))
        locations = {model.uri: model.location for model in models if model.location}
        return Run(
            run_id=info.run_id,
            name=info.run_name or info.run_id[:8],
            experiment_id=info.experiment_id,
            status=info.status,
            params=dict(found.data.params),
            tags=dict(found.data.tags),
            metrics={key: _curve(client, run_id, key) for key in sorted(found.data.metrics) if _is_curve(key)},
            artifacts=artifacts,
            datasets=tuple(_datasets(found)),
            models=models,
            experiment_tags=dict(client.get_experiment(info.experiment_id).tags),
            tracking_uri=uri,
            fetch=files.fetch,
            fetch_model=lambda source: Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=locations.get(source) or _location(client, source), tracking_uri=uri
                )
            ),
        )
    except MlflowException as error:
        raise AuditError(f"run {run_id} could not be read: {first_line(error)}") from None


def find_run(client: MlflowClient, run_id: str, uri: str) -> MlflowRun:
    """The run in the store at `uri`.

    Raises:
        RunNotFound: no such run, or it was deleted.
        TrackingUnreachable: the tracking store did not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise RunNotFound(
                f"no run {run_id!r} in {uri}; check the id, or set MLFLOW_TRACKING_URI to the store that has it"
            ) from None
        raise TrackingUnreachable(f"{uri} did not answer: {first_line(error)}; is the server up?") from None
    except Exception as error:  # noqa: BLE001 - requests' and SQLAlchemy's errors differ
        raise TrackingUnreachable(f"{uri} did not answer: {first_line(error)}; is the server up?") from None
    if found.info.lifecycle_stage == "deleted":
        raise RunNotFound(f"run {run_id} is deleted; `mlflow runs restore --run-id {run_id}` brings it back")
    return found


def find_experiment(client: MlflowClient, experiment: str) -> MlflowExperiment:
    """The experiment of that name or id.

    Raises:
        AuditError: there is none.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None and experiment.isdigit():
        found = client.get_experiment(experiment)
    if found is None:
        raise AuditError(f"no experiment is named {experiment!r}; `mlflow experiments search` lists them")
    return found


def current_tracking_uri() -> str:
    """The store that MLflow uses where none is named."""
    import mlflow

    return str(mlflow.get_tracking_uri())


def run_of_model(model_uri: str, tracking_uri: str | None = None) -> str:
    """The id of the run that a registered model version (models:/name/version) came from."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        info = mlflow.MlflowClient(tracking_uri)
        name_and_version = model_uri.removeprefix("models:/").split("/")
        if len(name_and_version) == 2:
            version = info.get_model_version(*name_and_version)
        elif "@" in name_and_version[0]:
            version = info.get_model_version_by_alias(*name_and_version[0].split("@", 1))
        else:
            source = info.get_logged_model(name_and_version[0]).source_run_id
            if source:
                return str(source)
            raise AuditError(f"{model_uri} was not logged by a run; give the RUN_ID it belongs to")
        if not version.run_id:
            raise AuditError(f"{model_uri} names no run; register the model from a run")
        return str(version.run_id)
    except MlflowException as error:
        raise RunNotFound(f"no model {model_uri!r}: {first_line(error)}") from None


def search_runs(experiment: str, filter_string: str = "", tracking_uri: str | None = None) -> Iterator[str]:
    """The ids of an experiment's runs, newest first, page by page; our own summaries are left out."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    found = find_experiment(client, experiment)
    token = None
    while True:
        page = client.search_runs([found.experiment_id], filter_string, max_results=500, page_token=token)
        yield from (item.info.run_id for item in page if SUMMARY not in item.data.tags)
        token = page.token
        if not token:
            return


@contextlib.contextmanager
def without_autologging() -> Iterator[None]:
    """Nothing that an audit fits or predicts is logged as a run of the user's, where autologging is on."""
    from mlflow.utils import autologging_utils

    if autologging_utils._AUTOLOGGING_GLOBALLY_DISABLED:
        yield
        return
    with autologging_utils.disable_autologging():
        yield


def _is_curve(key: str) -> bool:
    return not key.startswith(("system/", "clfaudit/"))


def _curve(client: MlflowClient, run_id: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    points = client.get_metric_history(run_id, key)
    steps = np.array([point.step for point in points], dtype=np.int64)
    values = np.array([point.value for point in points], dtype=np.float64)
    # MLflow's SQL store keeps ±inf as ±1.797e308.
    values = np.where(np.abs(values) > 1.79e308, np.copysign(np.inf, values), values)
    # Steps that start anew, as those of a second fit() do, are told apart by their time alone.
    times = np.array([point.timestamp for point in points] if len(np.unique(steps)) < len(steps) else steps)
    order = np.lexsort((steps, times))
    return steps[order], values[order]


def _datasets(found: Any) -> Iterator[Dataset]:
    for item in found.inputs.dataset_inputs if found.inputs else ():
        context = next((tag.value for tag in item.tags if tag.key == "mlflow.data.context"), "")
        try:
            profile = json.loads(item.dataset.profile or "{}")
        except json.JSONDecodeError:
            profile = {}
        yield Dataset(
            name=item.dataset.name,
            context=context,
            digest=item.dataset.digest,
            source_type=item.dataset.source_type,
            profile=profile if isinstance(profile, dict) else {},
        )


def _location(client: MlflowClient, source: str) -> str:
    """Where a logged model's files are: MLflow looks models:/m-… up in its own setting, whatever the client's store."""
    if source.startswith("models:/m-"):
        return str(client.get_logged_model(source.removeprefix("models:/")).artifact_location)
    return source


def _models(client: MlflowClient, found: Any, model_uri: str | None, artifacts: Sequence[str]) -> Iterator[LoggedModel]:
    if model_uri:
        yield LoggedModel(uri=model_uri, name=model_uri)
        return
    if f"{KEPT_MODEL}/MLmodel" in artifacts:
        yield LoggedModel(uri=f"runs:/{found.info.run_id}/{KEPT_MODEL}", name="kept by the hook")
    outputs = getattr(found, "outputs", None)
    logged = [client.get_logged_model(output.model_id) for output in (outputs.model_outputs if outputs else ())]
    # The stores list them in no order.
    for model in sorted(logged, key=lambda model: int(model.creation_timestamp)):
        yield LoggedModel(
            uri=f"models:/{model.model_id}",
            name=model.name,
            status=str(model.status),
            model_id=model.model_id,
            location=str(model.artifact_location),
        )
    # MLflow 2 keeps models among the run's artifacts; its history tag names them.
    for entry in json.loads(found.data.tags.get("mlflow.log-model.history", "[]")):
        yield LoggedModel(uri=f"runs:/{found.info.run_id}/{entry['artifact_path']}", name=entry["artifact_path"])


class _Files:
    """The artifacts of a run, straight from their store.

    MLflow's own functions read the run anew for each folder and file, look through the experiment for models that have
    the folder's name, and copy local files.
    """

    def __init__(self, info: RunInfo, tracking_uri: str) -> None:
        from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

        self.repository = _repository(info, tracking_uri)
        self.local = isinstance(self.repository, LocalArtifactRepository)
        self.fetched: dict[str, Path] = {}
        self.folder: str | None = None

    def walk(self, path: str = "", depth: int = 0) -> list[str]:
        """The paths of all files that may be evidence."""
        found: list[str] = []
        for item in self.repository.list_artifacts(path or None):
            if item.path.startswith(SKIPPED_FOLDERS):
                continue
            if not item.is_dir:
                found.append(item.path)
            elif depth < 4 and len(found) < MAX_ARTIFACTS:
                found += self.walk(item.path, depth + 1)
        return found[:MAX_ARTIFACTS]

    def fetch(self, path: str) -> Path:
        """A local path of the file: its own, or that of a copy which is there for as long as this object."""
        if path not in self.fetched:
            local = self.repository.download_artifacts(path, None if self.local else self._folder())  # type: ignore[no-untyped-call]
            self.fetched[path] = Path(local)
        return self.fetched[path]

    def _folder(self) -> str:
        if self.folder is None:
            self.folder = tempfile.mkdtemp()
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        return self.folder


def _repository(info: RunInfo, tracking_uri: str) -> ArtifactRepository:
    """The store of a run's artifacts, from the run at hand."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.tracking._tracking_service import utils
    from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri

    location = add_databricks_profile_info_to_artifact_uri(info.artifact_uri, tracking_uri)  # type: ignore[no-untyped-call]
    if "tracking_uri" not in inspect.signature(get_artifact_repository).parameters:
        return get_artifact_repository(location)
    repository = get_artifact_repository(location, tracking_uri=tracking_uri)
    # Where MLflow looks before it reads the run once more, for the report to be written.
    known: Any = getattr(utils, "_artifact_repos_cache", {})
    while len(known) >= MAX_REPOSITORIES:
        known.popitem(last=False)
    known[info.run_id] = repository
    return repository
