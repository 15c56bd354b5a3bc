import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.logits_in_probability_loss import logits_in_probability_loss
from mlflow_clfaudit.evidence.spec import Head, Loss
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_history, make_labels, make_probe, make_served, proof_of

LINEAR = make_head(1, "linear", "binary_crossentropy")


def only(**given: object) -> Finding:
    (finding,) = findings(logits_in_probability_loss, **given)
    return finding


def test_fires_on_a_linear_unit_under_cross_entropy() -> None:
    finding = only(head=LINEAR)
    assert finding.level is Severity.ERROR
    assert "takes its outputs for probabilities" in finding.message
    assert finding.fix == "loss=keras.losses.BinaryCrossentropy(from_logits=True)"


@pytest.mark.parametrize(
    ("units", "loss"),
    [(3, "categorical_crossentropy"), (10, "sparse_categorical_crossentropy"), (1, "binary_focal_crossentropy")],
)
def test_fires_for_every_cross_entropy(units: int, loss: str) -> None:
    assert only(head=make_head(units, "linear", loss)).evidence["loss"] == loss


def test_decisions_that_are_right_make_it_a_warning_with_the_share_of_dead_rows() -> None:
    truth = np.tile([0, 1], 100)
    outputs = np.where(truth == 1, 3.0, -2.0)
    outputs[:4] = [0.2, 0.8, 0.2, 0.8]
    finding = only(head=LINEAR, served=make_served(outputs, truth, head=LINEAR), feature_probe=None)
    assert finding.level is Severity.WARN
    assert finding.evidence["share_without_gradient"] == pytest.approx(0.98)
    assert finding.evidence["share_wrong_without_gradient"] == 0
    assert proof_of(finding).grade is Grade.A
    assert "98% of 200 held-out rows have no gradient" in finding.message


def test_wrong_rows_without_gradient_and_a_better_refit_make_it_a_blocker() -> None:
    truth = np.tile([0, 1], 100)
    served = make_served(np.full(200, 4.0), truth, head=LINEAR)
    probe = make_probe(truth, decision=truth, served=np.ones(200, dtype=int))
    finding = only(head=LINEAR, served=served, feature_probe=probe)
    assert finding.level is Severity.BLOCKER
    assert proof_of(finding).grade is Grade.B
    assert (proof_of(finding).before, proof_of(finding).after) == (0.5, 1.0)


def test_wrong_rows_that_no_refit_gets_right_are_an_error_and_no_blocker() -> None:
    truth = np.tile([0, 1], 100)
    outputs = np.full(200, 0.7)
    outputs[:40] = 4.0
    served = make_served(outputs, truth, head=LINEAR)
    probe = make_probe(truth, decision=np.ones(200, dtype=int), served=np.ones(200, dtype=int))
    finding = only(head=LINEAR, served=served, feature_probe=probe)
    assert finding.level is Severity.ERROR
    assert "10.0% are wrong besides; a refitted last layer does no better" in finding.message


def test_a_net_without_any_gradient_is_stuck_whatever_its_features_are_worth() -> None:
    truth = np.tile([0, 1], 100)
    served = make_served(np.full(200, 4.0), truth, head=LINEAR)
    probe = make_probe(truth, decision=np.ones(200, dtype=int), served=np.ones(200, dtype=int))
    finding = only(head=LINEAR, served=served, feature_probe=probe)
    assert finding.level is Severity.BLOCKER
    assert (proof_of(finding).grade, proof_of(finding).before) == (Grade.A, 1.0)


def test_a_logged_accuracy_that_shows_it_learnt_lowers_it_without_rows() -> None:
    labels = make_labels(train=np.tile([0, 1], 50))
    assert only(head=LINEAR, labels=labels, history=make_history(accuracy=[0.6, 0.97])).level is Severity.WARN
    assert only(head=LINEAR, labels=labels, history=make_history(accuracy=[0.5, 0.52])).level is Severity.ERROR
    assert only(head=LINEAR, labels=labels, history=make_history(loss=[0.7, 0.1])).level is Severity.ERROR


@pytest.mark.parametrize(
    "head",
    [
        make_head(1, "linear", "binary_crossentropy", loss_options={"from_logits": True}),
        make_head(1, "linear", "hinge"),
        make_head(1, "linear", "mean_squared_error"),
        make_head(1, "sigmoid", "binary_crossentropy"),
        make_head(10, "softmax", "categorical_crossentropy"),
        make_head(1, "linear", "binary_crossentropy", opaque=("lambda",)),
        make_head(1, "linear", None),
        Head(units=1, loss=Loss("focal", known=False)),
        Head(units=1, loss=Loss("binary_crossentropy", known=False)),
    ],
    ids=["from_logits", "hinge", "mse", "sigmoid", "softmax", "lambda", "no loss", "custom", "custom of that name"],
)
def test_quiet_where_it_is_legitimate(head: Head) -> None:
    assert findings(logits_in_probability_loss, head=head) == ()
