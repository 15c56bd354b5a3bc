"""Labels in every form that runs carry them, as one kind of object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence import label_set as module
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.label_set import LabelSet, label_set
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.run import Dataset
from mlflow_clfaudit.evidence.spec import Head, Spec
from tests.kit import make_head, make_spec
from tests.runs import make_run


def of_run(
    folder: Path, *, overrides: Overrides | None = None, spec: Spec | None = None, output: int = 0, **fields: object
) -> Labels:
    """The labels of a run with the folder's files."""
    given = {"run": make_run(folder, **fields), "overrides": overrides or Overrides(), "output": output}
    return Evidence(given | ({"spec": spec} if spec else {})).get("labels")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ([0, 1, 2], "integer"),
        ([0.0, 1.0], "integer"),
        ([0.0, np.nan, 1.0], "integer"),
        ([0.0, 0.5], "continuous"),
        ([True, False], "boolean"),
        (["a", "b"], "string"),
        (np.eye(3), "one-hot"),
        (np.eye(3, dtype=bool), "one-hot"),
        ([[1, 1, 0], [0, 1, 0]], "multi-hot"),
        ([[0.9, 0.1], [0.2, 0.8]], "soft"),
        ([[3.0, 1.0], [2.0, -1.0]], "matrix"),
        ([[0.5, np.nan], [0.5, 0.5]], "matrix"),
        (np.array([0, 1], dtype=np.uint8), "integer"),
    ],
)
def test_forms(values: object, form: str) -> None:
    assert LabelSet(np.asarray(values)).form == form


def test_a_few_broken_rows_leave_one_hot_labels_what_they_are() -> None:
    values = np.eye(3)[np.zeros(1000, dtype=int)]
    values[:5] = 0
    assert LabelSet(values).form == "one-hot"
    values[:200] = 1
    assert LabelSet(values).form == "multi-hot"


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([0.0, 1.0], [0, 1]),
        ([True, False], [1, 0]),
        (np.eye(3)[[2, 0]], [2, 0]),
        ([[0.1, 0.9]], [1]),
        (["b", "a"], ["b", "a"]),
        ([0.5, 0.25], [0.5, 0.25]),
    ],
)
def test_codes(values: object, codes: list[object]) -> None:
    assert LabelSet(np.asarray(values)).codes.tolist() == codes


VALUES = st.one_of(
    arrays.arrays(np.int64, st.integers(1, 40), elements=st.integers(-(2**40), 2**40)),
    arrays.arrays(np.int16, st.integers(1, 40), elements=st.integers(-5, 5)),
    arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-5, 5, width=16)),
    arrays.arrays(np.dtype("U3"), st.integers(1, 40), elements=st.text("abé ", max_size=3)),
    arrays.arrays(np.bool_, st.integers(1, 40)),
)


@given(values=VALUES)
def test_classes_index_and_counts_are_those_of_numpy(values: np.ndarray) -> None:
    labels = LabelSet(values)
    classes, index, counts = np.unique(labels.codes, return_inverse=True, return_counts=True)
    assert labels.classes.tolist() == classes.tolist()
    assert labels.index.tolist() == index.tolist()
    assert labels.counts == dict(zip(classes.tolist(), counts.tolist(), strict=True))
    assert labels.units[0].tolist() == index.tolist()


@given(
    values=arrays.arrays(
        np.float32, st.tuples(st.integers(1, 60), st.integers(2, 4)), elements=st.sampled_from([0, 1, 0.5])
    )
)
def test_forms_do_not_depend_on_how_rows_are_read(values: np.ndarray) -> None:
    whole = LabelSet(values)
    kept = module.CHUNK_ROWS
    try:
        module.CHUNK_ROWS = 7
        pieces = LabelSet(values)
        assert (pieces.form, pieces.codes.tolist()) == (whole.form, whole.codes.tolist())
    finally:
        module.CHUNK_ROWS = kept


def test_text_in_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 3)
    labels = LabelSet(np.array(["b", "a", "b", "c", "a", "d", "b"]))
    assert labels.classes.tolist() == ["a", "b", "c", "d"]
    assert labels.classes[labels.index].tolist() == labels.values.tolist()
    assert labels.counts == {"a": 2, "b": 3, "c": 1, "d": 1}


def test_missing_labels_have_no_place() -> None:
    labels = LabelSet(np.array([2.0, np.nan, 0.0]))
    assert labels.has_missing
    assert labels.classes.tolist() == [0.0, 2.0]
    assert labels.index.tolist() == [1, -1, 0]
    assert labels.counts == {0.0: 1, 2.0: 1}
    assert labels.span == (0.0, 2.0)


def test_too_many_values_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTED", 10)
    assert LabelSet(np.linspace(0, 1, 11)).counts == {}
    assert len(LabelSet(np.linspace(0, 1, 10)).counts) == 10


