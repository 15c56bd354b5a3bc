import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.clipped_output import clipped_output
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_probe, make_served, proof_of


def only(**given: object) -> Finding:
    (finding,) = findings(clipped_output, **given)
    return finding


@pytest.mark.parametrize("activation", ["relu", "tanh", "softplus", "leaky_relu", "hard_sigmoid"])
def test_fires_on_activations_that_leave_0_to_1(activation: str) -> None:
    finding = only(head=make_head(1, activation, "binary_crossentropy"))
    assert finding.level is Severity.ERROR
    assert activation in finding.message
    assert finding.fix == 'activation="sigmoid"'


def test_fires_on_ten_relu_units() -> None:
    assert only(head=make_head(10, "relu", "categorical_crossentropy")).fix == 'activation="softmax"'


def test_outputs_stuck_at_0_are_a_blocker_with_the_refit_as_proof() -> None:
    head = make_head(1, "relu", "binary_crossentropy")
    truth = np.tile([0, 1], 60)
    probe = make_probe(truth, decision=truth, served=np.zeros(120, dtype=int))
    finding = only(head=head, served=make_served(np.zeros(120), truth, head=head), feature_probe=probe)
    assert finding.level is Severity.BLOCKER
    assert finding.evidence["share_without_gradient"] == 1.0
    assert proof_of(finding).grade is Grade.B


def test_harmless_where_decisions_are_right() -> None:
    head = make_head(1, "relu", "binary_crossentropy")
    truth = np.tile([0, 1], 60)
    finding = only(head=head, served=make_served(truth * 0.9, truth, head=head), feature_probe=None)
    assert finding.level is Severity.WARN


def relu_before_softmax(**fields: object) -> Head:
    head = make_head(3, "softmax", "categorical_crossentropy", **fields)
    return Head(**{**vars(head), "activations": ("relu", "softmax")})


def test_relu_before_the_softmax_is_info_unless_a_refit_is_better() -> None:
    head = relu_before_softmax()
    truth = np.tile([0, 1, 2], 60)
    logits = np.tile([3.0, 0.0, 0.0], (180, 1))
    served = make_served(np.tile([0.9, 0.05, 0.05], (180, 1)), truth, head=head, logits=logits)
    assert only(head=head).level is Severity.INFO
    assert only(head=head, served=served, feature_probe=None).level is Severity.INFO
    probe = make_probe(truth, decision=truth, served=np.zeros(180, dtype=int))
    finding = only(head=head, served=served, feature_probe=probe)
    assert finding.level is Severity.ERROR
    assert "2 of 3 logits are 0" in finding.message


def test_unproven_where_the_logits_behind_the_relu_are_not_known() -> None:
    head, truth = relu_before_softmax(), np.tile([0, 1, 2], 60)
    served = make_served(np.tile([0.9, 0.05, 0.05], (180, 1)), truth, head=head)
    assert only(head=head, served=served).unproven == "the logits before the relu are not known"


def test_relu_logits_that_are_rarely_0_stay_info() -> None:
    head = make_head(3, "relu", "sparse_categorical_crossentropy", loss_options={"from_logits": True})
    truth = np.tile([0, 1, 2], 60)
    served = make_served(np.eye(3)[truth] * 5 + 1, truth, head=head)
    probe = make_probe(truth, decision=truth, served=np.zeros(180, dtype=int))
    assert only(head=head, served=served, feature_probe=probe).level is Severity.INFO


@pytest.mark.parametrize(
    "head",
    [
        make_head(1, "sigmoid", "binary_crossentropy"),
        make_head(1, "tanh", "hinge"),
        make_head(1, "tanh", "mean_squared_error"),
        make_head(3, "softplus", "poisson"),
        make_head(3, "exponential", None),
        make_head(1, "linear", "binary_crossentropy", loss_options={"from_logits": True}),
        make_head(1, "tanh", "binary_crossentropy", opaque=("rescaling",)),
        make_head(1, "tanh", "binary_crossentropy", loss_options={"from_logits": True}),
    ],
    ids=["sigmoid", "tanh hinge", "tanh mse", "poisson", "no loss", "logits", "rescaled tanh", "tanh logits"],
)
def test_quiet_where_it_is_legitimate(head: Head) -> None:
    assert findings(clipped_output, head=head) == ()


def test_relus_of_several_classes_that_all_gave_0_ended_in_nan() -> None:
    head = make_head(3, "relu", "categorical_crossentropy")
    truth = np.tile([0, 1, 2], 60)
    served = make_served(np.full((180, 3), np.nan), truth, head=head)
    finding = only(head=head, served=served)
    assert finding.level is Severity.ERROR
    assert "0/0" in finding.message
    assert "non-finite-loss" in finding.explains
