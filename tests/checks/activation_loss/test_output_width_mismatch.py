import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.output_width_mismatch import output_width_mismatch
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Severity
from tests.kit import findings, make_head, make_labels, make_served

HEAD = make_head(5, "softmax", "sparse_categorical_crossentropy")
LABELS = make_labels(train=[0, 1, 2] * 30)


def only(**given: object) -> Finding:
    (finding,) = findings(output_width_mismatch, **given)
    return finding


def test_idle_units_are_info() -> None:
    finding = only(head=HEAD, labels=LABELS)
    assert finding.level is Severity.INFO
    assert finding.evidence["idle"] == [3, 4]


def test_idle_units_that_never_win_stay_info() -> None:
    truth = np.tile([0, 1, 2], 40)
    served = make_served(np.eye(5)[truth], truth, head=HEAD)
    assert "None of them wins" in only(head=HEAD, labels=LABELS, served=served).message


def test_idle_units_that_win_are_an_error() -> None:
    truth = np.tile([0, 1, 2], 40)
    outputs = np.eye(5)[np.where(np.arange(120) < 12, 4, truth)]
    finding = only(head=HEAD, labels=LABELS, served=make_served(outputs, truth, head=HEAD))
    assert finding.level is Severity.ERROR
    assert "They win 10.0%" in finding.message


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (make_head(3, "softmax", "sparse_categorical_crossentropy"), [0, 1, 2]),
        (make_head(2, "softmax", "sparse_categorical_crossentropy"), [0, 1, 2]),
        (make_head(1, "sigmoid", "binary_crossentropy"), [0, 1]),
        (HEAD, ["a", "b", "c"]),
        (HEAD, [1, 1, 1]),
        (make_head(5, "softmax", None), [0, 1, 2]),
    ],
    ids=["equal", "too few units", "one unit", "strings", "one class", "no loss"],
)
def test_quiet_where_it_is_not_the_question(head: Head, values: list[object]) -> None:
    assert findings(output_width_mismatch, head=head, labels=make_labels(train=values * 20)) == ()
