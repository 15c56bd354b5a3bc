"""The hook: keeps what fit() was really given and audits a run when it ends, without being asked.

It joins MLflow at four places, each of which does what it did before: the events of autologging, the end of a run
(MlflowClient.set_terminated), the logging of a model (Model.log) and Keras's own fit(). `safe_patch` is not used, for
it replaces what others patched. Whatever goes wrong here is a warning and the tag clfaudit.error, never an exception.
"""

from __future__ import annotations

import logging
import os
import sys

from mlflow_clfaudit.hook import state
from mlflow_clfaudit.hook.joints import join
from mlflow_clfaudit.hook.settings import Settings

_logger = logging.getLogger(__name__)


def autolog(
    *,
    disable: bool = False,
    silent: bool = False,
    inputs: str = "sample",
    max_input_mb: float = 64.0,
    mode: str | None = None,
    children: bool | None = None,
    time_limit: float | None = None,
) -> None:
    """Audit every run that ends with a classifier, from now on: MLFLOW_CLFAUDIT_AUTO=1 as one line of code.

    Args:
        disable: stop doing so.
        silent: no lines about verdicts.
        inputs: how much of the inputs of fit() is kept with the run: "sample", "all" or "none".
        max_input_mb: the limit of a sample, over all splits.
        mode: "inprocess", within the time limit as the run ends; "detached", by a process of its own; "deferred", by
            `mlflow clfaudit watch`. MLFLOW_CLFAUDIT_MODE when left out.
        children: audit nested runs as well. MLFLOW_CLFAUDIT_CHILDREN when left out.
        time_limit: seconds that an audit may take in this process. MLFLOW_CLFAUDIT_TIME_LIMIT when left out.

    Raises:
        ValueError: a setting is none of its values.
    """
    import mlflow  # noqa: F401 - what is joined below is imported by it

    if disable:
        state.process.settings = None
        return
    given = Settings.from_environment(os.environ)
    state.process.settings = Settings(
        mode=given.mode if mode is None else mode,
        inputs=inputs,
        max_input_mb=max_input_mb,
        children=given.children if children is None else children,
        time_limit=given.time_limit if time_limit is None else time_limit,
        silent=silent,
    )
    join()


def install() -> None:
    """Start the hook as the environment says. Idempotent."""
    if state.process.settings is None:
        try:
            state.process.settings = Settings.from_environment(os.environ)
        except ValueError as error:
            _logger.warning("clfaudit goes on with its defaults: %s", error)
            state.process.settings = Settings()
    join()


def active() -> Settings | None:
    """The settings by which the hook works in this process; None where it is off or MLflow's client is not joined."""
    client = sys.modules.get("mlflow.tracking.client")
    joined = client is not None and hasattr(client.MlflowClient.set_terminated, "is_clfaudit")
    return state.process.settings if joined else None
