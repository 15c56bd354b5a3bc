"""The four places at which the hook joins MLflow and Keras, each of which does what it did before."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlflow_clfaudit.hook import failures, state
from mlflow_clfaudit.hook.ends import after_end, before_end
from mlflow_clfaudit.hook.fits import event_fails, event_starts, event_succeeds, fit_ends, fit_starts
from mlflow_clfaudit.hook.keeping import logged
from mlflow_clfaudit.plugin import when_imported

if TYPE_CHECKING:
    from mlflow import MlflowClient


def join() -> None:
    state.process.process_id = os.getpid()
    when_imported("mlflow.utils.autologging_utils.events", _join_events)
    when_imported("mlflow.tracking.client", _join_runs)
    when_imported("mlflow.models.model", _join_models)
    when_imported("keras", _join_keras)


def _join_events(events: ModuleType) -> None:
    """Listen to autologging, in front of whoever listens already."""
    logger = events.AutologgingEventLogger
    chained = logger.get_logger()
    if getattr(chained, "is_clfaudit", False):
        return
    reactions: Mapping[str, Callable[..., None]] = {
        "log_original_function_start": event_starts,
        "log_original_function_success": event_succeeds,
        "log_original_function_error": event_fails,
    }

    def method(name: str) -> Callable[..., None]:
        def event(_: Any, *args: Any, **kwargs: Any) -> None:
            if name in reactions:
                with failures.contained():
                    reactions[name](*args)
            getattr(chained, name)(*args, **kwargs)

        return event

    methods = {name: method(name) for name in dir(logger) if name.startswith("log_")}
    logger.set_logger(type("Listener", (logger,), {"is_clfaudit": True, **methods})())


def _join_runs(client: ModuleType) -> None:
    """See every run end that this process ends."""
    original = client.MlflowClient.set_terminated
    if hasattr(original, "is_clfaudit"):
        return

    @functools.wraps(original)
    def set_terminated(self: MlflowClient, run_id: str, status: str | None = None, *args: Any, **kwargs: Any) -> None:
        ended = None
        with failures.contained(self, run_id):
            ended = before_end(self, run_id, status or "FINISHED")
        original(self, run_id, status, *args, **kwargs)
        if ended is not None:
            with failures.contained(self, run_id):
                after_end(self, ended)

    set_terminated.is_clfaudit = True  # type: ignore[attr-defined]
    client.MlflowClient.set_terminated = set_terminated


def _join_models(model: ModuleType) -> None:
    """See every model that this process logs: it tells which run a fit() outside of any run belongs to."""
    original = model.Model.log.__func__
    if hasattr(original, "is_clfaudit"):
        return

    @functools.wraps(original)
    def log(cls: Any, *args: Any, **kwargs: Any) -> Any:
        info = original(cls, *args, **kwargs)
        with failures.contained():
            logged(info, kwargs)
        return info

    log.is_clfaudit = True  # type: ignore[attr-defined]
    model.Model.log = classmethod(log)


def _join_keras(keras: ModuleType) -> None:
    """See fit() where autologging is off. The base class is wrapped: autologging patches Model itself."""
    owner = next((cls for cls in keras.Model.__mro__[1:] if "fit" in vars(cls)), None)
    if owner is None or hasattr(owner.fit, "is_clfaudit"):
        return
    original = owner.fit

    @functools.wraps(original)
    def fit(model: Any, *args: Any, **kwargs: Any) -> Any:
        opened = False
        with failures.contained():
            opened = fit_starts(None, model, args, kwargs)
        if not opened:
            return original(model, *args, **kwargs)
        succeeded = False
        try:
            history = original(model, *args, **kwargs)
            succeeded = True
        finally:
            with failures.contained():
                fit_ends(None, succeeded=succeeded)
        return history

    fit.is_clfaudit = True  # type: ignore[attr-defined]
    owner.fit = fit
