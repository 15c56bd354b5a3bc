import pytest

from mlflow_clfaudit.checks.activation_loss.softmax_with_binary_crossentropy import softmax_with_binary_crossentropy
from mlflow_clfaudit.evidence.served_loss import ServedLoss
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_head, proof_of


@pytest.mark.parametrize(("units", "level"), [(2, Severity.INFO), (3, Severity.WARN), (10, Severity.WARN)])
def test_fires_by_the_number_of_units(units: int, level: Severity) -> None:
    head = make_head(units, "softmax", "binary_crossentropy")
    (finding,) = findings(softmax_with_binary_crossentropy, head=head, served_loss=ServedLoss(0.1, 0.4, 200))
    assert finding.level is level
    assert (proof_of(finding).before, proof_of(finding).after) == (0.1, 0.4)


@pytest.mark.parametrize(
    "head",
    [
        make_head(1, "softmax", "binary_crossentropy"),
        make_head(3, "sigmoid", "binary_crossentropy"),
        make_head(3, "softmax", "categorical_crossentropy"),
        make_head(3, "softmax", None),
        make_head(3, "softmax", "binary_crossentropy", opaque=("lambda",)),
    ],
    ids=["one unit", "sigmoid", "categorical", "no loss", "lambda"],
)
def test_quiet_where_it_is_legitimate(head: Head) -> None:
    assert findings(softmax_with_binary_crossentropy, head=head) == ()
