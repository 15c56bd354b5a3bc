"""The files that `log_labels` and the hook write and that the audit reads back: labels in full, inputs, row numbers.

labels_SPLIT.parquet   one column `label`, or `label_0` … for labels of several columns; beside them `prediction` and
                       `weight` where they were given. Rows that are exactly one-hot are kept as their column numbers.
inputs_SPLIT.npy       inputs of one array, or of a table whose columns are numbers of one type; .npz for several
                       arrays; .parquet for any other table and for text
columns_SPLIT.json     the column names of a table that is kept as an array
rows_SPLIT.npy         int64, which rows of the split the inputs are, where they are a sample
classes.json           the class names in the order of their codes
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence.archives import check_archive
from mlflow_clfaudit.evidence.tables import check_rows, texts

SPLITS = ("train", "validation", "test")
METADATA = b"mlflow_clfaudit"
MAX_LABEL_COLUMNS = 20_000
MAX_ONE_HOT_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Stored:
    """One labels file: `values` (N,) or (N, C) as they were given, and what was given for the same rows."""

    values: np.ndarray
    predictions: np.ndarray | None = None
    weights: np.ndarray | None = None


def as_array(values: Any) -> np.ndarray:
    """Lists, pandas objects, sparse matrices and tensors of any framework as a NumPy array; text as objects.

    Raises:
        TypeError: the values cannot be an array of rows.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    if hasattr(values, "toarray"):
        values = values.toarray()
    if hasattr(values, "to_numpy"):
        nullable = isinstance(values, pd.Series) and isinstance(values.dtype, pd.api.extensions.ExtensionDtype)
        numeric = nullable and pd.api.types.is_numeric_dtype(values.dtype)
        values = values.to_numpy(dtype="float64", na_value=np.nan) if numeric and values.hasnans else values.to_numpy()
    elif hasattr(values, "numpy"):
        values = values.numpy()
    array = np.asarray(values)
    if array.dtype.kind == "V":
        array = array.astype(np.float32)  # bfloat16 and its like
    if array.ndim == 0:
        raise TypeError(f"one value a row is needed, not {type(values).__name__}")
    return array


