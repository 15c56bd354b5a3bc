"""`log_labels`: the one line that gives a run the evidence that only the training script has."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlflow_clfaudit.hook.keeping import labels_logged
from mlflow_clfaudit.names import LOGGED_FOLDER
from mlflow_clfaudit.storage import SPLITS, as_array, write_classes, write_inputs, write_labels


def log_labels(
    y: Any,
    *,
    split: str,
    inputs: Any = None,
    classes: Sequence[Any] | None = None,
    predictions: Any = None,
    run_id: str | None = None,
) -> None:
    """Log the labels of one split, in full, so that the run can be audited.

    Args:
        y: the labels as the model's loss takes them, (N,) or (N, C): numbers or text, an array, a list, a pandas
            object, a sparse matrix or a tensor.
        split: train, validation or test.
        inputs: the inputs of the same rows in the same order, as the model takes them: an array (N, …), a mapping or
            list of arrays for several inputs, or a table.
        classes: the class names in the order of their codes.
        predictions: the model's outputs or decisions for the same rows, (N,) or (N, C).
        run_id: the run; the active one when left out.

    Raises:
        ValueError: no run is active, the split has another name, or the arrays are not equally long.
        TypeError: the values are not arrays of rows.
    """
    from mlflow import MlflowClient, active_run

    if split not in SPLITS:
        raise ValueError(f"split={split!r}: a split is one of {', '.join(SPLITS)}")
    if run_id is None:
        run = active_run()
        if run is None:
            raise ValueError("no run is active: call log_labels inside `with mlflow.start_run():`, or give run_id=")
        run_id = run.info.run_id
    labels = as_array(y)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_labels(
            folder / f"labels_{split}.parquet",
            labels,
            predictions=None if predictions is None else as_array(predictions),
        )
        if inputs is not None:
            rows = _rows(inputs)
            if rows != len(labels):
                raise ValueError(f"{rows} rows of inputs beside {len(labels)} labels")
            write_inputs(folder, split, inputs)
        if classes is not None:
            write_classes(folder, classes)
        MlflowClient().log_artifacts(run_id, name, LOGGED_FOLDER)
    labels_logged(run_id)


def _rows(inputs: Any) -> int:
    if isinstance(inputs, dict):
        return min((_rows(part) for part in inputs.values()), default=0)
    if isinstance(inputs, list | tuple) and hasattr(inputs[0], "shape") and len(inputs[0].shape) > 0:
        return min(_rows(part) for part in inputs)
    return int(inputs.shape[0]) if hasattr(inputs, "shape") else len(inputs)
