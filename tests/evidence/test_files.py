"""Which files are labels, inputs or class names by their names, and what is read from them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import LabelEncoder

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.classes import ClassList, class_lists
from mlflow_clfaudit.evidence.files import Match, names_classes, recognise, recognise_key, words_of
from mlflow_clfaudit.evidence.tables import as_inputs, as_labels, read, read_labels
from tests.runs import make_run


@pytest.mark.parametrize(
    ("path", "holds", "split"),
    [
        ("y_train.npy", "labels", "train"),
        ("data/y_val.npy", "labels", "validation"),
        ("data/yTest.npy", "labels", "test"),
        ("ytrain.npy", "labels", "train"),
        ("train_labels.csv", "labels", "train"),
        ("labels/val.csv", "labels", "validation"),
        ("val/labels.parquet", "labels", "validation"),
        ("target-dev.json", "labels", "validation"),
        ("y.npy", "labels", "whole"),
        ("Y_tr.npy", "labels", "train"),
        ("X_train.npy", "inputs", "train"),
        ("XTrain.npy", "inputs", "train"),
        ("xtest.npz", "inputs", "test"),
        ("features/test.parquet", "inputs", "test"),
        ("X.npy", "inputs", "whole"),
        ("train.csv", "both", "train"),
        ("dataset.parquet", "both", "whole"),
        ("data/holdout.npz", "both", "test"),
        ("clfaudit/evidence/y_train.npy", "labels", "train"),
    ],
)
def test_names_that_tell(path: str, holds: str, split: str) -> None:
    (match,) = recognise([path])
    assert (match.holds, match.split) == (holds, split)


@pytest.mark.parametrize(
    "path",
    [
        "y_pred.npy",
        "test_predictions.csv",
        "y_proba_val.npy",
        "label_encoder.pkl",
        "class_names.json",
        "classes.npy",
        "class_weights.json",
        "y_train.pkl",
        "model/data/labels.json",
        "clfaudit/report.json",
        "history.csv",
        "confusion_matrix_test.csv",
        "train_ids.npy",
        "model_summary.txt",
        "yacht.csv",
    ],
)
def test_names_of_other_things(path: str) -> None:
    assert list(recognise([path])) == []


def test_keys_of_an_archive() -> None:
    assert recognise_key("x_train") == Match("x_train", "inputs", "train", ())
    assert recognise_key("y_val") == Match("y_val", "labels", "validation", ())
    assert recognise_key("weights") is None


def test_words_that_name_an_output() -> None:
    (gender, age) = recognise(["y_train_age.npy", "y_train_gender.npy"])
    assert gender.words == ("age",)
    assert age.is_for("gender", ["gender", "age"])
    assert not gender.is_for("gender", ["gender", "age"])
    (shared,) = recognise(["y_train.npy"])
    assert shared.is_for("gender", ["gender", "age"])


def test_words() -> None:
    assert words_of("trainLabels_v2") == ["train", "labels", "v"]
    assert words_of("Xval") == ["x", "val"]


def csv(folder: Path, text: str, name: str = "y_train.csv") -> np.ndarray:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return as_labels(read(path), name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label\n0\n1\n1\n", [0, 1, 1]),
        (",label\n0,1\n1,0\n2,1\n", [1, 0, 1]),
        ("0\n1\n1\n", [0, 1, 1]),
        ("0,1\n1,0\n2,1\n3,1\n", [1, 0, 1, 1]),
        ("id,label\na7,cat\na8,dog\n", ["cat", "dog"]),
        ("filename;class\na.png;cat\nb.png;dog\n", ["cat", "dog"]),
        ("cat\ndog\ncat\n", ["cat", "dog", "cat"]),
        ("animal\ndog\ncat\n", ["dog", "cat"]),
        ("0\n0.0\n1.0\n", [0.0, 1.0]),
        ("label\nTrue\nFalse\n", [True, False]),
        ("label\n1\n\n", [1]),
        ('label\ncat\n""\n', ["cat", ""]),
        ("\ufefflabel\n3\n4\n", [3, 4]),
    ],
    ids=[
        "headed",
        "with index",
        "headless",
        "headless with index",
        "with id",
        "semicolons",
        "headless text",
        "headed text",
        "header of pandas",
        "booleans",
        "blank line",
        "empty text",
        "byte order mark",
    ],
)
def test_labels_of_a_csv(text: str, expected: list[object], tmp_path: Path) -> None:
    assert csv(tmp_path, text).tolist() == expected


def test_one_hot_of_a_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.eye(3, dtype=int)[[0, 1, 2, 0]])
    for index in (True, False):
        path = tmp_path / f"y_{index}.csv"
        frame.to_csv(path, index=index)
        assert as_labels(read(path), path.name).tolist() == frame.to_numpy().tolist()
    named = frame.set_axis(["cat", "dog", "eel"], axis=1)
    named.to_csv(tmp_path / "y_named.csv", index=False)
    assert as_labels(read(tmp_path / "y_named.csv"), "y_named.csv").shape == (4, 3)


def test_columns_of_which_none_is_the_labels(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="is not clear"):
        csv(tmp_path, "one,two\na,b\nc,d\n")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([0, 1, 1], [0, 1, 1]),
        (["a", "b"], ["a", "b"]),
        ([0, "a"], ["0", "a"]),
        ({"labels": [1, 2]}, [1, 2]),
        ({"columns": ["x", "label"], "data": [[0.1, 1], [0.2, 0]]}, [1, 0]),
        ([{"x": 1, "label": "a"}, {"x": 2, "label": "b"}], ["a", "b"]),
        ([[0, 1], [1, 0]], [[0, 1], [1, 0]]),
        ([True, False], [True, False]),
        ([0.5, None], [0.5, None]),
    ],
    ids=["ints", "text", "mixed", "dict", "table", "records", "one-hot", "booleans", "missing"],
)
def test_labels_of_a_json(content: object, expected: list[object], tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content))
    found = as_labels(read(path), "labels.json").tolist()
    assert [None if value != value else value for value in found] == expected  # noqa: PLR0124 - NaN alone differs


def test_labels_of_a_table_are_read_without_its_inputs(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [0.1, 0.2], "label": ["x", "y"], "b": [1, 2]})
    frame.to_parquet(tmp_path / "train.parquet")
    frame.to_csv(tmp_path / "train.csv", index=False)
    for name in ("train.parquet", "train.csv"):
        assert list(read_labels(tmp_path / name)) == ["label"]
        assert as_inputs(read(tmp_path / name), name).tolist() == [[0.1, 1.0], [0.2, 2.0]]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([1, 2], dtype="Int64"), [1, 2]),
        (pd.Series([1, None], dtype="Int64"), [1.0, None]),
        (pd.Series(["a", None]), ["a", ""]),
        (pd.Series(["a", "b", "a"], dtype="category"), ["a", "b", "a"]),
        (pd.Series([True, False]), [True, False]),
        (pd.Series(pd.to_datetime(["2020-01-01"])), ["2020-01-01 00:00:00.000000"]),
    ],
    ids=["nullable", "nullable with a gap", "text with a gap", "category", "booleans", "dates"],
)
def test_columns_of_parquet(column: pd.Series, expected: list[object], tmp_path: Path) -> None:  # type: ignore[type-arg]
    pd.DataFrame({"label": column}).to_parquet(tmp_path / "y.parquet")
    found = read(tmp_path / "y.parquet")["label"].tolist()
    found = [None if value != value else value for value in found]  # noqa: PLR0124
    assert [str(value)[:19] for value in found] == [str(value)[:19] for value in expected]


def test_arrays_of_an_archive_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, y=[1, 2], x=np.zeros((2, 3)), bad=np.array([{}], dtype=object))
    found = read(path)
    assert list(found) == ["y", "x", "bad"]
    assert found["y"].tolist() == [1, 2]
    with pytest.raises(Missing, match="Python objects"):
        found["bad"]
    with pytest.raises(KeyError):
        found["z"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("y.npy", b"", "is empty"),
        ("y.npy", b"garbage", "holds Python objects"),
        ("y.npz", b"garbage", "cannot be read"),
        ("y.parquet", b"garbage", "cannot be read"),
        ("y.json", b"{", "cannot be read"),
        ("y.bin", b"garbage", "unknown format"),
    ],
)
def test_what_cannot_be_read_is_missing_with_the_next_step(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Missing, match=reason):
        read(tmp_path / name)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.array(["a", None], dtype=object), allow_pickle=True)
    with pytest.raises(Missing, match="Python objects") as caught:
        read(tmp_path / "y.npy")
    assert "np.save" in caught.value.how_to_supply


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("class_names.json", True),
        ("classes.npy", True),
        ("labels.txt", True),
        ("label_map.yaml", True),
        ("data/class_indices.json", True),
        ("label_encoder.pkl", True),
        ("label_encoder_train.pkl", True),
        ("target_names.csv", True),
        ("y_train.npy", False),
        ("class_weights.json", False),
        ("model/classes.json", False),
        ("labels.parquet", False),
    ],
)
def test_names_of_class_lists(path: str, named: bool) -> None:
    assert names_classes(path) is named


def listed(folder: Path, **fields: object) -> tuple[ClassList, ...]:
    """The class lists of a run with the folder's files; none where it has none."""
    try:
        return class_lists(make_run(folder, **fields))
    except Missing:
        return ()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("class_names.json", '["cat", "dog"]', ("cat", "dog")),
        ("class_indices.json", '{"dog": 1, "cat": 0}', ("cat", "dog")),
        ("label_map.json", '{"1": "dog", "0": "cat"}', ("cat", "dog")),
        ("classes.json", '{"classes": ["cat", "dog"]}', ("cat", "dog")),
        ("labels.txt", "cat\nsea lion\n", ("cat", "sea lion")),
        ("labels.txt", "cat, dog, eel", ("cat", "dog", "eel")),
        ("label_map.yaml", "0: cat\n1: dog\n", ("cat", "dog")),
        ("class_names.csv", "name\ncat\ndog\n", ("cat", "dog")),
        ("class_names.json", "[10, 20]", ("10", "20")),
    ],
)
def test_lists_of_classes(name: str, text: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    (found,) = listed(tmp_path)
    assert found.names == expected
    assert not found.is_encoder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.json", "[0, 1, 1, 0]"),
        ("classes.json", '["cat"]'),
        ("label_map.json", '{"cat": 1, "dog": 2}'),
        ("class_names.json", '{"cat": {}, "dog": []}'),
        ("class_names.json", "no JSON"),
        ("labels.txt", ""),
        ("class_names.json", "[1.5, 2.5]"),
    ],
    ids=["labels", "one", "not from 0", "nested", "broken", "empty", "fractions"],
)
def test_what_is_no_list_of_classes(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert listed(tmp_path) == ()


@pytest.mark.parametrize("values", [["cat", "ant", "bee"], [30, 10, 20], [2.0, 1.0]], ids=["text", "ints", "floats"])
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_pickled_encoder_is_read_without_running_it(values: list[object], protocol: int, tmp_path: Path) -> None:
    (tmp_path / "label_encoder.pkl").write_bytes(pickle.dumps(LabelEncoder().fit(values), protocol=protocol))
    found = listed(tmp_path)
    if isinstance(values[0], float):
        assert found == ()
        return
    assert found[0].names == tuple(str(value) for value in sorted(values, key=str))
    assert found[0].is_encoder


def test_an_encoder_fitted_on_objects(tmp_path: Path) -> None:
    encoder = LabelEncoder().fit(np.array(["b", "a"], dtype=object))
    (tmp_path / "label_encoder.pkl").write_bytes(pickle.dumps(encoder))
    assert listed(tmp_path)[0].names == ("a", "b")


class Bomb:
    """Runs a command when it is unpickled, unless nothing is imported."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "label_encoder.pkl").write_bytes(pickle.dumps(Bomb(marker)))
    assert listed(tmp_path) == ()
    assert not marker.exists()


def test_no_pickle_is_opened_where_mlflow_forbids_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "label_encoder.pkl").write_bytes(pickle.dumps(["a", "b"]))
    assert len(listed(tmp_path)) == 1
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    assert listed(tmp_path) == ()


def test_encoders_come_before_lists_of_names_and_params_last(tmp_path: Path) -> None:
    (tmp_path / "class_names.json").write_text('["b", "a"]')
    (tmp_path / "label_encoder_classes.json").write_text('["a", "b"]')
    found = listed(tmp_path, params={"classes": "['a', 'b']"})
    assert [item.source for item in found] == ["label_encoder_classes.json", "class_names.json", "the param classes"]


def test_a_list_of_one_split(tmp_path: Path) -> None:
    (tmp_path / "label_encoder_test.json").write_text('["a", "b"]')
    assert listed(tmp_path)[0].split == "test"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": ["a b", "c"], "label": [0, 1]}, ["a b", "c"]),
        ({"id": [17, 4], "review": ["a b", "c"], "label": [0, 1]}, ["a b", "c"]),
        ({"age": [17, 4], "name": ["a b", "c"], "label": [0, 1]}, [[17], [4]]),
    ],
    ids=["text", "numbered text", "a table with text beside numbers"],
)
def test_inputs_of_a_table_with_text(columns: dict[str, list[object]], expected: list[object]) -> None:
    assert as_inputs({name: np.array(values) for name, values in columns.items()}, "val.csv").tolist() == expected
