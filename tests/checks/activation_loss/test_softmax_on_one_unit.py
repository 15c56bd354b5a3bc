import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.softmax_on_one_unit import softmax_on_one_unit
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import findings, make_head, make_served, proof_of


def test_fires_on_softmax_over_one_unit() -> None:
    (finding,) = findings(softmax_on_one_unit, head=make_head(1, "softmax"))
    assert finding.level is Severity.BLOCKER
    assert "every prediction is 1.0" in finding.message


def test_proof_is_the_sigmoid_on_the_same_weights() -> None:
    truth = np.tile([0, 1], 100)
    head = make_head(1, "softmax")
    served = make_served(np.ones(200), truth, head=head, logits=(truth * 2.0 - 1.0)[:, None])
    (finding,) = findings(softmax_on_one_unit, head=head, served=served)
    proof = proof_of(finding)
    assert (proof.grade, proof.before, proof.after) == (Grade.A, 0.5, 1.0)
    assert proof.p_value is not None
    assert proof.p_value < 1e-9


def test_useless_logits_prove_the_constant_only() -> None:
    head = make_head(1, "softmax")
    served = make_served(np.ones(40), np.tile([0, 1], 20), head=head, logits=np.ones((40, 1)))
    (finding,) = findings(softmax_on_one_unit, head=head, served=served)
    assert proof_of(finding).after is None


def test_unproven_where_the_logits_are_not_known() -> None:
    head = make_head(1, "softmax")
    (finding,) = findings(softmax_on_one_unit, head=head, served=make_served(np.ones(40), [0, 1] * 20, head=head))
    assert finding.unproven == "the logits behind the softmax are not known"


def test_outputs_that_are_not_1_prove_nothing() -> None:
    head = make_head(1, "softmax")
    served = make_served(np.full(40, 0.5), [0, 1] * 20, head=head, logits=np.ones((40, 1)))
    (finding,) = findings(softmax_on_one_unit, head=head, served=served)
    assert finding.proof is None


def test_the_repaired_head_is_one_sigmoid() -> None:
    repaired = softmax_on_one_unit.mend(make_head(1, "softmax"))["head"]
    assert (repaired.activation, repaired.gives_probabilities, repaired.threshold) == ("sigmoid", True, 0.5)
    assert findings(softmax_on_one_unit, head=repaired) == ()


@pytest.mark.parametrize(
    "head",
    [make_head(1, "sigmoid"), make_head(2, "softmax"), make_head(10, "softmax"), make_head(1, "linear")],
    ids=["sigmoid", "two units", "ten units", "linear"],
)
def test_quiet_on_other_heads(head: object) -> None:
    assert findings(softmax_on_one_unit, head=head) == ()
