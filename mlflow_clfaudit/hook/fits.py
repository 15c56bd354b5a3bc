"""Tells an outermost fit() from those within it, in each thread, with autologging and without."""

from __future__ import annotations

import threading
from typing import Any

from mlflow_clfaudit.hook import state
from mlflow_clfaudit.hook.keeping import fitted
from mlflow_clfaudit.hook.state import Fit


def event_starts(session: Any, _: Any, function: str, args: Any, kwargs: Any) -> None:
    if function == "fit" and args:
        fit_starts(session.id, args[0], args[1:], kwargs)


def event_succeeds(session: Any, _: Any, function: str, *__: Any) -> None:
    if function == "fit":
        fit_ends(session.id, succeeded=True)


def event_fails(session: Any, _: Any, function: str, *__: Any) -> None:
    if function == "fit":
        fit_ends(session.id, succeeded=False)


def fit_starts(session: str | None, model: Any, args: Any, kwargs: Any) -> bool:
    """Remember an outermost fit(); whether it is one."""
    from mlflow import active_run

    if state.process.settings is None or state.thread.auditing:
        return False
    current = state.thread.fit
    if current is not None and current.session is not None and current.session not in (session, _session()):
        # Ctrl-C ended it: MLflow reports exceptions only.
        current = state.thread.fit = None
    if current is not None:
        if session is not None and current.session == session:
            current.depth += 1
        return False
    if session is not None:
        began = state.process.sessions.setdefault(session, threading.get_ident())
        if began != threading.get_ident() and active_run() is None:
            # A worker of a search, within another thread's fit().
            return False
    from mlflow_clfaudit.capture import arguments_of, learning_rate_of

    state.thread.fit = Fit(session, model, arguments_of(model, args, kwargs), learning_rate_of(model))
    return True


def _session() -> str | None:
    from mlflow.utils.autologging_utils.safety import _AutologgingSessionManager

    session = _AutologgingSessionManager.active_session()  # type: ignore[no-untyped-call]
    return None if session is None else str(session.id)


def fit_ends(session: str | None, *, succeeded: bool) -> None:
    current = state.thread.fit
    if current is None or current.session != session:
        return
    if current.depth:
        current.depth -= 1
        return
    state.thread.fit = None
    if session is not None:
        state.process.sessions.pop(session, None)
    fitted(current, succeeded)
