"""How the rows were split: by Keras's slice, by time, by group, and what says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.inputs import Inputs
from mlflow_clfaudit.evidence.splits import groups, split_codes, split_design
from tests.kit import make_labels
from tests.runs import make_run


def logged_groups(folder: Path, **splits: object) -> Path:
    for name, values in splits.items():
        np.save(folder / f"{name}.npy", np.asarray(values))
    return folder


def test_groups_are_found_by_the_names_of_their_files(tmp_path: Path) -> None:
    folder = logged_groups(tmp_path, groups_train=[1, 1, 2], patient_val=[3, 4], X_test=[5.0])
    found = groups(make_run(folder))
    assert {split: values.tolist() for split, values in found.items()} == {"train": [1, 1, 2], "validation": [3, 4]}


def test_groups_of_one_split_or_in_damaged_files_say_nothing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no groups by split"):
        groups(make_run(logged_groups(tmp_path, groups_train=[1, 2])))
    (tmp_path / "groups_val.npy").write_bytes(b"no array")
    with pytest.raises(Missing, match="no groups by split"):
        groups(make_run(tmp_path))


@pytest.mark.parametrize(
    ("fields", "design"),
    [
        ({"params": {"split": "TimeSeriesSplit(5)"}}, "temporal"),
        ({"params": {"cv": "GroupKFold"}}, "grouped"),
        ({"tags": {"validation": "out-of-time"}}, "temporal"),
        ({"tags": {"split_by_patient": "yes"}}, "grouped"),
    ],
)
def test_params_and_tags_name_the_design(fields: dict[str, dict[str, str]], design: str) -> None:
    assert split_design(make_run(**fields)) == design


def test_words_elsewhere_and_mlflows_own_tags_name_none() -> None:
    run = make_run(params={"timeout": "5", "split": "0.2"}, tags={"mlflow.user": "split by time"})
    with pytest.raises(Missing, match="nothing says"):
        split_design(run)


def test_groups_that_are_in_one_split_each_are_a_design_and_others_are_none() -> None:
    train = np.array([1, 1, 2])
    assert split_design(make_run(), None, {"train": train, "validation": np.array([3, 3])}) == "grouped"
    with pytest.raises(Missing):
        split_design(make_run(), None, {"train": train, "validation": np.array([2, 3])})


def test_a_column_that_goes_on_rising_in_the_held_out_rows_is_time() -> None:
    random = np.random.default_rng(0)
    table = np.column_stack([random.normal(size=100), np.arange(100.0)])
    assert split_design(make_run(), Inputs({"train": table[:80], "validation": table[80:]}, {})) == "temporal"
    for other in (table[:20], table[80:, :1], random.normal(size=(20, 3, 3))):
        with pytest.raises(Missing):
            split_design(make_run(), Inputs({"train": table[:80], "validation": other}, {}))
    with pytest.raises(Missing):
        split_design(make_run(), Inputs({"train": table[:80]}, {}))


def test_labels_that_cannot_be_compared_are_not() -> None:
    with pytest.raises(Missing, match="text and of another numbers"):
        split_codes(make_labels(["a", "b"] * 5, [0, 1] * 5))
    with pytest.raises(Missing, match="encoded differently"):
        split_codes(make_labels([0, 1] * 5, [1, 2] * 5))
    with pytest.raises(Missing, match="not class labels"):
        split_codes(make_labels(np.arange(20), np.arange(20)))
