"""A task of classification as a table: made, logged as people log it, and what an audit says of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from mlflow_clfaudit import audit_run
from mlflow_clfaudit.types import Finding, Report, Severity

NAMES = ["ant", "bee", "cat"]


@dataclass(frozen=True)
class Table:
    """Rows of a classification task in three splits."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def table(classes: int = 2, *, share: float = 0.5, seed: int = 0, names: list[str] | None = None) -> Table:
    """1500 rows of 8 columns; `share` of them of class 0 where there are two classes."""
    x, y = make_classification(
        1_500,
        8,
        n_informative=5,
        n_classes=classes,
        weights=[share] if classes == 2 else None,
        class_sep=1.2,
        flip_y=0.02,
        random_state=seed,
    )
    codes = y if names is None else np.array(names)[y]
    x_train, x_rest, y_train, y_rest = train_test_split(x, codes, test_size=800, stratify=codes, random_state=0)
    x_val, x_test, y_val, y_test = train_test_split(x_rest, y_rest, test_size=400, stratify=y_rest, random_state=0)
    return Table(x_train, y_train, x_val, y_val, x_test, y_test)


def log_rows(rows: Table, folder: Path, **changed: np.ndarray) -> None:
    """Log the arrays of all splits to the active run; `changed` replaces some of them."""
    for split in ("train", "val", "test"):
        for kind in ("X", "y"):
            name = f"{kind}_{split}"
            np.save(folder / f"{name}.npy", changed.get(name, getattr(rows, name.lower())))
            mlflow.log_artifact(str(folder / f"{name}.npy"), "data")


def log_curves(curves: Mapping[str, Sequence[float]]) -> None:
    for name, values in curves.items():
        for step, value in enumerate(values):
            mlflow.log_metric(name, value, step=step)


def audited(run_id: str, **options: Any) -> Report:
    return audit_run(run_id, dry_run=True, **options)


def alarms(report: Report) -> list[str]:
    return [f"{item.check}: {item.message}" for item in report.findings if item.level.at_least(Severity.WARN)]


def found(report: Report, check: str) -> Finding:
    (finding,) = [item for item in report.findings if item.check == check]
    return finding
