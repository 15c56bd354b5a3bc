"""A run as plain data, and the files of the model that it logged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line, redacted
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.names import GOAL, IGNORE

LOG_MODEL = 'mlflow.keras.log_model(model, name="model")'
MAX_MLMODEL_BYTES = 2**20
# What an audit writes itself is no evidence.
WRITTEN = ("clfaudit/report", "clfaudit/confusion", "clfaudit/suspicious")
# Tags by which a person changes what an audit says.
SAID = (IGNORE, GOAL)


@dataclass(frozen=True)
class LoggedModel:
    """A model that the run logged: where it is and whether MLflow has its files; `location` is theirs, where known."""

    uri: str
    name: str
    status: str = "READY"
    model_id: str | None = None
    location: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A dataset input of the run. `rows` is its number of rows, where its profile says so."""

    name: str
    context: str
    digest: str
    source_type: str
    profile: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int | None:
        shapes = self.profile.get("features_shape")
        if isinstance(shapes, dict):
            shapes = next(iter(shapes.values()), None)
        if isinstance(shapes, list) and shapes and isinstance(shapes[0], int):
            return shapes[0]
        rows = self.profile.get("num_rows")
        return rows if isinstance(rows, int) else None


@dataclass(frozen=True)
class Run:
    """A finished MLflow run, read once.

    `metrics` maps a metric's key to its steps (N,) int64 and values (N,) float64 in logged order.
    `fetch(path)` returns a local path of a run artifact; `fetch_model(uri)` of a model's folder.
    """

    run_id: str
    name: str = ""
    experiment_id: str = ""
    status: str = "FINISHED"
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    models: tuple[LoggedModel, ...] = ()
    experiment_tags: Mapping[str, str] = field(default_factory=dict)
    tracking_uri: str = ""
    fetch: Callable[[str], Path] = Path
    fetch_model: Callable[[str], Path] = Path

    @property
    def digest(self) -> str:
        """A digest of what the audit reads of this run: the same evidence gives the same digest."""
        content: dict[str, Any] = {
            "params": dict(self.params),
            "metrics": {key: [len(values), repr(values[-1:])] for key, (_, values) in self.metrics.items()},
            "artifacts": [path for path in self.artifacts if not path.startswith(WRITTEN)],
            "models": [(model.uri, model.status) for model in self.models],
        }
        said = {
            f"{owner} {key}": value
            for owner, tags in (("run", self.tags), ("experiment", self.experiment_tags))
            for key, value in tags.items()
            if key.startswith(SAID)
        }
        if said:
            content["said"] = said
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def model(self) -> LoggedModel | None:
        """The model that is audited: the last one whose files MLflow has."""
        return next((model for model in reversed(self.models) if model.status == "READY"), None)

    @property
    def url(self) -> str | None:
        """The run's page in the MLflow UI, where the store has one."""
        return run_url(self.tracking_uri, self.experiment_id, self.run_id)


def run_url(tracking_uri: str, experiment_id: str, run_id: str) -> str | None:
    """The run's page in the MLflow UI, where the store has one."""
    if not tracking_uri.startswith("http"):
        return None
    return f"{redacted(tracking_uri).rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


@provides()
def model_folder(run: Run) -> Path:
    """The local folder with the logged model's files (MLmodel and what it names)."""
    if run.model is None:
        if run.models:
            lost = run.models[-1]
            raise Missing(
                f"MLflow failed to store the model ({lost.name}: {lost.status})",
                f"mlflow.keras.autolog(log_models=False), then {LOG_MODEL} after fit",
            )
        raise Missing("the run has no logged model", LOG_MODEL)
    try:
        folder = run.fetch_model(run.model.uri)
    except Exception as error:  # noqa: BLE001 - artifact stores differ in what they raise
        raise Missing(f"the model's files could not be read: {first_line(error)}", LOG_MODEL) from None
    if not (folder / "MLmodel").is_file():
        raise Missing("the logged model has no MLmodel file: MLflow lost it or it was deleted", LOG_MODEL)
    return folder


@provides()
def flavors(model_folder: Path) -> Mapping[str, Any]:
    """The flavors of the logged model with their settings, from its MLmodel file."""
    import yaml

    try:
        file = model_folder / "MLmodel"
        if file.stat().st_size > MAX_MLMODEL_BYTES:
            raise ValueError(f"it is larger than {MAX_MLMODEL_BYTES // 2**20} MB")
        # The safe loader, in C where PyYAML was built with it: ten times as fast.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        parsed = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe
        return {str(name): found if isinstance(found, dict) else {} for name, found in parsed["flavors"].items()}
    except Exception as error:  # noqa: BLE001 - yaml's errors and a wrong shape alike
        raise Missing(f"the MLmodel file cannot be read: {first_line(error)}", LOG_MODEL) from None
