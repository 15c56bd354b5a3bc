"""Label files that are made to break the static tier: a reason in bounded time and memory."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlflow_clfaudit.types import Verdict
from tests.hostile import files
from tests.hostile.auditing import audited, reasons
from tests.hostile.limits import MEGABYTE


def npz(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return content.getvalue()


def parquet(**columns: Any) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    return content.getvalue()


def constant_rows(rows: int) -> bytes:
    """A parquet file of a constant column: a few kB whatever its rows are."""
    content = io.BytesIO()
    schema = pa.schema([("label", pa.int64())])
    with pq.ParquetWriter(content, schema) as writer:
        group = pa.table({"label": pa.array(np.zeros(2**24, dtype=np.int64))}, schema=schema)
        for _ in range(rows // 2**24):
            writer.write_table(group, row_group_size=2**24)
    return content.getvalue()


def long_text() -> bytes:
    """Two thousand rows of one text of a megabyte."""
    values = pa.DictionaryArray.from_arrays(np.zeros(2_000, dtype=np.int32), pa.array(["x" * MEGABYTE]))
    content = io.BytesIO()
    pq.write_table(pa.table({"label": values}), content, store_schema=False)
    return content.getvalue()


def damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(64) + content[middle + 64 :]


@pytest.mark.parametrize(
    ("name", "build", "reason"),
    [
        pytest.param(
            "y_train.npy",
            lambda: files.npy_header("(1000000000000,)"),
            "cannot be read: mmap length is greater",
            id="npy longer than the file",
        ),
        pytest.param("y_train.npy", lambda: files.npy_header("(-5,)"), "cannot be read", id="npy negative"),
        pytest.param(
            "y_train.npy", lambda: files.npy_header(f"({'1, ' * 2_000})"), "cannot be read", id="npy many axes"
        ),
        pytest.param(
            "y_train.npy",
            lambda: files.npy_header("(9999999999, 9999999999, 9999999999)"),
            "cannot be read",
            id="npy overflow",
        ),
        pytest.param(
            "y_train.npy",
            lambda: files.npy_header("(3,)", "'|O'"),
            "holds Python objects, which are not loaded",
            id="npy objects",
        ),
        pytest.param(
            "y_train.npy",
            lambda: files.npy_header("(3,)", "__import__('os').getcwd()"),
            "cannot be read",
            id="npy code in the header",
        ),
        pytest.param(
            "y_train.npy", lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", "cannot be read", id="npy header of gigabytes"
        ),
        pytest.param("y_train.npz", lambda: files.zeros(1_500, "y.npy"), "unpacks from", id="npz bomb"),
        pytest.param(
            "y_train.npz",
            lambda: npz(y=files.npy_header("(10000000000,)", "'|i1'")),
            "cannot be read",
            id="npz longer than the file",
        ),
        pytest.param(
            "y_train.npz", lambda: npz(y=files.npy_header("(3,)", "'|O'")), "holds Python objects", id="npz objects"
        ),
        pytest.param(
            "y_train.npz", lambda: npz(y=files.npy_header("(3,)"))[:-30], "cannot be read", id="npz truncated"
        ),
        pytest.param("y_train.parquet", lambda: constant_rows(2**28), "declare 268435456 values", id="parquet bomb"),
        pytest.param(
            "y_train.parquet", long_text, "2000 rows of text of up to 1048576 characters", id="parquet long text"
        ),
        pytest.param(
            "y_train.parquet", lambda: parquet(label=[1, 2] * 9_000)[:-9], "cannot be read", id="parquet truncated"
        ),
        pytest.param(
            "y_train.parquet",
            lambda: damaged(parquet(label=list(range(9_000)))),
            "cannot be read",
            id="parquet damaged",
        ),
        pytest.param("y_train.parquet", lambda: b"PAR1\xff\xff\xff\x7fPAR1", "cannot be read", id="parquet header"),
        pytest.param(
            "y_train.csv", lambda: b"x" * (40 * MEGABYTE), "its first line is too long for a table", id="csv one line"
        ),
        pytest.param(
            "y_train.csv",
            lambda: b"a," * 3_000_000 + b"\n1\n",
            "its first line is too long for a table",
            id="csv columns",
        ),
        pytest.param(
            "y_train.csv",
            lambda: b"label\n" + b"x" * (20 * MEGABYTE) + b"\n" + b"a\n" * 50,
            "characters are no labels",
            id="csv long line",
        ),
        pytest.param(
            "y_train.csv",
            lambda: b'label\n"unclosed' + b"\n1" * 1_000_000,
            "cannot be read",
            id="csv open quote",
        ),
        pytest.param("y_train.csv", lambda: bytes(range(256)) * 100, "holds no text", id="csv binary"),
        pytest.param(
            "y_train.json", lambda: b"[" * 500_000, "cannot be read: maximum recursion depth", id="json nested"
        ),
        pytest.param("y_train.json", lambda: b'{"a": ' + b"[0," * 3 + b"1", "cannot be read", id="json truncated"),
        pytest.param("y_train.json", lambda: b"[1" + b"0" * 50_000 + b"]", "cannot be read", id="json long number"),
    ],
)
def test_a_broken_label_file_is_a_reason(name: str, build: Callable[[], bytes], reason: str, tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / name).write_bytes(build())
    report = audited(tmp_path)
    assert reason in reasons(report)
    assert report.verdict is Verdict.NOT_AUDITED


def test_one_hot_labels_that_would_fill_the_memory(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "clfaudit" / "evidence"
    folder.mkdir(parents=True)
    about = {b"mlflow_clfaudit": json.dumps({"schema": 1, "one_hot": 20_000, "dtype": "float64"}).encode()}
    table = pa.table({"label": np.zeros(5_000_000, dtype=np.int32)}).replace_schema_metadata(about)
    pq.write_table(table, folder / "labels_train.parquet")
    assert "5000000 rows of 20000 classes" in reasons(audited(tmp_path))
