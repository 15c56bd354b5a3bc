import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.multiclass_on_one_unit import multiclass_on_one_unit
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import binary_crossentropy
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_history, make_labels, make_served, proof_of

HEAD = make_head(1, "sigmoid", "binary_crossentropy")
DIGITS = make_labels(train=np.tile([0, 1, 2], 60))


def only(**given: object) -> Finding:
    (finding,) = findings(multiclass_on_one_unit, **given)
    return finding


def test_a_negative_loss_proves_it() -> None:
    finding = only(head=HEAD, labels=DIGITS, history=make_history(loss=[0.1, -54.0]))
    assert finding.level is Severity.BLOCKER
    assert proof_of(finding).grade is Grade.A
    assert finding.fix.startswith('Dense(3, activation="softmax")')


def test_a_suspicion_without_a_loss_curve() -> None:
    assert only(head=HEAD, labels=DIGITS).level is Severity.WARN


def rows_and_outputs() -> tuple[Rows, np.ndarray, np.ndarray]:
    codes = np.array([0] * 70 + [1] * 20 + [2] * 10)
    return Rows("validation", np.zeros((100, 2)), LabelSet(codes), held_out=True), codes, np.full(100, 0.4)


def test_the_raw_labels_reproduce_a_positive_loss() -> None:
    rows, codes, outputs = rows_and_outputs()
    loss = binary_crossentropy(codes.astype(float), outputs)
    assert loss > 0
    served = make_served(outputs, (codes > 0).astype(int), head=HEAD)
    history = make_history(loss=[0.7, 0.66], val_loss=[0.7, loss])
    labels = make_labels(train=codes, validation=codes)
    finding = only(head=HEAD, labels=labels, history=history, served=served, evaluation_rows=rows)
    assert finding.level is Severity.BLOCKER
    assert proof_of(finding).before == pytest.approx(loss)


def test_quiet_where_one_class_was_set_against_the_rest() -> None:
    rows, codes, outputs = rows_and_outputs()
    served = make_served(outputs, (codes > 0).astype(int), head=HEAD)
    given = binary_crossentropy((codes == 2).astype(float), outputs)
    history = make_history(loss=[0.7, 0.6], val_loss=[0.7, given])
    labels = make_labels(train=codes, validation=codes)
    assert (
        findings(multiclass_on_one_unit, head=HEAD, labels=labels, history=history, served=served, evaluation_rows=rows)
        == ()
    )


def test_rows_alone_neither_prove_nor_refute_it() -> None:
    rows, codes, outputs = rows_and_outputs()
    served = make_served(outputs, (codes > 0).astype(int), head=HEAD)
    given = {"head": HEAD, "labels": make_labels(train=codes, validation=codes)}
    given |= {"served": served, "evaluation_rows": rows}
    assert only(**given).level is Severity.WARN
    training_loss = make_history(loss=[0.7, 0.6])
    assert findings(multiclass_on_one_unit, **given, history=training_loss) == (), "no validation loss to compare"


def test_a_positive_loss_without_rows_is_no_more_than_info() -> None:
    assert only(head=HEAD, labels=DIGITS, history=make_history(loss=[0.7, 0.6])).level is Severity.INFO


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (HEAD, [0, 1]),
        (HEAD, [1, 2]),
        (HEAD, ["a", "b", "c"]),
        (HEAD, [0.0, 0.3, 1.0]),
        (make_head(1, "linear", "mean_squared_error"), [0, 1, 2]),
        (make_head(3, "softmax", "sparse_categorical_crossentropy"), [0, 1, 2]),
        (make_head(3, "sigmoid", "binary_crossentropy"), [0, 1, 2]),
        (make_head(1, "sigmoid", None), [0, 1, 2]),
        (make_head(1, "sigmoid", "binary_crossentropy", rank=4), [0, 1, 2]),
    ],
    ids=["two", "one and two", "strings", "soft", "mse", "softmax", "three units", "no loss", "per pixel"],
)
def test_quiet_where_it_is_legitimate(head: Head, values: list[object]) -> None:
    history = make_history(loss=[0.1, -54.0])
    assert findings(multiclass_on_one_unit, head=head, labels=make_labels(train=values * 30), history=history) == ()
