"""Reads label and input files as arrays without running code: npy, npz, csv, tsv, parquet, json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence.archives import MAX_RATIO, MAX_UNPACKED_BYTES, check_archive

MAX_JSON_BYTES = 128 * 2**20
MAX_COLUMNS = 100_000
MAX_LINE = 8 * 2**20
MAX_TEXT_BYTES = 2**30
LABEL_COLUMNS = ("label", "labels", "target", "targets", "class", "y", "y_true", "truth", "outcome", "category")
INDEX_COLUMNS = ("index", "id", "row", "row_id", "rowid", "idx", "sample", "sample_id", "filename", "file", "path")


class Archive(Mapping[str, np.ndarray]):
    """The arrays of a .npz file, each read when it is asked for; Missing for one that holds Python objects."""

    def __init__(self, path: Path) -> None:
        self.path = path
        check_archive(path)
        with np.load(path, allow_pickle=False) as archive:
            self.keys_in_order = list(archive.files)

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in self.keys_in_order:
            raise KeyError(key)
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                return np.asarray(archive[key])
        except Exception as error:  # noqa: BLE001 - damaged archives raise what their decompressor raises
            raise _unreadable(self.path, error) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_in_order)

    def __len__(self) -> int:
        return len(self.keys_in_order)


def read(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays in a file by name (one unnamed array for .npy); memory-mapped where the format allows.

    Raises:
        Missing: the file is empty, damaged, or holds pickled objects, which are never loaded.
    """
    return _read(path, None)


def read_labels(path: Path) -> Mapping[str, np.ndarray]:
    """The same, but of a table with a column that is named as labels are, that column alone."""
    return _read(path, _only_labels)


def label_column(columns: Mapping[str, Any] | Sequence[str]) -> str | None:
    """The name of the column that holds the labels in a table that has inputs too."""
    lowered = {name.strip().lower(): name for name in columns}
    return next((lowered[name] for name in LABEL_COLUMNS if name in lowered), None)


def as_labels(columns: Mapping[str, np.ndarray], path: str) -> np.ndarray:
    """One label array (N,) or (N, C) from the columns of a file; columns that number the rows are left out."""
    if len(columns) == 1:
        return next(iter(columns.values()))
    named = label_column(columns)
    if named is not None:
        return columns[named]
    kept = {name: array for name, array in columns.items() if not _numbers_rows(name, array)}
    arrays = list(kept.values())
    if len(arrays) == 1:
        return arrays[0]
    if arrays and all(array.ndim == 1 and array.dtype.kind in "fiub" for array in arrays):
        return np.column_stack(arrays)
    raise Missing(f"{path}: which of its {len(columns)} columns holds the labels is not clear", "name it label")


def as_inputs(columns: Mapping[str, np.ndarray], path: str) -> Any:
    """One input array (N, …), numbers or one text a row, or for a model of several inputs a dict of arrays by name."""
    if len(columns) == 1:
        return next(iter(columns.values()))
    named = label_column(columns)
    arrays = {name: array for name, array in columns.items() if name != named}
    if all(array.ndim == 1 for array in arrays.values()):
        numeric = [array for array in arrays.values() if array.dtype.kind in "fiub"]
        text = [array for array in arrays.values() if array.dtype.kind == "U"]
        numbers_rows = [_numbers_rows(name, array) for name, array in arrays.items() if array.dtype.kind in "fiub"]
        if len(text) == 1 and all(numbers_rows):
            return text[0]
        if not numeric:
            raise Missing(f"{path} has no numeric column")
        return np.column_stack(numeric)
    return arrays


def _read(path: Path, choose: Callable[[Sequence[str]], list[str] | None] | None) -> Mapping[str, np.ndarray]:
    try:
        if path.stat().st_size == 0:
            raise Missing(f"{path.name} is empty", "log the file again")
        suffix = path.suffix.lower()
        if suffix == ".npy":
            return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
        if suffix == ".npz":
            return Archive(path)
        if suffix == ".parquet":
            return _columns(_read_parquet(path, choose))
        if suffix in (".csv", ".tsv", ".txt"):
            return _columns(_read_csv(path, choose))
        if suffix == ".json":
            return _read_json(path)
    except Missing:
        raise
    except Exception as error:  # noqa: BLE001 - every format's reader has errors of its own
        raise _unreadable(path, error) from None
    raise Missing(f"{path.name}: unknown format; use npy, npz, csv, parquet or json")


def _read_parquet(path: Path, choose: Callable[[Sequence[str]], list[str] | None] | None) -> pd.DataFrame:
    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    names = [name for name in schema.names if not name.startswith("__index_level_")]
    chosen = (choose(names) if choose else None) or schema.names
    check_rows(metadata.num_rows * len(chosen), path)
    # Text is read by its dictionary: a long one may stand in every row, and cost nothing in the file.
    text = [name for name in chosen if pa.types.is_string(schema.field(name).type)]
    frame: pd.DataFrame = pq.read_table(path, columns=chosen, read_dictionary=text).to_pandas()
    return frame


def check_rows(values: int, path: Path) -> None:
    """ValueError for a file that declares more values than one of its size holds, and more than fit in memory."""
    if 8 * values > max(MAX_UNPACKED_BYTES, MAX_RATIO * path.stat().st_size):
        raise ValueError(f"its {path.stat().st_size} bytes declare {values} values")


def _unreadable(path: Path, error: Exception) -> Missing:
    text = first_line(error, 120)
    if any(words in text for words in ("allow_pickle", "Object arrays", "Python objects")):
        return Missing(
            f"{path.name} holds Python objects, which are not loaded",
            'save numbers or strings: np.save(path, np.asarray(y, dtype="int64"))',
        )
    return Missing(f"{path.name} cannot be read: {text}", "log the file again")


