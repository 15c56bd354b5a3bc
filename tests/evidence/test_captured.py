"""What the hook wrote is read back and trusted first: real arguments, labels, samples of inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mlflow_clfaudit.capture import Capture, capture, write, write_manifest
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.sampling import Limits
from tests.runs import make_run

X = np.arange(1000.0).reshape(-1, 1)
Y = np.arange(1000) % 2


def evidence_of(folder: Path, **fields: Any) -> Evidence:
    return Evidence({"run": make_run(folder, **fields), "overrides": Overrides(), "output": 0})


def evidence_folder(folder: Path) -> Path:
    path = folder / "clfaudit" / "evidence"
    path.mkdir(parents=True)
    return path


def store(folder: Path, captured: Capture, fits: int = 1) -> None:
    path = evidence_folder(folder)
    write_manifest(path, {**write(path, captured, version="1"), "fits": fits})


def keras_fit(folder: Path, *, fits: int = 1, **arguments: Any) -> Evidence:
    """Evidence of a run with a manifest of these arguments, and with params that say something else."""
    store(folder, Capture("keras", "Sequential", arguments), fits)
    params = {"epochs": "7", "validation_split": "0.5", "optimizer_name": "adam", "optimizer_learning_rate": "0.5"}
    return evidence_of(folder, params=params)


def test_the_arguments_that_fit_was_given_are_trusted_before_the_params(tmp_path: Path) -> None:
    fit = keras_fit(
        tmp_path,
        epochs=50,
        batch_size=10,
        validation_split=0.2,
        shuffle=True,
        class_weight={"0": 1.0, "spam": 2.0},
        optimizer="SGD",
        learning_rate=0.01,
        callbacks=[{"class": "Printer"}, {"class": "EarlyStopping", "monitor": "val_loss", "patience": 3}],
    ).get("fit")
    assert (fit.epochs, fit.batch_size, fit.validation_split, fit.shuffle) == (50, 10, 0.2, True)
    assert fit.class_weight == {0: 1.0, "spam": 2.0}
    assert (fit.optimizer, fit.learning_rate) == ("sgd", 0.01)
    assert fit.callbacks == {"monitor": "val_loss", "patience": "3"}


def test_of_several_fits_only_what_holds_for_all_is_believed(tmp_path: Path) -> None:
    fit = keras_fit(tmp_path, fits=3, epochs=1, learning_rate=0.01, validation_split=0.0).get("fit")
    assert fit.epochs is None
    assert fit.learning_rate == 0.5


def test_without_the_hook_the_params_speak() -> None:
    evidence = Evidence({"run": make_run(params={"epochs": "7"}), "overrides": Overrides(), "output": 0})
    assert evidence.get("fit").epochs == 7
    with pytest.raises(Missing, match="without the hook"):
        evidence.get("captured")


def sampled(folder: Path) -> Evidence:
    found = capture(LogisticRegression(), {"X": X, "y": Y}, Limits(max_bytes=800))
    assert found is not None
    store(folder, found)
    return evidence_of(folder)


def test_labels_are_read_in_full_and_paired_with_a_sample_of_inputs(tmp_path: Path) -> None:
    evidence = sampled(tmp_path)
    assert evidence.get("labels").train.rows == 1000
    rows = evidence.get("rows")["train"]
    assert rows.sampled
    assert 95 <= rows.count <= 100
    np.testing.assert_array_equal(rows.labels.values, np.asarray(rows.inputs)[:, 0] % 2)


@pytest.mark.parametrize("numbers", [[-1, 0], [0, 5000], [0.5]], ids=["negative", "too large", "no integers"])
def test_row_numbers_that_make_no_sense_pair_nothing(tmp_path: Path, numbers: list[float]) -> None:
    evidence = sampled(tmp_path)
    np.save(tmp_path / "clfaudit" / "evidence" / "rows_train.npy", np.array(numbers))
    with pytest.raises(Missing, match="rows of inputs but 1000 labels"):
        evidence.get("rows")


def test_what_was_captured_comes_before_what_was_logged(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "y_train.npy", 1 - Y)
    assert sampled(tmp_path).get("labels").train.source == "clfaudit/evidence/labels_train.parquet"


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema": 1}', json.dumps({"framework": "keras", "fits": "many"})], ids=str
)
def test_a_damaged_manifest_is_missing_evidence(tmp_path: Path, content: str) -> None:
    (evidence_folder(tmp_path) / "manifest.json").write_text(content)
    evidence = evidence_of(tmp_path, params={"epochs": "7"})
    with pytest.raises(Missing, match="manifest cannot be read"):
        evidence.get("captured")
    assert evidence.get("fit").epochs == 7
