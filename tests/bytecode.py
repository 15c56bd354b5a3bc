"""This package's bytecode, which `pip install` writes and an editable install does not.

Where the environment tells Python to write none (PYTHONDONTWRITEBYTECODE), every process that a test or a benchmark
starts would compile this package anew: 0.3 seconds that no user pays.
"""

from __future__ import annotations

import compileall
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "mlflow_clfaudit"


def write_bytecode() -> None:
    """Bring __pycache__ up to date."""
    compileall.compile_dir(PACKAGE, quiet=1)
