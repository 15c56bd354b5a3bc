"""What an array of answers is, where nothing but the array says so: decisions, probabilities, logits or no answer."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_clfaudit.evidence.answers import read_outputs

CODES = np.array([0, 1, 2])
NAMES = np.array(["ape", "bee", "cat"])


@pytest.mark.parametrize(
    ("values", "known", "places"),
    [
        ([2, 0, 1], CODES, [2, 0, 1]),
        ([2.0, 0.0, 1.0], CODES, [2, 0, 1]),
        (["cat", "ape", "dog"], NAMES, [2, 0, 3]),
        ([0, 1, 1], NAMES, [0, 1, 1]),
        ([[1], [0], [2]], CODES, [1, 0, 2]),
    ],
    ids=["codes", "whole floats", "names, one unknown", "codes of names", "a column"],
)
def test_decisions_are_a_one_for_the_class(values: list[object], known: np.ndarray, places: list[int]) -> None:
    found = read_outputs(np.array(values), known, len(known))
    assert found is not None
    head, outputs = found
    assert head.bare
    assert outputs.argmax(axis=1).tolist() == places
    assert (outputs.sum(axis=1) == 1).all()


def test_columns_are_put_in_the_order_of_the_classes() -> None:
    scores = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    found = read_outputs(scores, NAMES, 3, ["cat", "bee", "ape"])
    assert found is not None
    assert found[0].activation == "softmax"
    assert found[1].tolist() == [[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]]


def test_rows_of_indicators_are_decisions_and_log_probabilities_are_probabilities() -> None:
    indicators = read_outputs(np.eye(3)[[0, 2, 1]], CODES, 3)
    assert indicators is not None
    assert indicators[0].bare
    shares = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
    logs = read_outputs(np.log(shares), CODES, 3)
    assert logs is not None
    assert logs[0].activation == "softmax"
    np.testing.assert_allclose(logs[1], shares)


def test_scores_are_logits_where_their_name_says_so() -> None:
    margins = np.array([[2.5], [-1.5], [0.5]])
    plain, named = read_outputs(margins, CODES[:2], 2), read_outputs(margins, CODES[:2], 2, name="val_logits")
    assert plain is not None
    assert named is not None
    assert (plain[0].link, plain[0].cut) == (None, 0.0)
    assert (named[0].link, named[0].cut) == ("sigmoid", 0.0)


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.5, np.nan, 0.1]),
        np.array([[0.1, 0.2], [0.3, 0.4]]),
        np.zeros((3, 4, 2)),
        np.array([0.25, 0.5, 0.75]),
        np.array([b"x", b"y", b"z"]),
        np.zeros((0, 3)),
    ],
    ids=["not finite", "fewer columns than classes", "three dimensions", "one score, three classes", "bytes", "empty"],
)
def test_what_is_no_answer_is_none(values: np.ndarray) -> None:
    assert read_outputs(values, CODES, 3) is None
