import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.dirty_labels import dirty_labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Severity
from tests.kit import findings, make_head, make_history, make_labels, proof_of

SPARSE = make_head(10, "softmax", "sparse_categorical_crossentropy")
DIGITS = np.tile(np.arange(10), 30)


def only(**given: object) -> Finding:
    (finding,) = findings(dirty_labels, **given)
    return finding


def test_labels_divided_with_the_images() -> None:
    labels = make_labels(train=(DIGITS / 255).astype("float32"))
    finding = only(labels=labels, head=SPARSE, history=make_history(loss=[0.1, 0.0004], accuracy=[0.1, 0.1]))
    assert (finding.level, finding.variant) == (Severity.ERROR, "scaled")
    assert (proof_of(finding).before, proof_of(finding).after) == (10, 1)
    assert "logged accuracy" in proof_of(finding).how
    assert "fractions of 255" in finding.message


def test_scaled_labels_need_no_history() -> None:
    assert only(labels=make_labels(train=DIGITS / 10), head=SPARSE).level is Severity.ERROR


def test_quiet_where_the_accuracy_says_that_fit_was_given_other_labels() -> None:
    history = make_history(loss=[0.5, 0.1], accuracy=[0.8, 0.97])
    assert findings(dirty_labels, labels=make_labels(train=DIGITS / 255), head=SPARSE, history=history) == ()


def test_names_that_differ_in_case_and_spaces() -> None:
    labels = make_labels(train=["Cat", "cat ", "dog"] * 20, test=["dog", "cat"] * 20)
    finding = only(labels=labels)
    assert (finding.level, finding.variant) == (Severity.WARN, "twins")
    assert (proof_of(finding).before, proof_of(finding).after) == (4, 2)


def test_a_number_written_in_two_ways() -> None:
    assert only(labels=make_labels(train=["1", "1.0", "2"] * 20)).variant == "twins"


@pytest.mark.parametrize(
    "values", [[0.0, 1.0, np.nan], ["a", "b", ""], ["a", "b", "nan"]], ids=["NaN", "empty", "nan as text"]
)
def test_missing_labels(values: list[object]) -> None:
    finding = only(labels=make_labels(train=values * 20))
    assert finding.variant == "missing"
    assert "20 of 60 train labels are missing" in finding.message


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (SPARSE, DIGITS),
        (SPARSE, DIGITS.astype("float32")),
        (make_head(1, "sigmoid", "binary_crossentropy"), np.tile([0.05, 0.95], 50)),
        (make_head(10, "softmax", "categorical_crossentropy"), np.eye(10)[DIGITS] * 0.9 + 0.01),
        (SPARSE, np.random.default_rng(0).normal(5, 2, 300)),
        (make_head(1, "linear", "mean_squared_error"), DIGITS / 255),
        (SPARSE, ["ant", "bee", "cat"] * 20),
        (None, ["a1", "a2", "A3"] * 20),
        (None, ["None", "mild", "severe"] * 20),
    ],
    ids=[
        "ints",
        "whole floats",
        "smoothed",
        "smoothed rows",
        "measurements",
        "mse",
        "names",
        "no head",
        "none is a class",
    ],
)
def test_quiet_on_clean_labels(head: Head | None, values: object) -> None:
    given = {} if head is None else {"head": head}
    assert findings(dirty_labels, labels=make_labels(train=values), **given) == ()
