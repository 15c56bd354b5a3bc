"""Keeps with a run what its fit() was given, and the model where MLflow lost it."""

from __future__ import annotations

import sys
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_clfaudit.hook import failures, state
from mlflow_clfaudit.hook.state import Fit, Known
from mlflow_clfaudit.names import EVIDENCE_FOLDER, KEPT_MODEL

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from mlflow_clfaudit.capture import Capture


def fitted(fit: Fit, succeeded: bool) -> None:
    """Capture what the fit() was given and keep it with the run that is active; else until its model is logged."""
    from mlflow import MlflowClient, active_run

    from mlflow_clfaudit.capture import capture
    from mlflow_clfaudit.sampling import Limits

    settings = state.process.settings
    if settings is None:
        return
    limits = Limits(settings.inputs, int(settings.max_input_mb * 2**20))
    captured = capture(fit.model, fit.arguments, limits, learning_rate=fit.learning_rate)
    run = active_run()
    if run is not None:
        with failures.contained(MlflowClient(), run.info.run_id):
            _keep(run.info.run_id, fit.model, captured, succeeded=succeeded)
    elif captured is not None:
        state.process.homeless = (weakref.ref(fit.model, _forget), captured)


def _forget(model: weakref.ref[Any]) -> None:
    if state.process.homeless is not None and state.process.homeless[0] is model:
        state.process.homeless = None


def _keep(run_id: str, model: Any, captured: Capture | None, *, succeeded: bool = True) -> None:
    """Store the first fit() of a run at once, and the last when the run ends: a loop of fits is not slowed by each."""
    from mlflow import MlflowClient

    from mlflow_clfaudit.capture import again

    known = state.process.runs.setdefault(run_id, Known())
    if captured is None:
        known.other_fits += 1
        return
    known.classifies = True
    known.fitted = succeeded
    known.model = weakref.ref(model)
    if known.manifest is None:
        known.pending = captured
        store(MlflowClient(), run_id, known)
        return
    if known.manifest["digest"] != captured.digest:
        known.pending = captured
    known.manifest = again(known.manifest, captured)
    known.stored = False


def store(client: MlflowClient, run_id: str, known: Known) -> None:
    """Upload what is not stored yet: the files, then the manifest that says that they are there."""
    from mlflow_clfaudit import __version__
    from mlflow_clfaudit.capture import write, write_manifest

    if known.stored:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fits = known.manifest["fits"] if known.manifest is not None else 1
        if known.pending is not None:
            known.manifest = {**write(folder, known.pending, version=__version__), "fits": fits}
            known.pending = None
            if any(folder.iterdir()):
                client.log_artifacts(run_id, name, EVIDENCE_FOLDER)
        if known.manifest is not None:
            client.log_artifact(run_id, str(write_manifest(folder, known.manifest)), EVIDENCE_FOLDER)
    known.stored = True


def logged(info: Any, given: Mapping[str, Any]) -> None:
    """A model was logged: give a fit() outside of any run its run, and remember that it is a classifier's."""
    from mlflow import active_run

    if state.process.settings is None or state.thread.auditing:
        return
    run = active_run()
    run_id = getattr(info, "run_id", None) or (run.info.run_id if run is not None else None)
    if run_id is None:
        return
    for value in given.values():
        if state.process.homeless is not None and state.process.homeless[0]() is value:
            captured = state.process.homeless[1]
            state.process.homeless = None
            _keep(run_id, value, captured)
        elif hasattr(value, "get_params") and "sklearn" in sys.modules:
            from sklearn.base import is_classifier

            if is_classifier(value):
                state.process.runs.setdefault(run_id, Known()).classifies = True


def labels_logged(run_id: str) -> None:
    """log_labels() was called for the run: where the hook is on, it is to be audited when it ends."""
    if state.process.settings is not None:
        state.process.runs.setdefault(run_id, Known()).classifies = True


def keep_lost_model(client: MlflowClient, run: Run, known: Known) -> bool:
    """Keep the model where MLflow tried to log it and failed; where it was not to be logged, it is not ours to keep."""
    from mlflow_clfaudit.classifying import framework_of

    model = known.model() if known.model is not None else None
    outputs = getattr(run, "outputs", None)
    if model is None or outputs is None or not known.fitted or framework_of(model) != "keras":
        return False
    attempts = [client.get_logged_model(item.model_id) for item in outputs.model_outputs]
    if not attempts or any(str(attempt.status) == "READY" for attempt in attempts):
        return False
    import mlflow.keras

    with tempfile.TemporaryDirectory() as name:
        mlflow.keras.save_model(model, f"{name}/model", pip_requirements=["keras"])
        client.log_artifacts(run.info.run_id, f"{name}/model", KEPT_MODEL)
    return True
