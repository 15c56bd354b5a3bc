import pytest

from mlflow_clfaudit.checks.activation_loss.hinge_mismatch import hinge_mismatch
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_history, make_labels, proof_of

HEAD = make_head(1, "sigmoid", "hinge")
LABELS = make_labels(train=[-1] * 60 + [1] * 40)


def only(**given: object) -> Finding:
    (finding,) = findings(hinge_mismatch, **given)
    return finding


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "relu"])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_fires_on_outputs_without_a_sign(activation: str, loss: str) -> None:
    assert only(head=make_head(1, activation, loss)).level is Severity.WARN


def test_the_floor_is_the_share_of_the_negative_class() -> None:
    finding = only(head=HEAD, labels=LABELS, history=make_history(loss=[1.1, 0.7]))
    assert "cannot fall below 0.6" in finding.message
    assert finding.level is Severity.WARN
    assert proof_of(finding).grade is Grade.A
    assert only(head=HEAD, labels=LABELS, history=make_history(loss=[1.1, 0.3])).proof is None


@pytest.mark.parametrize(
    "head",
    [
        make_head(1, "tanh", "hinge"),
        make_head(1, "linear", "squared_hinge"),
        make_head(3, "softmax", "categorical_hinge"),
        make_head(1, "sigmoid", "binary_crossentropy"),
        make_head(1, "sigmoid", "hinge", opaque=("rescaling",)),
        make_head(1, "sigmoid", None),
    ],
    ids=["tanh", "linear", "categorical", "cross-entropy", "rescaled", "no loss"],
)
def test_quiet_where_it_is_legitimate(head: Head) -> None:
    assert findings(hinge_mismatch, head=head, labels=LABELS) == ()
