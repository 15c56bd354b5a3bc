import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.single_class_labels import single_class_labels
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_head, make_history, make_labels, proof_of

HEAD = make_head(1, "sigmoid", "binary_crossentropy")
ONE = make_labels(train=[1] * 100)


@pytest.mark.parametrize("values", [[1] * 100, ["cat"] * 100, [True] * 100])
def test_one_class_is_a_blocker(values: object) -> None:
    (finding,) = findings(single_class_labels, head=HEAD, labels=make_labels(train=values))
    assert finding.level is Severity.BLOCKER
    assert proof_of(finding).before == 1.0


def test_a_history_that_fits_does_not_silence_it() -> None:
    history = make_history(loss=[0.2, 1e-4], accuracy=[0.9, 1.0])
    assert findings(single_class_labels, head=HEAD, labels=ONE, history=history) != ()


@pytest.mark.parametrize(
    "history",
    [make_history(loss=[0.7, 0.3]), make_history(loss=[0.2, 0.01], accuracy=[0.6, 0.8])],
    ids=["loss", "accuracy"],
)
def test_quiet_where_the_history_says_that_fit_was_given_others(history: History) -> None:
    assert findings(single_class_labels, head=HEAD, labels=ONE, history=history) == ()


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (HEAD, [0, 1] * 50),
        (make_head(1, "linear", "mean_squared_error"), [1] * 100),
        (make_head(1, "sigmoid", None), [1] * 100),
        (HEAD, [0.5] * 100),
        (HEAD, [1]),
        (make_head(2, "softmax", "categorical_crossentropy"), np.eye(2)[[1] * 100]),
    ],
    ids=["two classes", "regression", "no loss", "fractions", "one row", "one-hot"],
)
def test_quiet_otherwise(head: Head, values: object) -> None:
    assert findings(single_class_labels, head=head, labels=make_labels(train=values)) == ()
