import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.labels_out_of_range import labels_out_of_range
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_history, make_labels, proof_of
from tests.runs import make_run

SPARSE = make_head(3, "softmax", "sparse_categorical_crossentropy")
ONE_TO_THREE = make_labels(train=np.tile([1, 2, 3], 40))
NAN = make_history(loss=[np.nan] * 4, accuracy=[0.0] * 4)


def only(**given: object) -> Finding:
    (finding,) = findings(labels_out_of_range, **given)
    return finding


def test_a_loss_of_nan_with_labels_one_too_high_is_a_proven_blocker() -> None:
    finding = only(head=SPARSE, labels=ONE_TO_THREE, history=NAN)
    assert finding.level is Severity.BLOCKER
    assert proof_of(finding).grade is Grade.A
    assert "40 of 120 train labels lie outside of 0 to 2" in finding.message
    assert "LabelEncoder" in finding.fix


def test_accuracy_is_that_of_nan_predictions() -> None:
    labels = make_labels(train=np.tile([0, 1, 9], 40))
    history = make_history(loss=[np.nan] * 3, accuracy=[1 / 3] * 3)
    assert proof_of(only(head=SPARSE, labels=labels, history=history)).grade is Grade.A
    other = make_history(loss=[np.nan] * 3, accuracy=[0.7] * 3)
    assert proof_of(only(head=SPARSE, labels=labels, history=other)).grade is Grade.C


def test_negative_labels() -> None:
    labels = make_labels(train=np.tile([-1, 0, 1], 40))
    assert only(head=SPARSE, labels=labels, history=NAN).evidence["smallest"] == -1


def test_a_failed_run_is_blamed() -> None:
    finding = only(head=SPARSE, labels=ONE_TO_THREE, run=make_run(status="FAILED"))
    assert finding.level is Severity.BLOCKER
    assert "the run failed" in finding.message


def test_without_a_loss_curve_it_is_a_suspicion() -> None:
    finding = only(head=SPARSE, labels=ONE_TO_THREE)
    assert finding.level is Severity.WARN
    assert finding.unproven


def test_jax_counts_nothing_for_such_rows() -> None:
    head = make_head(3, "softmax", "sparse_categorical_crossentropy", backend="jax")
    finding = only(head=head, labels=ONE_TO_THREE, history=make_history(loss=[1.0, 0.5]))
    assert finding.level is Severity.BLOCKER


def test_validation_labels_alone() -> None:
    labels = make_labels(train=np.tile([0, 1, 2], 40), validation=[0, 1, 2, 3])
    history = make_history(loss=[1.0, 0.5], val_loss=[np.nan, np.nan])
    assert only(head=SPARSE, labels=labels, history=history).level is Severity.ERROR


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("categorical_crossentropy", {}),
        ("sparse_categorical_crossentropy", {"ignore_class": 3}),
        ("mean_squared_error", {}),
        (None, {}),
    ],
)
def test_quiet_for_other_losses_and_ignored_classes(loss: str | None, options: dict[str, object]) -> None:
    head = make_head(3, "softmax", loss, loss_options=options)
    assert findings(labels_out_of_range, head=head, labels=ONE_TO_THREE, history=NAN) == ()


def test_quiet_where_the_loss_stayed_finite() -> None:
    history = make_history(loss=[1.0, 0.4], val_loss=[1.0, 0.5])
    assert findings(labels_out_of_range, head=SPARSE, labels=ONE_TO_THREE, history=history) == ()


@pytest.mark.parametrize(
    "values",
    [[0, 1, 2], ["a", "b", "c"], [0.0, 0.1, 0.2], [True, False, True]],
    ids=["ints", "strings", "floats", "bools"],
)
def test_quiet_for_labels_that_fit_or_were_encoded(values: list[object]) -> None:
    assert findings(labels_out_of_range, head=SPARSE, labels=make_labels(train=values * 20), history=NAN) == ()
