import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.invalid_one_hot import invalid_one_hot
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Severity
from tests.kit import findings, make_head, make_history, make_labels, proof_of

HEAD = make_head(3, "softmax", "categorical_crossentropy")
CODES = np.tile([0, 1, 2], 100)


def with_zeros(rows: int) -> np.ndarray:
    values = np.eye(3)[CODES]
    values[:rows] = 0
    return values


def only(**given: object) -> Finding:
    (finding,) = findings(invalid_one_hot, **given)
    return finding


@pytest.mark.parametrize(("rows", "level"), [(2, Severity.WARN), (60, Severity.ERROR)])
def test_rows_of_zeros(rows: int, level: Severity) -> None:
    finding = only(head=HEAD, labels=make_labels(train=with_zeros(rows)))
    assert (finding.level, finding.variant) == (level, "zeros")
    assert proof_of(finding).before == pytest.approx(rows / 300)


def test_one_column_of_ones() -> None:
    head = make_head(2, "softmax", "categorical_crossentropy")
    finding = only(head=head, labels=make_labels(train=np.eye(2)[np.ones(100, dtype=int)]))
    assert (finding.level, finding.variant) == (Severity.BLOCKER, "one-column")


def test_quiet_where_the_loss_says_that_fit_was_given_others() -> None:
    head = make_head(2, "softmax", "categorical_crossentropy")
    labels = make_labels(train=np.eye(2)[np.ones(100, dtype=int)])
    assert findings(invalid_one_hot, head=head, labels=labels, history=make_history(loss=[0.7, 0.4])) == ()


SEVERAL = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1]] * 40)


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (HEAD, np.eye(3)[CODES]),
        (HEAD, np.eye(3)[CODES] * 0.9 + 1 / 30),
        (HEAD, CODES),
        (HEAD, SEVERAL),
        (make_head(3, "sigmoid", "binary_crossentropy"), SEVERAL),
        (make_head(3, "sigmoid", "binary_crossentropy"), with_zeros(60)),
        (make_head(3, "softmax", None), with_zeros(60)),
    ],
    ids=["valid", "smoothed", "integers", "several", "several, binary", "none, binary", "no loss"],
)
def test_quiet_where_it_is_legitimate(head: Head, values: np.ndarray) -> None:
    assert findings(invalid_one_hot, head=head, labels=make_labels(train=values)) == ()
