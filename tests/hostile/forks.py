"""Children forked from a process of one thread: a fork of the test's own, whose threads it would lack, may crash."""

from __future__ import annotations

import contextlib
import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

from mlflow_clfaudit.registry import all_checks

ROOT = Path(__file__).parents[2]

# This module is what the fork server imports, so that no child needs to import the checks.
all_checks()


def context() -> ForkServerContext:
    """multiprocessing with a fork server that has imported all that an audit of files needs."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([__name__])
    # Python 3.11 forgets to tell it sys.path.
    with contextlib.chdir(ROOT):
        forkserver.ensure_running()
    return found
