import pytest

from mlflow_clfaudit.checks.activation_loss.served_loss_gap import served_loss_gap
from mlflow_clfaudit.evidence.served_loss import ServedLoss
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_head, proof_of

GAP = ServedLoss(0.05, 8.06, 200)


@pytest.mark.parametrize(
    "head",
    [
        make_head(1, "softmax", "binary_crossentropy"),
        make_head(3, "sigmoid", "categorical_crossentropy"),
        make_head(3, "softmax", "binary_crossentropy"),
    ],
    ids=["softmax on one unit", "sigmoids", "softmax"],
)
def test_a_symptom_where_activation_and_loss_differ(head: Head) -> None:
    (finding,) = findings(served_loss_gap, head=head, served_loss=GAP)
    assert finding.level is Severity.SYMPTOM
    assert (proof_of(finding).before, proof_of(finding).after) == (0.05, 8.06)


@pytest.mark.parametrize(
    ("head", "losses"),
    [
        (make_head(1, "sigmoid", "binary_crossentropy"), GAP),
        (make_head(3, "softmax", "categorical_crossentropy"), GAP),
        (make_head(3, "softmax", "binary_crossentropy"), ServedLoss(0.3, 0.3005, 200)),
        (make_head(1, "relu", "binary_crossentropy"), GAP),
    ],
    ids=["sigmoid", "softmax", "equal", "relu"],
)
def test_quiet_where_they_belong_together(head: Head, losses: ServedLoss) -> None:
    assert findings(served_loss_gap, head=head, served_loss=losses) == ()
