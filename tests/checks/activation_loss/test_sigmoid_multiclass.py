import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.sigmoid_multiclass import sigmoid_multiclass
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.measures import sigmoid
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_labels, make_served, proof_of

HEAD = make_head(3, "sigmoid", "categorical_crossentropy")


def only(**given: object) -> Finding:
    (finding,) = findings(sigmoid_multiclass, **given)
    return finding


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_fires_on_sigmoids_under_a_categorical_loss(loss: str) -> None:
    finding = only(head=make_head(10, "sigmoid", loss))
    assert finding.level is Severity.WARN
    assert finding.fix == 'activation="softmax"'


def test_softmax_of_the_same_logits_is_the_proof() -> None:
    truth = np.tile([0, 1, 2], 60)
    logits = np.eye(3)[truth] * 4.0 + 2.0 + np.random.default_rng(0).normal(0, 1, (180, 3))
    finding = only(head=HEAD, served=make_served(sigmoid(logits), truth, head=HEAD, logits=logits))
    proof = proof_of(finding)
    assert proof.grade is Grade.B
    assert proof.before is not None
    assert proof.after is not None
    assert proof.after < proof.before
    assert finding.evidence["row_sum_max"] > 1.5


def test_unproven_where_the_logits_are_not_known() -> None:
    served = make_served(np.full((30, 3), 0.8), np.tile([0, 1, 2], 10), head=HEAD)
    finding = only(head=HEAD, served=served)
    assert finding.unproven == "the logits behind the sigmoids are not known"
    assert finding.evidence["row_sum_max"] == pytest.approx(2.4)


def test_no_proof_where_softmax_is_no_better() -> None:
    truth = np.tile([0, 1, 2], 60)
    logits = np.random.default_rng(0).normal(0, 0.01, (180, 3))
    finding = only(head=HEAD, served=make_served(sigmoid(logits), truth, head=HEAD, logits=logits))
    assert finding.proof is None
    assert finding.unproven


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (HEAD, np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0]] * 20)),
        (make_head(3, "sigmoid", "binary_crossentropy"), [0, 1, 2] * 20),
        (make_head(3, "softmax", "categorical_crossentropy"), [0, 1, 2] * 20),
        (make_head(1, "sigmoid", "categorical_crossentropy"), [0, 1] * 20),
        (make_head(3, "sigmoid", "categorical_focal_crossentropy"), [0, 1, 2] * 20),
        (make_head(3, "sigmoid", None), [0, 1, 2] * 20),
    ],
    ids=["several labels", "binary", "softmax", "one unit", "focal", "no loss"],
)
def test_quiet_where_it_is_legitimate(head: Head, values: object) -> None:
    assert findings(sigmoid_multiclass, head=head, labels=make_labels(train=values)) == ()
