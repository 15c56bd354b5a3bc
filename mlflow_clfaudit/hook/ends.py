"""What the hook does as a run ends: whether it is to be audited, how deep, and by which process."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_clfaudit.hook import state
from mlflow_clfaudit.hook.audits import audit_ended, detach, owner_name
from mlflow_clfaudit.hook.keeping import keep_lost_model, store
from mlflow_clfaudit.names import REPAIR_OF

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass
class Ended:
    """A run that has ended and is to be audited, up to a tier, at least if it logged a classifier.

    `certain` where this process saw one, which the run's files need not tell.
    """

    run_id: str
    tier: str
    certain: bool


def before_end(client: MlflowClient, run_id: str, status: str) -> Ended | None:
    """Store what is left to store; whether the run is to be audited. A run that is none of ours costs one request."""
    settings = state.process.settings
    if settings is None or state.thread.auditing or status in ("RUNNING", "SCHEDULED"):
        return None
    known = state.process.runs.pop(run_id, None)
    if known is not None and known.manifest is not None:
        store(client, run_id, known)
    run = client.get_run(run_id)
    if REPAIR_OF in run.data.tags or ("mlflow.parentRunId" in run.data.tags and not settings.children):
        return None
    if known is not None and known.other_fits and not known.classifies:
        return None
    if not (known is not None and known.classifies) and not may_classify(run):
        return None
    kept = known is not None and keep_lost_model(client, run, known)
    if settings.mode != "deferred":
        # So that a watcher on the same store leaves the run to this process.
        from mlflow_clfaudit.lease import Owner

        Owner(name=owner_name(run_id)).take(client, run_id)
    # Where MLflow fails to log the model after a fit() that went well, it ends its own run as FAILED, too.
    tier = "probe" if status == "FINISHED" or kept else "static"
    return Ended(run_id, tier, certain=known is not None and known.classifies)


def may_classify(run: Run) -> bool:
    """Whether it is worth reading what the run logged: a model, or the curves of one."""
    outputs = getattr(run, "outputs", None)
    if (outputs is not None and outputs.model_outputs) or "mlflow.log-model.history" in run.data.tags:
        return True
    return "loss" in run.data.metrics


def after_end(client: MlflowClient, ended: Ended) -> None:
    settings = state.process.settings
    if settings is None or settings.mode == "deferred":
        return
    uri = client.tracking_uri
    if settings.mode == "inprocess" and _may_run_models():
        audit_ended(
            ended.run_id, uri, ended.tier, ended.certain, time_limit=settings.time_limit, silent=settings.silent
        )
    else:
        detach(ended.run_id, uri, ended.tier, certain=ended.certain)


def _may_run_models() -> bool:
    """Not beside another thread's training, in a forked child, or while the interpreter is finishing."""
    main = threading.main_thread()
    # The main thread counts as ended once the interpreter calls its exit handlers, MLflow's own among them.
    return threading.current_thread() is main and main.is_alive() and os.getpid() == state.process.process_id