def test_the_scale_orders_the_units() -> None:
    labels = LabelSet(np.array(["dog", "ant"]), scale=np.array(["dog", "cat", "ant"]))
    assert [part.tolist() if isinstance(part, np.ndarray) else part for part in labels.units] == [[0, 2], 3]
    strange = LabelSet(np.array(["eel"]), scale=np.array(["dog", "cat"]))
    assert strange.units[1] == 1


def save(folder: Path, **values: object) -> None:
    for name, value in values.items():
        np.save(folder / f"{name}.npy", np.asarray(value))


def test_splits_by_the_names_of_files(tmp_path: Path) -> None:
    save(tmp_path, y_train=[0, 1, 1], y_val=[1, 0], y_test=[0], y_pred=[5, 5])
    found = of_run(tmp_path)
    assert {split: labels.values.tolist() for split, labels in found.splits.items()} == {
        "train": [0, 1, 1],
        "validation": [1, 0],
        "test": [0],
    }
    assert found.splits["train"].source == "y_train.npy"
    assert isinstance(found.splits["train"].values, np.memmap)


def test_a_column_is_remembered_and_flattened(tmp_path: Path) -> None:
    save(tmp_path, y_train=[[0], [1]], y_val=[0, 1])
    found = of_run(tmp_path)
    assert found.splits["train"].values.shape == (2,)
    assert (found.splits["train"].column, found.splits["validation"].column) == (True, False)


def test_text_keeps_one_order_over_splits_that_lack_classes(tmp_path: Path) -> None:
    save(tmp_path, y_train=["ant", "bee", "cat"] * 5, y_val=["bee", "cat"] * 5)
    found = of_run(tmp_path)
    assert found.splits["validation"].units[0][:2].tolist() == [1, 2]
    assert found.splits["validation"].units[1] == 3


def test_numbers_on_another_scale_are_not_further_classes(tmp_path: Path) -> None:
    save(tmp_path, y_train=[0, 1] * 5, y_test=[1, 2] * 5)
    assert of_run(tmp_path).splits["test"].units[0][:2].tolist() == [0, 1]
    save(tmp_path, y_train=[1, 2, 3] * 5, y_test=[2, 3] * 5)
    assert of_run(tmp_path).splits["test"].units[0][:2].tolist() == [1, 2]


def test_an_encoder_orders_text_and_names_the_classes(tmp_path: Path) -> None:
    save(tmp_path, y_train=["ant", "bee", "cat"] * 5)
    (tmp_path / "label_encoder_classes.json").write_text('["cat", "bee", "ant"]')
    found = of_run(tmp_path)
    assert found.names == ("cat", "bee", "ant")
    assert found.splits["train"].units[0][:3].tolist() == [2, 1, 0]


def test_a_list_that_a_person_wrote_names_but_does_not_order(tmp_path: Path) -> None:
    save(tmp_path, y_train=["ant", "bee", "cat"] * 5)
    (tmp_path / "class_names.json").write_text('["cat", "bee", "ant"]')
    found = of_run(tmp_path)
    assert found.names == ("cat", "bee", "ant")
    assert found.splits["train"].units[0][:3].tolist() == [0, 1, 2]


def test_an_encoder_of_other_classes_does_not_order(tmp_path: Path) -> None:
    save(tmp_path, y_train=["ant", "bee", "cow"] * 5)
    (tmp_path / "label_encoder_classes.json").write_text('["cat", "bee", "ant"]')
    assert of_run(tmp_path).splits["train"].units[0][:3].tolist() == [0, 1, 2]


def test_whole_labels_are_cut_as_keras_cuts_them(tmp_path: Path) -> None:
    save(tmp_path, y=np.arange(817) % 2)
    found = of_run(tmp_path, params={"validation_split": "0.2"})
    assert found.whole is not None
    assert (found.whole.rows, found.splits["train"].rows, found.splits["validation"].rows) == (817, 653, 164)
    assert "last 164 rows" in found.splits["validation"].source


@pytest.mark.parametrize("reason", ["validation labels", "a validation data set", "no split"])
def test_labels_that_keras_did_not_cut(reason: str, tmp_path: Path) -> None:
    save(tmp_path, y_train=np.arange(100) % 2)
    fields: dict[str, object] = {"params": {"validation_split": "0.2"}}
    if reason == "validation labels":
        save(tmp_path, y_val=np.arange(10) % 2)
    elif reason == "a validation data set":
        fields["datasets"] = (Dataset("dataset", "eval", "abc", "code"),)
    else:
        fields = {}
    found = of_run(tmp_path, **fields)
    assert found.whole is None
    assert found.splits["train"].rows == 100


def test_an_archive_of_several_splits(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=np.zeros((3, 2)), y_train=[0, 1, 0], x_test=np.zeros((2, 2)), y_test=[1, 0])
    found = of_run(tmp_path)
    assert {split: labels.rows for split, labels in found.splits.items()} == {"train": 3, "test": 2}
    assert found.splits["test"].source == "data.npz:y_test"