def write_labels(
    path: Path, labels: np.ndarray, *, predictions: np.ndarray | None = None, weights: np.ndarray | None = None
) -> None:
    """Write the labels (N,) or (N, C) of one split, with predictions (N,) or (N, C) and weights (N,) of the same rows.

    Raises:
        ValueError: the arrays are not of those shapes, or not equally long.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    given = {"label": labels, "prediction": predictions, "weight": weights}
    for name, array in given.items():
        if array is not None and (len(array) != len(labels) or array.ndim not in (1, 2)):
            raise ValueError(f"{name}s of shape {array.shape} beside labels of shape {labels.shape}")
    codes = _one_hot_codes(labels)
    about = {"schema": 1} if codes is None else {"schema": 1, "one_hot": labels.shape[1], "dtype": str(labels.dtype)}
    columns = _columns("label", labels if codes is None else codes)
    for name in ("prediction", "weight"):
        columns |= _columns(name, given[name])
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(about)})
    pq.write_table(table, path, compression="zstd")


def read_labels(path: Path) -> Stored:
    """Read what `write_labels` wrote.

    Raises:
        Missing: the file is damaged, or is not one of ours.
    """
    try:
        metadata = pq.read_metadata(path)
        check_rows(metadata.num_rows * metadata.num_columns, path)
        schema = metadata.schema.to_arrow_schema()
        texts_of = [item.name for item in schema if pa.types.is_string(item.type)]
        table = pq.read_table(path, read_dictionary=texts_of)
        about = json.loads((table.schema.metadata or {})[METADATA])
        values = _joined(table, "label")
        if values is None:
            raise ValueError("no column is named label")
        if "one_hot" in about:
            width = int(about["one_hot"])
            if not 1 < width <= MAX_LABEL_COLUMNS:
                raise ValueError(f"{width} classes")
            dtype = np.dtype(str(about["dtype"]))
            if dtype.kind not in "fiub" or len(values) * width * dtype.itemsize > MAX_ONE_HOT_BYTES:
                raise ValueError(f"{len(values)} rows of {width} classes of {dtype}")
            codes, values = values, np.zeros((len(values), width), dtype=dtype)
            values[np.arange(len(codes)), codes] = 1
        return Stored(values, _joined(table, "prediction"), _joined(table, "weight"))
    except Exception as error:  # noqa: BLE001 - damaged files raise what their decoder raises
        text = first_line(error, 120)
        raise Missing(f"{path.name} cannot be read: {text}", "log the labels again") from None


def write_inputs(folder: Path, split: str, inputs: Any, rows: np.ndarray | None = None) -> Path:
    """Write the inputs of one split: an array (N, …), a mapping or sequence of such arrays, a table, or a list of text.

    `rows` (n,) are the row numbers within the split where the inputs are a sample of it.

    Raises:
        TypeError, ValueError: they cannot be stored without pickling Python objects.
    """
    if rows is not None:
        np.save(folder / f"rows_{split}.npy", np.asarray(rows, dtype=np.int64), allow_pickle=False)
    if isinstance(inputs, pd.DataFrame | pd.Series):
        frame = pd.DataFrame(inputs)
        numbers = as_numbers(frame)
        if numbers is None:
            return _write_table(folder / f"inputs_{split}.parquet", frame)
        names = [str(name) for name in frame.columns]
        (folder / f"columns_{split}.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
        inputs = numbers
    if isinstance(inputs, Mapping):
        return _write_arrays(
            folder / f"inputs_{split}.npz", {str(name): as_array(part) for name, part in inputs.items()}
        )
    if isinstance(inputs, list | tuple) and any(np.ndim(part) > 0 and hasattr(part, "shape") for part in inputs[:1]):
        parts = {f"input_{number}": as_array(part) for number, part in enumerate(inputs)}
        return _write_arrays(folder / f"inputs_{split}.npz", parts)
    array = as_array(inputs)
    if array.dtype.kind in "OUS":
        if array.ndim > 2:
            raise TypeError(f"inputs of dtype {array.dtype} and shape {array.shape} are not kept")
        return _write_table(folder / f"inputs_{split}.parquet", pd.DataFrame(array))
    np.save(folder / f"inputs_{split}.npy", array, allow_pickle=False)
    return folder / f"inputs_{split}.npy"


def read_inputs(path: Path) -> Any:
    """Read what `write_inputs` wrote: an array (N, …), memory-mapped, or a dict of arrays for several inputs.

    Raises:
        Missing: the file is damaged, or the inputs are a table that holds more than numbers.
    """
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix == ".npz":
            check_archive(path)
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        metadata = pq.read_metadata(path)
        check_rows(metadata.num_rows * metadata.num_columns, path)
        frame = pd.read_parquet(path)
    except Exception as error:  # noqa: BLE001 - damaged files raise what their decoder raises
        text = first_line(error, 120)
        raise Missing(f"{path.name} cannot be read: {text}", "log the inputs again") from None
    if not all(dtype.kind in "fiub" for dtype in frame.dtypes):
        raise Missing(f"{path.name} holds columns that are not numbers, which are not judged")
    return frame.to_numpy()


def as_numbers(frame: pd.DataFrame) -> np.ndarray | None:
    """A table (N, C) as an array, where its columns are numbers of one type; as pandas holds them, mostly not copied.

    Parquet works column by column: a table of 784 takes it thirty times as long as the array.
    """
    types = set(frame.dtypes)
    if len(types) != 1:
        return None
    (dtype,) = types
    return frame.to_numpy() if isinstance(dtype, np.dtype) and dtype.kind in "fiub" else None


def write_classes(folder: Path, classes: Sequence[Any]) -> None:
    """Write the class names in the order of their codes."""
    names = [str(name) for name in classes]
    (folder / "classes.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")


def _one_hot_codes(labels: np.ndarray) -> np.ndarray | None:
    """The column of the 1 in each row, int32, or None where any row is not exactly one-hot."""
    if labels.ndim != 2 or labels.dtype.kind not in "fiub" or labels.shape[1] < 2:
        return None
    codes = np.argmax(labels, axis=1).astype(np.int32)
    ones = labels[np.arange(len(labels)), codes] == 1
    return codes if bool(ones.all()) and np.count_nonzero(labels) == len(labels) else None


def _columns(name: str, array: np.ndarray | None) -> dict[str, pa.Array]:
    if array is None:
        return {}
    if array.ndim == 1:
        return {name: _arrow(array)}
    if array.shape[1] > MAX_LABEL_COLUMNS:
        raise ValueError(f"{name}s with {array.shape[1]} columns are not kept")
    return {f"{name}_{number}": _arrow(array[:, number]) for number in range(array.shape[1])}


def _arrow(array: np.ndarray) -> pa.Array:
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.kind in "fiub":
        return pa.array(np.ascontiguousarray(array))
    try:
        return pa.array(array, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.array([None if pd.isna(value) else str(value) for value in array.tolist()], type=pa.string())


def _joined(table: pa.Table, name: str) -> np.ndarray | None:
    """The column of that name (N,), or its numbered columns together (N, C)."""
    if name in table.column_names:
        return _numpy(table.column(name))
    numbered = [f"{name}_{number}" for number in range(table.num_columns) if f"{name}_{number}" in table.column_names]
    return np.column_stack([_numpy(table.column(item)) for item in numbered]) if numbered else None


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers as they are; text by its dictionary, a missing one empty: one string a class, not one a row."""
    if pa.types.is_dictionary(column.type):
        codes = column.unify_dictionaries().combine_chunks()
        indices = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return texts(["", *codes.dictionary.to_pylist()], indices + 1)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        codes = column.combine_chunks().fill_null("").dictionary_encode()
        return texts(codes.dictionary.to_pylist(), codes.indices.to_numpy(zero_copy_only=False))
    return np.asarray(column.to_numpy())


def _write_table(path: Path, frame: pd.DataFrame) -> Path:
    plain = frame.rename(columns=str).reset_index(drop=True)
    for name in plain.columns[[dtype.kind == "O" for dtype in plain.dtypes]]:
        plain[name] = pd.Series(_arrow(plain[name].to_numpy()).to_pandas(), dtype=object)
    # A dictionary of numbers that hardly repeat takes more time and room than the numbers.
    repeating = [name for name, dtype in plain.dtypes.items() if dtype.kind != "f"]
    plain.to_parquet(path, index=False, use_dictionary=repeating)
    return path


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    if any(array.dtype.kind not in "fiub" for array in arrays.values()):
        raise TypeError("several inputs that are not all numbers are not kept")
    np.savez(path, **arrays)  # type: ignore[arg-type]  # its flags are keywords too
    return path
