"""log_labels on a real store, and what an audit makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from mlflow_clfaudit import audit_run, log_labels
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.reader import read_run


def evidence_of(run_id: str) -> Evidence:
    return Evidence({"run": read_run(run_id), "overrides": Overrides(), "output": 0})


def test_labels_inputs_and_classes_are_read_back(tracking_uri: str) -> None:
    inputs = np.random.default_rng(0).normal(size=(6, 3))
    with mlflow.start_run() as run:
        log_labels([0, 1, 1, 0, 2, 2], split="train", inputs=inputs, classes=["cat", "dog", "hen"])
        log_labels(np.array([2, 0]), split="test")
    evidence = evidence_of(run.info.run_id)
    labels = evidence.get("labels")
    assert labels.train.values.tolist() == [0, 1, 1, 0, 2, 2]
    assert labels.test.values.tolist() == [2, 0]
    assert labels.train.source == "clfaudit/logged/labels_train.parquet"
    assert labels.names == ("cat", "dog", "hen")
    np.testing.assert_array_equal(evidence.get("rows")["train"].inputs, inputs)


def test_what_was_logged_by_hand_is_trusted_before_what_is_found_by_its_name(tracking_uri: str, tmp_path: Path) -> None:
    np.save(tmp_path / "y_train.npy", np.zeros(4))
    np.save(tmp_path / "X_train.npy", np.zeros((4, 2)))
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / "y_train.npy"))
        mlflow.log_artifact(str(tmp_path / "X_train.npy"))
        log_labels([1, 0, 1], split="train", inputs=np.ones((3, 2)))
    evidence = evidence_of(run.info.run_id)
    assert evidence.get("labels").train.values.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(evidence.get("inputs").splits["train"], np.ones((3, 2)))


def test_labels_logged_afterwards_leave_the_run_as_it_ended_and_make_it_auditable(tracking_uri: str) -> None:
    with mlflow.start_run() as run:
        mlflow.log_params({"epochs": 5, "validation_split": 0.2})
    before = MlflowClient().get_run(run.info.run_id).info
    log_labels(np.r_[np.ones(50), np.zeros(767)], split="train", run_id=run.info.run_id)
    after = MlflowClient().get_run(run.info.run_id).info
    assert (after.status, after.end_time) == (before.status, before.end_time)
    assert audit_run(run.info.run_id, dry_run=True).root_cause == "tail-split-of-ordered-data"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"split": "val"}, "a split is one of train, validation, test"),
        ({"split": "train", "inputs": np.zeros((3, 1))}, "3 rows of inputs beside 2 labels"),
        ({"split": "train", "inputs": {"a": np.zeros((2, 1)), "b": np.zeros((1, 1))}}, "1 rows of inputs"),
        ({"split": "train", "predictions": [1]}, "predictions of shape"),
    ],
    ids=["split", "inputs", "several inputs", "predictions"],
)
def test_misuse_is_one_line(tracking_uri: str, options: dict[str, Any], reason: str) -> None:
    with mlflow.start_run() as run, pytest.raises(ValueError, match=reason):
        log_labels([0, 1], **options)
    assert MlflowClient().list_artifacts(run.info.run_id) == []


def test_without_a_run_it_says_how(tracking_uri: str) -> None:
    with pytest.raises(ValueError, match=r"inside `with mlflow.start_run\(\):`, or give run_id="):
        log_labels([0, 1], split="train")
