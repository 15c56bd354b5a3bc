"""Runs without MLflow for unit tests: a Run from literals and a folder of artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.evidence.run import Run


def make_run(
    folder: Path | None = None,
    *,
    metrics: Mapping[str, list[float]] | None = None,
    **fields: Any,
) -> Run:
    """A run whose artifacts are the files under `folder` and whose curves are given by value, one point an epoch."""
    artifacts = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) if folder else []
    curves = {
        key: (np.arange(len(values), dtype=np.int64), np.asarray(values, dtype=np.float64))
        for key, values in (metrics or {}).items()
    }
    fields.setdefault("run_id", "0" * 32)
    fields.setdefault("name", "a-run")
    return Run(artifacts=tuple(artifacts), metrics=curves, fetch=lambda path: (folder or Path()) / path, **fields)
