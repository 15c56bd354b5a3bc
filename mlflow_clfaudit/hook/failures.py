"""Where failures of the hook end: a warning and a tag, never an exception in the user's training."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlflow_clfaudit.errors import kind_and_first_line
from mlflow_clfaudit.names import ERROR

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_TAG = 5_000

_logger = logging.getLogger(__package__)


@contextlib.contextmanager
def contained(client: MlflowClient | None = None, run_id: str | None = None) -> Iterator[None]:
    """Turn an exception of ours into a warning and, where the run is known, into its tag clfaudit.error."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
        reason = kind_and_first_line(error)
        with contextlib.suppress(Exception):
            _logger.warning("clfaudit: %s", reason)
            if client is not None and run_id is not None:
                client.set_tag(run_id, ERROR, reason[:MAX_TAG])