def _only_labels(names: Sequence[str]) -> list[str] | None:
    named = label_column(names)
    return None if named is None else [named]


def _numbers_rows(name: str, array: np.ndarray) -> bool:
    """Whether a column counts the rows, or is named as an index is."""
    if name.strip().lower() in INDEX_COLUMNS or name.startswith("Unnamed"):
        return True
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) < 3 or array[0] not in (0, 1):
        return False
    return bool(np.array_equal(array, np.arange(array[0], array[0] + len(array))))


def _columns(frame: pd.DataFrame) -> Mapping[str, np.ndarray]:
    """Columns as arrays, an index column that to_csv() wrote left out."""
    first = str(frame.columns[0]) if len(frame.columns) else ""
    if len(frame.columns) > 1 and (first.startswith("Unnamed") or first.lower() == "index"):
        frame = frame.iloc[:, 1:]
    found: dict[str, np.ndarray] = {}
    problem: Missing | None = None
    for place, name in enumerate(frame.columns):
        try:
            found[str(name)] = _array(frame.iloc[:, place])
        except Missing as missing:
            problem = missing
    if problem is not None and not found:
        raise problem
    return found


def _array(column: pd.Series[Any]) -> np.ndarray:
    """Numbers as they are, everything else as text; a missing text is empty."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        return column.to_numpy()
    if column.dtype.kind in "fiub":
        # Pandas's own nullable numbers.
        return column.to_numpy(dtype="float64", na_value=np.nan) if column.hasnans else column.to_numpy()
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = ["", *_as_text(pd.Series(column.cat.categories)).to_pylist()]
        return texts(names, column.cat.codes.to_numpy(dtype=np.int64) + 1)
    encoded = _as_text(column)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    # Text by its dictionary: one string a class, not one a row.
    codes = encoded.fill_null("").dictionary_encode()
    return texts(codes.dictionary.to_pylist(), codes.indices.to_numpy(zero_copy_only=False))


def _as_text(column: pd.Series[Any]) -> Any:
    """The values as an Arrow array of strings."""
    try:
        return pa.array(column, from_pandas=True).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.array(column.astype(str), type=pa.string())


def texts(names: Sequence[str], codes: np.ndarray) -> np.ndarray:
    """Text (N,) from its dictionary; Missing where the longest of the texts makes the array too large."""
    longest = max(map(len, names), default=0)
    if 4 * longest * max(len(codes), len(names)) > MAX_TEXT_BYTES:
        raise Missing(f"{len(codes)} rows of text of up to {longest} characters are no labels")
    return np.asarray(np.array(names or [""], dtype=str)[codes])


def _read_csv(path: Path, choose: Callable[[Sequence[str]], list[str] | None] | None) -> pd.DataFrame:
    with path.open("rb") as content:
        encoding = "utf-16" if content.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    with path.open(encoding=encoding, errors="replace") as file:
        first, second = file.readline(MAX_LINE), file.readline(MAX_LINE)
    if "\0" in first or "\0" in second:
        raise Missing(f"{path.name} holds no text", "log arrays as .npy")
    separator = max(",;\t", key=first.count)
    if len(first) >= MAX_LINE or first.count(separator) >= MAX_COLUMNS:
        raise Missing(f"{path.name}: its first line is too long for a table", "log arrays as .npy")
    cells = [cell.strip().strip('"') for cell in first.rstrip("\r\n").split(separator)]
    below = [cell.strip().strip('"') for cell in second.rstrip("\r\n").split(separator)]
    headless = all(_is_number(cell) for cell in cells) and not _numbers_columns(cells, below)
    options: dict[str, Any] = {"sep": separator, "encoding": encoding, "encoding_errors": "replace"}
    if headless:
        return _frame(path, header=None, **options)
    frame = _frame(path, header=0, usecols=choose(cells) if choose else None, **options)
    # One column of text whose first line occurs again further down is a label, not a heading.
    repeated = len(cells) == 1 and label_column(cells) is None and bool((frame.iloc[:, 0] == cells[0]).any())
    return _frame(path, header=None, **options) if repeated else frame


def _frame(path: Path, **options: Any) -> pd.DataFrame:
    frame: pd.DataFrame = pd.read_csv(path, **options)
    return frame


def _numbers_columns(cells: Sequence[str], below: Sequence[str]) -> bool:
    """Whether a first line of numbers is the heading that pandas writes for unnamed columns: 0, 1, 2, …

    One column headed 0 is taken for such a heading only where its values are not whole numbers.
    """
    if cells != [str(number) for number in range(len(cells))]:
        return False
    if len(cells) > 2:
        return below != list(cells)
    return any("." in cell or not _is_number(cell) for cell in below)


def _read_json(path: Path) -> Mapping[str, np.ndarray]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise Missing(f"{path.name} is larger than {MAX_JSON_BYTES // 2**20} MB; log it as parquet")
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(content, dict) and set(content) >= {"columns", "data"}:
        return _columns(pd.DataFrame(content["data"], columns=[str(name) for name in content["columns"]]))
    if isinstance(content, dict) and content and all(isinstance(value, list) for value in content.values()):
        return {str(key): _json_array(value) for key, value in content.items()}
    if isinstance(content, list) and content and not isinstance(content[0], dict):
        return {"": _json_array(content)}
    return _columns(pd.DataFrame(content))


def _json_array(values: list[Any]) -> np.ndarray:
    """A JSON list as an array; lists of several types become text."""
    if any(isinstance(value, list) for value in values[:1]):
        return np.asarray(values)
    return _array(pd.Series(values))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
