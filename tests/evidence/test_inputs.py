from pathlib import Path

import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.inputs import Inputs, RowHashes, Rows, evaluation_rows, hash_rows, row_hashes, rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from tests.kit import make_labels
from tests.runs import make_run

ROWS = np.random.default_rng(0).normal(size=(1000, 7))


def test_equal_rows_have_equal_hashes_and_others_do_not() -> None:
    hashes = hash_rows(ROWS)
    assert len(np.unique(hashes)) == 1000
    assert np.array_equal(hash_rows(ROWS.astype(np.float32)), hashes)
    assert np.array_equal(hash_rows(ROWS[::-1]), hashes[::-1])
    assert np.array_equal(hash_rows(ROWS.reshape(1000, 7, 1)), hashes)


def test_rows_that_differ_little_or_in_order_differ_in_hash() -> None:
    for other in (np.nextafter(np.float32(ROWS), np.float32(9)), ROWS[:, ::-1], -ROWS, ROWS * 2, ROWS + 1):
        assert not np.isin(hash_rows(other), hash_rows(ROWS)).any()


def test_small_integers_do_not_collide() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(16)] * 4), axis=-1).reshape(-1, 4)
    assert len(np.unique(hash_rows(grid))) == len(grid)
    assert np.array_equal(hash_rows(np.zeros((2, 3))), hash_rows(-np.zeros((2, 3))))


@pytest.mark.parametrize("split", ["train", "test"])
def test_hashes_of_several_inputs_are_of_the_whole_row(split: str) -> None:
    one = {"a": ROWS, "b": ROWS[:, :2]}
    other = {"a": ROWS, "b": ROWS[::-1, :2]}
    assert np.array_equal(hash_rows(one), hash_rows(dict(one)))
    assert np.mean(hash_rows(one) == hash_rows(other)) < 0.01
    assert set(row_hashes(Inputs({split: one}, {})).splits) == {split}


def test_bytes_are_not_hashed() -> None:
    with pytest.raises(Missing):
        hash_rows(np.array([[b"a", b"b"]]))


def test_row_hashes_tell_shared_and_repeated_rows() -> None:
    hashes = RowHashes({"train": hash_rows(np.concatenate([ROWS, ROWS[:10]])), "test": hash_rows(ROWS[5:15])})
    assert hashes.repeated("train").sum() == 20
    assert hashes.shared("test", "train").all()
    assert not hashes.same_rows("train", "test")
    assert not hashes.same_rows("train", "validation")
    assert RowHashes({"a": hash_rows(ROWS), "b": hash_rows(ROWS[::-1])}).same_rows("a", "b")


def test_inputs_are_cut_where_keras_cut_the_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "X_train.npy", ROWS)
    np.save(tmp_path / "y_train.npy", np.arange(1000) % 2)
    run = make_run(tmp_path, params={"validation_split": "0.2"}, metrics={"loss": [1.0]})
    evidence = Evidence({"run": run, "overrides": Overrides(), "output": 0})
    paired = evidence.get("rows")
    assert {split: item.count for split, item in paired.items()} == {"train": 800, "validation": 200}
    assert np.array_equal(paired["validation"].inputs, ROWS[800:])
    assert isinstance(evidence.get("inputs").splits["train"], np.memmap)


def test_splits_of_different_lengths_are_not_paired() -> None:
    given = Inputs({"train": ROWS, "validation": ROWS[:100]}, {})
    paired = rows(given, make_labels(np.arange(1000) % 2, np.arange(90) % 2))
    assert set(paired) == {"train"}
    with pytest.raises(Missing, match="100 rows of inputs but 90 labels"):
        rows(Inputs({"validation": ROWS[:100]}, {}), make_labels(validation=np.arange(90) % 2))


def test_rows_of_one_class_are_not_judged_on_where_others_are() -> None:
    def split(name: str, labels: np.ndarray) -> Rows:
        return Rows(name, ROWS[: len(labels)], LabelSet(labels), held_out=name != "train")

    train, one, both = np.arange(100) % 2, np.zeros(50, int), np.arange(50) % 2
    paired = {"train": split("train", train), "validation": split("validation", one), "test": split("test", both)}
    assert evaluation_rows(paired).split == "test"
    assert evaluation_rows({name: paired[name] for name in ("train", "validation")}).split == "train"
