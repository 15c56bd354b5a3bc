"""What is stored comes back as it was given: values, dtype and form, without pickles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.label_set import label_set
from mlflow_clfaudit.storage import as_array, read_inputs, read_labels, write_classes, write_inputs, write_labels

LABELS: dict[str, Any] = {
    "integers": np.array([3, 1, 2, 1], dtype=np.int16),
    "booleans": np.array([True, False, True]),
    "floats with NaN": np.array([0.0, np.nan, 1.0], dtype=np.float32),
    "text": np.array(["cat", "dog", "cat"]),
    "one-hot": np.eye(4, dtype=np.float32)[[2, 0, 3, 3]],
    "one-hot integers": np.eye(3, dtype=np.int64)[[0, 0, 2]],
    "multi-hot": np.array([[1, 1, 0], [0, 0, 0]], dtype=np.uint8),
    "soft": np.array([[0.9, 0.1], [0.2, 0.8]]),
    "one-hot but for one row": np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
}


def round_trip(folder: Path, labels: np.ndarray) -> np.ndarray:
    write_labels(folder / "labels_train.parquet", labels)
    return read_labels(folder / "labels_train.parquet").values


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_labels_come_back_with_their_dtype_and_form(tmp_path: Path, labels: np.ndarray) -> None:
    found = round_trip(tmp_path, labels)
    np.testing.assert_array_equal(found, labels)
    assert found.dtype.kind == labels.dtype.kind
    assert found.dtype == labels.dtype or labels.dtype.kind == "U"
    assert label_set(found, "").form == label_set(labels, "").form


@given(
    stnp.arrays(
        st.sampled_from([np.int64, np.float32, np.float64, np.uint8, np.bool_]),
        st.one_of(st.tuples(st.integers(1, 20)), st.tuples(st.integers(1, 20), st.integers(2, 6))),
    )
)
def test_any_numeric_labels_come_back(tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray) -> None:
    found = round_trip(tmp_path_factory.mktemp("labels"), labels)
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == labels.dtype


def test_a_column_is_a_list_of_labels(tmp_path: Path) -> None:
    np.testing.assert_array_equal(round_trip(tmp_path, np.array([[1], [0]])), [1, 0])


def test_missing_text_is_empty_and_mixed_objects_are_text(tmp_path: Path) -> None:
    found = round_trip(tmp_path, np.array(["a", None, 3, float("nan")], dtype=object))
    assert found.tolist() == ["a", "", "3", ""]


def test_ten_classes_of_a_million_one_hot_rows_take_less_than_a_byte_a_row(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 10, 1_000_000)
    path = tmp_path / "labels_train.parquet"
    write_labels(path, np.eye(10, dtype=np.float32)[codes])
    assert path.stat().st_size < len(codes)


def test_predictions_and_weights_stand_beside_their_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels_test.parquet"
    write_labels(path, np.array([0, 1]), predictions=np.array([[0.8, 0.2], [0.4, 0.6]]), weights=np.array([1.0, 2.0]))
    found = read_labels(path)
    assert found.predictions is not None
    assert found.weights is not None
    np.testing.assert_array_equal(found.predictions, [[0.8, 0.2], [0.4, 0.6]])
    np.testing.assert_array_equal(found.weights, [1.0, 2.0])


@pytest.mark.parametrize("beside", [np.zeros(3), np.zeros((2, 2, 2))], ids=["of other rows", "of three dimensions"])
def test_predictions_that_do_not_belong_to_the_labels_are_refused(tmp_path: Path, beside: np.ndarray) -> None:
    with pytest.raises(ValueError, match="predictions of shape"):
        write_labels(tmp_path / "labels_test.parquet", np.array([0, 1]), predictions=beside)


@pytest.mark.parametrize(
    "values",
    [
        [0, 1, 2],
        (0, 1, 2),
        range(3),
        pd.Series([0, 1, 2], index=[7, 5, 3]),
        pd.Series([0, 1, 2], dtype="Int64"),
        pd.Series([0, 1, 2]).astype("category"),
        pd.DataFrame({"y": [0, 1, 2]}),
        scipy.sparse.csr_matrix([[0], [1], [2]]),
    ],
    ids=["list", "tuple", "range", "series", "nullable", "categories", "frame", "sparse"],
)
def test_labels_of_every_container_are_arrays(values: Any) -> None:
    np.testing.assert_array_equal(as_array(values).ravel(), [0, 1, 2])


def test_missing_nullable_numbers_are_nan() -> None:
    np.testing.assert_array_equal(as_array(pd.Series([1, None], dtype="Int64")), [1.0, np.nan])


def test_one_value_is_no_array_of_labels() -> None:
    with pytest.raises(TypeError, match="one value a row"):
        as_array(3)


def test_inputs_of_one_array_are_memory_mapped(tmp_path: Path) -> None:
    given_inputs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    found = read_inputs(write_inputs(tmp_path, "train", given_inputs))
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, given_inputs)


@pytest.mark.parametrize(
    ("given_inputs", "names"),
    [
        ({"a": np.ones((4, 2)), "b": np.zeros(4)}, ["a", "b"]),
        ([np.ones((4, 2)), np.zeros(4)], ["input_0", "input_1"]),
    ],
    ids=["named", "listed"],
)
def test_several_inputs_keep_their_names_or_places(tmp_path: Path, given_inputs: Any, names: list[str]) -> None:
    found = read_inputs(write_inputs(tmp_path, "train", given_inputs))
    assert list(found) == names
    assert [part.shape for part in found.values()] == [(4, 2), (4,)]


def test_a_list_of_rows_is_one_array(tmp_path: Path) -> None:
    found = read_inputs(write_inputs(tmp_path, "train", [[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(found, [[1.0, 2.0], [3.0, 4.0]])


def test_a_table_of_numbers_is_an_array_and_keeps_its_columns_in_the_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": [30, 40], "label": [0.5, 1.5]}, index=[9, 8])
    path = write_inputs(tmp_path, "train", frame)
    assert list(pd.read_parquet(path)) == ["age", "label"]
    np.testing.assert_array_equal(read_inputs(path), [[30, 0.5], [40, 1.5]])


def test_a_table_of_measurements_takes_no_more_room_than_its_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20_000, 5)), columns=list("abcde"))
    frame["code"] = np.arange(20_000) % 7
    path = write_inputs(tmp_path, "train", frame)
    assert path.stat().st_size < 1.02 * frame[list("abcde")].to_numpy().nbytes
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)


@pytest.mark.parametrize("whole", [True, False], ids=["one block", "column by column"])
def test_a_table_of_numbers_of_one_type_is_kept_as_an_array_beside_its_columns(tmp_path: Path, whole: bool) -> None:
    numbers = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    frame = pd.DataFrame(numbers, columns=["age", "größe", 3])
    if not whole:
        frame = pd.DataFrame({name: frame[name].to_numpy() for name in frame})
    path = write_inputs(tmp_path, "train", frame)
    found = read_inputs(path)
    assert (path.name, found.dtype) == ("inputs_train.npy", np.float32)
    np.testing.assert_array_equal(found, numbers)
    assert json.loads((tmp_path / "columns_train.json").read_text(encoding="utf-8")) == ["age", "größe", "3"]


def test_tables_with_text_are_kept_but_not_judged(tmp_path: Path) -> None:
    path = write_inputs(tmp_path, "train", pd.DataFrame({"age": [30, 40], "city": ["Ulm", None]}))
    assert pd.read_parquet(path)["city"].isna().tolist() == [False, True]
    with pytest.raises(Missing, match="not numbers"):
        read_inputs(path)


def test_row_numbers_of_a_sample(tmp_path: Path) -> None:
    write_inputs(tmp_path, "train", np.zeros((2, 1)), rows=np.array([4, 9]))
    np.testing.assert_array_equal(np.load(tmp_path / "rows_train.npy"), [4, 9])


def test_objects_are_never_pickled(tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError)):
        write_inputs(tmp_path, "train", {"a": np.array([{"b": 1}], dtype=object)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PAR1 broken", b"\x00" * 100], ids=["empty", "broken", "zeros"])
def test_damaged_files_are_missing_evidence(tmp_path: Path, content: bytes) -> None:
    for name, reader in (("labels_train.parquet", read_labels), ("inputs_train.npy", read_inputs)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Missing, match=f"{name} cannot be read"):
            reader(tmp_path / name)


def test_a_table_of_someone_else_is_not_taken_for_ours(tmp_path: Path) -> None:
    pd.DataFrame({"label": [0, 1]}).to_parquet(tmp_path / "labels_train.parquet")
    with pytest.raises(Missing, match="cannot be read"):
        read_labels(tmp_path / "labels_train.parquet")


def test_class_names_are_text(tmp_path: Path) -> None:
    write_classes(tmp_path, ["Straße", 2])
    assert (tmp_path / "classes.json").read_text(encoding="utf-8") == '["Straße", "2"]'


def test_tensors_and_small_floats_are_arrays(tmp_path: Path) -> None:
    class Tensor:
        """What a tensor of torch looks like."""

        def detach(self) -> Tensor:
            return self

        def cpu(self) -> Any:
            return np.array([1.5, 2.5], dtype=np.float16)

    assert as_array(Tensor()).tolist() == [1.5, 2.5]
    assert round_trip(tmp_path, as_array(Tensor())).dtype == np.float32


def test_text_inputs_are_a_table_and_deeper_ones_are_refused(tmp_path: Path) -> None:
    path = write_inputs(tmp_path, "train", ["a text", "another"])
    assert pd.read_parquet(path)["0"].tolist() == ["a text", "another"]
    with pytest.raises(TypeError, match="not kept"):
        write_inputs(tmp_path, "train", np.full((2, 2, 2), "a"))


def test_more_label_columns_than_anyone_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="20001 columns are not kept"):
        write_labels(tmp_path / "labels_train.parquet", np.full((1, 20_001), 2))


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"schema": 1, "one_hot": 1, "dtype": "float32"}, "1 classes"),
        ({"schema": 1, "one_hot": 3, "dtype": "object"}, "of object"),
        ({"schema": 1, "one_hot": 20_000, "dtype": "float64"}, "rows of 20000 classes"),
    ],
)
def test_one_hot_rows_that_no_machine_would_hold_are_not_unfolded(
    tmp_path: Path, about: dict[str, Any], reason: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"label": np.zeros(30_000, np.int32)})
    named = table.replace_schema_metadata({b"mlflow_clfaudit": json.dumps(about)})
    pq.write_table(named, tmp_path / "labels_train.parquet")
    with pytest.raises(Missing, match=reason):
        read_labels(tmp_path / "labels_train.parquet")


def test_a_file_of_ours_without_labels_is_missing_evidence(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"other": [1, 2]}).replace_schema_metadata({b"mlflow_clfaudit": b"{}"})
    pq.write_table(table, tmp_path / "labels_train.parquet")
    with pytest.raises(Missing, match="no column is named label"):
        read_labels(tmp_path / "labels_train.parquet")
