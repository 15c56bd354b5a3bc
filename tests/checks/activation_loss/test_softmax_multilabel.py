import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.softmax_multilabel import softmax_multilabel
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_history, make_labels, proof_of

SOFTMAX = make_head(4, "softmax", "categorical_crossentropy")
SEVERAL = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]] * 25)


def only(**given: object) -> Finding:
    (finding,) = findings(softmax_multilabel, **given)
    return finding


def test_fires_with_the_least_loss_as_proof() -> None:
    finding = only(head=SOFTMAX, labels=make_labels(train=SEVERAL), history=make_history(loss=[1.5, 2.0]))
    assert finding.level is Severity.ERROR
    assert proof_of(finding).grade is Grade.A
    assert finding.evidence["least_loss"] == pytest.approx(np.log(2))
    assert "50% of 100 rows" in finding.message


def test_fires_on_softmax_under_binary_cross_entropy() -> None:
    head = make_head(4, "softmax", "binary_crossentropy")
    assert only(head=head, labels=make_labels(train=SEVERAL)).proof is None


def test_quiet_where_the_loss_is_lower_than_these_labels_allow() -> None:
    history = make_history(loss=[1.4, 0.1])
    assert findings(softmax_multilabel, head=SOFTMAX, labels=make_labels(train=SEVERAL), history=history) == ()


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (make_head(4, "sigmoid", "binary_crossentropy"), SEVERAL),
        (SOFTMAX, np.eye(4)[[0, 1, 2, 3] * 20]),
        (SOFTMAX, np.eye(4)[[0, 1, 2, 3] * 20] * 0.9 + 0.025),
        (SOFTMAX, [0, 1, 2, 3] * 20),
        (SOFTMAX, np.eye(5)[[0, 1, 2, 3, 4] * 20][:, :4]),
        (make_head(4, "softmax", None), SEVERAL),
    ],
    ids=["sigmoid", "one-hot", "smoothed", "integers", "rows without a label", "no loss"],
)
def test_quiet_where_it_is_legitimate(head: Head, values: object) -> None:
    assert findings(softmax_multilabel, head=head, labels=make_labels(train=values)) == ()
