"""What the curves of a training are called by the libraries and people that log them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np

ACCURACY_NAMES = (
    "accuracy",
    "acc",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "train_accuracy",
    "train_acc",
    "compile_metrics",
)
# What other libraries and people put before a curve's name, and whether it is one of the validation rows.
PREFIXES = {
    "val_": True,
    "val/": True,
    "valid_": True,
    "valid/": True,
    "validation/": True,
    "eval_": True,
    "eval/": True,
    "train_": False,
    "train/": False,
    "training_": False,
    "training/": False,
}
# What boosting libraries call their evaluation sets (None: the training rows where another set follows) and metrics.
BOOSTING_CURVE = re.compile(r"(?P<rows>[A-Za-z]+(_\d+)?)-(?P<metric>[a-z_0-9]+)")
BOOSTING_TRAINING = {"train", "training", "dtrain", "learn"}
BOOSTING_LOSSES = {"logloss", "mlogloss", "binary_logloss", "multi_logloss", "cross_entropy"}
BOOSTING_ERRORS = {"error", "merror", "binary_error", "multi_error"}


def accuracy_of(curves: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The accuracy among curves by name, None where there is none."""
    return next((curves[name] for name in ACCURACY_NAMES if name in curves), None)


def are_training_rows(rows: str, others: Collection[str]) -> bool:
    """Whether a boosting library calls its training rows so, beside the names of the `others` that it was given."""
    return rows in BOOSTING_TRAINING or (rows.endswith("_0") and f"{rows[:-2]}_1" in others)


def by_name_of_keras(metric: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """A curve of a boosting library by Keras's name: errors are what is missing from an accuracy."""
    if metric in BOOSTING_LOSSES:
        return "loss", values
    return ("accuracy", 1.0 - values) if metric in BOOSTING_ERRORS else (metric, values)
