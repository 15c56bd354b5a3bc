import pytest

from mlflow_clfaudit.checks.activation_loss.categorical_loss_on_one_unit import categorical_loss_on_one_unit
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_history, make_labels, proof_of

HEAD = make_head(1, "sigmoid", "categorical_crossentropy")


def only(**given: object) -> Finding:
    (finding,) = findings(categorical_loss_on_one_unit, **given)
    return finding


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "linear"])
def test_a_loss_of_0_proves_it(activation: str) -> None:
    head = make_head(1, activation, "categorical_crossentropy")
    finding = only(head=head, history=make_history(loss=[5e-8, 5e-8]))
    assert finding.level is Severity.BLOCKER
    assert proof_of(finding).grade is Grade.A


def test_fires_without_a_history() -> None:
    assert only(head=HEAD).proof is None


def test_sparse_loss_on_one_unit() -> None:
    head = make_head(1, "sigmoid", "sparse_categorical_crossentropy")
    labels = make_labels(train=[0, 1] * 20)
    assert "class 0 alone" in only(head=head, labels=labels).message
    assert findings(categorical_loss_on_one_unit, head=head, labels=make_labels(train=[0] * 20)) == ()


@pytest.mark.parametrize(
    "head",
    [
        make_head(1, "sigmoid", "binary_crossentropy"),
        make_head(2, "softmax", "categorical_crossentropy"),
        make_head(1, "sigmoid", None),
        make_head(1, "softmax", "categorical_crossentropy", rank=4),
    ],
    ids=["binary", "two units", "no loss", "per pixel"],
)
def test_quiet_where_it_is_legitimate(head: Head) -> None:
    assert findings(categorical_loss_on_one_unit, head=head) == ()


def test_quiet_where_the_logged_loss_was_not_0() -> None:
    assert findings(categorical_loss_on_one_unit, head=HEAD, history=make_history(loss=[0.7, 0.2])) == ()
