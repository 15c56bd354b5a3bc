import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.labels_off_by_one import labels_off_by_one
from mlflow_clfaudit.evidence.classes import ClassList
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Severity
from tests.kit import findings, make_head, make_labels, make_served, proof_of

HEAD = make_head(4, "softmax", "sparse_categorical_crossentropy")
LABELS = make_labels(train=[1, 2, 3] * 30)


def only(**given: object) -> Finding:
    (finding,) = findings(labels_off_by_one, **given)
    return finding


def test_classes_from_1_on_are_info() -> None:
    assert only(head=HEAD, labels=LABELS).level is Severity.INFO


def test_an_empty_first_column_of_one_hot_labels() -> None:
    head = make_head(3, "softmax", "categorical_crossentropy")
    assert only(head=head, labels=make_labels(train=np.eye(3)[[1, 2] * 30])).level is Severity.INFO


def test_a_list_of_names_as_long_as_the_classes_makes_it_a_warning() -> None:
    names = (ClassList(("a", "b", "c"), "class_names.json"),)
    finding = only(head=HEAD, labels=LABELS, class_lists=names)
    assert finding.level is Severity.WARN
    assert "one place off" in finding.message


def test_unit_0_never_wins() -> None:
    truth = np.tile([1, 2, 3], 30)
    finding = only(head=HEAD, labels=LABELS, served=make_served(np.eye(4)[truth], truth, head=HEAD))
    assert proof_of(finding).before == 0.0


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (HEAD, [0, 1, 2, 3]),
        (HEAD, [0, 1, 2]),
        (make_head(3, "softmax", "sparse_categorical_crossentropy"), [1, 2, 3]),
        (make_head(10, "softmax", "sparse_categorical_crossentropy"), [1, 2, 3]),
        (make_head(3, "sigmoid", "binary_crossentropy"), [1, 2]),
        (HEAD, ["a", "b", "c"]),
    ],
    ids=["from 0", "spare unit", "out of range", "many units", "binary", "strings"],
)
def test_quiet_otherwise(head: Head, values: list[object]) -> None:
    assert findings(labels_off_by_one, head=head, labels=make_labels(train=values * 20)) == ()
