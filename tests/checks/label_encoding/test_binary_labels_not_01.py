import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.binary_labels_not_01 import binary_labels_not_01
from mlflow_clfaudit.types import Finding, Grade, Severity, Status
from tests.kit import findings, make_head, make_history, make_labels, make_served, outcome, proof_of

HEAD = make_head(1, "sigmoid", "binary_crossentropy")
FALLING = make_history(loss=[0.3, -2.0, -10.2])


def only(**given: object) -> Finding:
    (finding,) = findings(binary_labels_not_01, **given)
    return finding


@pytest.mark.parametrize(
    ("values", "shown"),
    [([1, 2], "1 and 2"), ([-1, 1], "-1 and 1"), ([0, 255], "0 and 255"), ([0, 1, 2], "0, 1 and 2")],
)
def test_a_negative_loss_names_the_labels(values: list[int], shown: str) -> None:
    finding = only(head=HEAD, labels=make_labels(train=np.tile(values, 50)), history=FALLING)
    assert finding.level is Severity.BLOCKER
    assert f"labels are {shown}" in finding.message
    assert (proof_of(finding).grade, proof_of(finding).before) == (Grade.A, -10.2)


def test_a_negative_loss_is_enough_without_labels() -> None:
    assert only(head=HEAD, history=FALLING).level is Severity.BLOCKER


def test_a_negative_validation_loss_is_enough() -> None:
    history = make_history(loss=[0.5, 0.2], val_loss=[0.5, -3.0])
    assert only(head=HEAD, history=history).evidence["lowest_loss"] == -3.0


def test_the_loss_of_its_own_output_counts() -> None:
    head = make_head(1, "sigmoid", "binary_crossentropy", name="spam")
    history = make_history(loss=[5.0, 4.0], spam_loss=[0.1, -3.0])
    assert only(head=head, history=history).evidence["lowest_loss"] == -3.0


def test_labels_without_a_loss_curve_are_a_suspicion() -> None:
    finding = only(head=HEAD, labels=make_labels(train=[1, 2] * 30))
    assert finding.level is Severity.WARN
    assert finding.proof is None


@pytest.mark.parametrize(
    ("values", "shown"), [(list(range(10)), "0 to 9"), ([0.0, 2.5], "0 to 2.5")], ids=["many classes", "fractions"]
)
def test_other_labels_are_shown_by_their_range(values: list[float], shown: str) -> None:
    assert f"the logged ones are {shown}." in only(head=HEAD, labels=make_labels(train=values * 30)).message


def test_a_net_that_tells_the_classes_apart_was_given_other_labels() -> None:
    truth = np.tile([0, 1], 50)
    labels = make_labels(train=truth + 1)
    good = make_served(truth * 0.8 + 0.1, truth, head=HEAD)
    assert findings(binary_labels_not_01, head=HEAD, labels=labels, served=good) == ()
    alike = make_served(np.full(100, 0.999), truth, head=HEAD)
    assert findings(binary_labels_not_01, head=HEAD, labels=labels, served=alike) != ()


def test_quiet_where_the_logged_loss_never_went_below_0() -> None:
    labels = make_labels(train=[1, 2] * 30)
    history = make_history(loss=[0.7, 0.2], val_loss=[0.7, 0.3])
    assert findings(binary_labels_not_01, head=HEAD, labels=labels, history=history) == ()


@pytest.mark.parametrize(
    "values",
    [[0, 1], [False, True], [0.0, 1.0], [0.05, 0.95], [1, 1], ["no", "yes"]],
    ids=["ints", "bools", "floats", "smoothed", "one class", "strings"],
)
def test_quiet_for_labels_in_0_to_1(values: list[object]) -> None:
    assert findings(binary_labels_not_01, head=HEAD, labels=make_labels(train=values * 30)) == ()


@pytest.mark.parametrize("loss", ["hinge", "mean_squared_error", "sparse_categorical_crossentropy", None])
def test_quiet_for_other_losses(loss: str | None) -> None:
    head = make_head(1, "tanh", loss)
    assert findings(binary_labels_not_01, head=head, labels=make_labels(train=[-1, 1] * 30), history=FALLING) == ()


def test_skipped_with_neither_labels_nor_loss() -> None:
    assert outcome(binary_labels_not_01, head=HEAD).status is Status.SKIPPED
