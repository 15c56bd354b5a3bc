import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.encoder_refit import encoder_refit
from mlflow_clfaudit.evidence.classes import ClassList
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.checks.label_encoding.test_permuted_labels import SOFTMAX, outputs_for, rows
from tests.kit import findings, make_labels, make_served, proof_of

LABELS = make_labels(train=[0, 1, 2] * 30, test=[0, 1] * 20)


def only(**given: object) -> Finding:
    (finding,) = findings(encoder_refit, **given)
    return finding


def test_encoders_that_list_different_classes() -> None:
    lists = (
        ClassList(("a", "b", "c"), "encoder_train.pkl", is_encoder=True, split="train"),
        ClassList(("b", "c"), "encoder_test.pkl", is_encoder=True, split="test"),
    )
    finding = only(labels=LABELS, class_lists=lists)
    assert finding.level is Severity.ERROR
    assert proof_of(finding).grade is Grade.A


def test_one_hot_columns_that_differ() -> None:
    labels = make_labels(train=np.eye(3)[[0, 1, 2] * 20], test=np.eye(2)[[0, 1] * 20])
    assert "train 3, test 2" in only(labels=labels).message


def test_held_out_rows_under_other_numbers() -> None:
    truth = rows()
    train = make_served(outputs_for(truth, 5), truth, head=SOFTMAX, held_out=False)
    held_out = make_served(outputs_for((truth + 1) % 5, 5), truth, head=SOFTMAX)
    finding = only(labels=make_labels(train=truth, validation=truth), served=held_out, served_train=train)
    assert proof_of(finding).grade is Grade.B
    assert "5 of 5 classes of the held-out rows" in finding.message


def test_quiet_on_equal_lists_and_on_a_list_that_only_lacks_the_last_classes() -> None:
    train = ClassList(("a", "b", "c"), "encoder_train.pkl", is_encoder=True, split="train")
    for names in (("a", "b", "c"), ("a", "b")):
        other = ClassList(names, "encoder_test.pkl", is_encoder=True, split="test")
        assert findings(encoder_refit, labels=LABELS, class_lists=(train, other)) == ()


@pytest.mark.parametrize("shift", [0, 1])
def test_quiet_where_both_splits_agree(shift: int) -> None:
    truth = rows()
    outputs = outputs_for((truth + shift) % 5, 5)
    train = make_served(outputs, truth, head=SOFTMAX, held_out=False)
    held_out = make_served(outputs, truth, head=SOFTMAX)
    labels = make_labels(train=truth, validation=truth)
    assert findings(encoder_refit, labels=labels, served=held_out, served_train=train) == ()


def test_quiet_without_a_model() -> None:
    assert findings(encoder_refit, labels=LABELS) == ()
