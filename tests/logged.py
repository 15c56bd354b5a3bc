"""What runs log beside their model."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np


def log_rows(rows: object, folder: Path, **changed: np.ndarray) -> None:
    """Log the arrays of all splits of a table, such as X_val.npy; `changed` replaces some of them by name."""
    for split in ("train", "val", "test"):
        for kind in ("X", "y"):
            name = f"{kind}_{split}"
            np.save(folder / f"{name}.npy", changed.get(name, getattr(rows, name.lower())))
            mlflow.log_artifact(str(folder / f"{name}.npy"), "data")