def test_a_json_of_several_splits(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(json.dumps({"train": [0, 1, 1], "val": [1, 0]}))
    assert {split: labels.rows for split, labels in of_run(tmp_path).splits.items()} == {"train": 3, "validation": 2}


def test_a_list_of_classes_is_not_taken_for_labels(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["cat", "dog", "eel"]')
    save(tmp_path, y_train=[0, 1, 2, 0])
    found = of_run(tmp_path)
    assert list(found.splits) == ["train"]
    assert found.names == ("cat", "dog", "eel")


def test_labels_in_a_file_that_could_be_a_list_of_classes(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["cat", "dog", "cat"]')
    found = of_run(tmp_path)
    assert found.splits["train"].values.tolist() == ["cat", "dog", "cat"]
    assert found.names is None


def test_arrays_come_before_tables_and_the_command_line_before_all(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("x,label\n1,0\n2,1\n")
    save(tmp_path, y_train=[1, 1, 0])
    assert of_run(tmp_path).splits["train"].rows == 3
    save(tmp_path, given=[0, 0, 1, 1, 1])
    overrides = Overrides(labels={"train": "given.npy"})
    assert of_run(tmp_path, overrides=overrides).splits["train"].rows == 5
    overrides = Overrides(labels={"train": str(tmp_path / "given.npy")})
    assert of_run(tmp_path, overrides=overrides).splits["train"].rows == 5


def two_outputs() -> Spec:
    heads: Mapping[str, Head] = {
        "gender": make_head(1, "sigmoid", "binary_crossentropy", name="gender"),
        "age_band": make_head(4, "softmax", "sparse_categorical_crossentropy", name="age_band"),
    }
    return make_spec(*heads.values())


def test_labels_of_an_output_by_the_name_in_the_file(tmp_path: Path) -> None:
    save(tmp_path, y_train_gender=[0, 1, 1], y_train_age_band=[3, 2, 1])
    spec = two_outputs()
    assert of_run(tmp_path, spec=spec, output=0).splits["train"].values.tolist() == [0, 1, 1]
    assert of_run(tmp_path, spec=spec, output=1).splits["train"].values.tolist() == [3, 2, 1]


def test_labels_of_an_output_by_the_key_in_an_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "y_train.npz", gender=[0, 1, 1], age_band=[3, 2, 1])
    np.savez(tmp_path / "val.npz", y_gender=[1], y_age_band=[2])
    spec = two_outputs()
    for output, (train, validation) in enumerate([([0, 1, 1], [1]), ([3, 2, 1], [2])]):
        found = of_run(tmp_path, spec=spec, output=output)
        assert found.splits["train"].values.tolist() == train
        assert found.splits["validation"].values.tolist() == validation


def test_labels_that_name_no_output_belong_to_all(tmp_path: Path) -> None:
    save(tmp_path, y_train=[0, 1, 1])
    assert of_run(tmp_path, spec=two_outputs(), output=1).splits["train"].rows == 3


def test_labels_of_another_output_are_not_taken(tmp_path: Path) -> None:
    save(tmp_path, y_train_gender=[0, 1, 1])
    with pytest.raises(Missing):
        of_run(tmp_path, spec=two_outputs(), output=1)


def test_no_labels_say_how_to_log_them(tmp_path: Path) -> None:
    with pytest.raises(Missing) as caught:
        of_run(tmp_path)
    assert "log_labels" in caught.value.how_to_supply


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "y_train.npy").write_bytes(b"")
    with pytest.raises(Missing, match=r"y_train\.npy is empty"):
        of_run(tmp_path)
    save(tmp_path, y_val=[0, 1])
    assert list(of_run(tmp_path).splits) == ["validation"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((2, 3, 4)), "not judged"),
        (np.array([], dtype=int), "no labels"),
        (np.zeros((29, 0)), "no labels"),
        (np.array([1j]), "not judged"),
        (np.array([["cat", "tame"], ["dog", "wild"]]), "not judged"),
        (np.array([[b"cat", b"tame"]]), "not judged"),
    ],
    ids=["images", "empty", "no columns", "complex", "columns of text", "columns of bytes"],
)
def test_what_is_no_array_of_labels(values: np.ndarray, reason: str) -> None:
    with pytest.raises(Missing, match=reason):
        label_set(values, "y.npy")


def test_bytes_are_text() -> None:
    assert label_set(np.array([b"cat", b"dog"]), "y.npy").values.tolist() == ["cat", "dog"]
    assert label_set(np.array(["chèvre".encode(), b"\xe2"]), "y.npy").values.tolist() == [
        "chèvre",
        "\N{REPLACEMENT CHARACTER}",
    ]


def test_classes_of_all_splits() -> None:
    splits = {"train": LabelSet(np.array([0, 2])), "test": LabelSet(np.array([1]))}
    assert Labels(splits).classes.tolist() == [0, 1, 2]
    mixed = {"train": LabelSet(np.array([0, 2])), "test": LabelSet(np.array(["a"]))}
    assert Labels(mixed).classes.tolist() == ["0", "2", "a"]
    assert [split for split, _ in Labels(splits).held_out()] == ["test"]
