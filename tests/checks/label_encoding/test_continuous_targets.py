import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.continuous_targets import continuous_targets
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Severity
from tests.kit import findings, make_head, make_history, make_labels, proof_of

BINARY = make_head(1, "sigmoid", "binary_crossentropy")
SPARSE = make_head(10, "softmax", "sparse_categorical_crossentropy")
DISTRIBUTIONS = np.random.default_rng(0).dirichlet(np.ones(10), 300)
PRICES = np.random.default_rng(0).normal(5.0, 1.5, 400)


def only(**given: object) -> Finding:
    (finding,) = findings(continuous_targets, **given)
    return finding


def test_measurements_under_binary_cross_entropy() -> None:
    history = make_history(loss=[0.5, -20.0])
    finding = only(head=BINARY, labels=make_labels(train=PRICES), history=history)
    assert finding.level is Severity.ERROR
    assert "400 distinct values" in finding.message


def test_measurements_under_sparse_cross_entropy() -> None:
    values = np.clip(PRICES, 0.1, 9.8)
    history = make_history(loss=[2.0, 1.5])
    assert only(head=SPARSE, labels=make_labels(train=values), history=history).level is Severity.ERROR


def test_scores_between_0_and_1_whose_accuracy_is_0() -> None:
    labels = make_labels(train=np.linspace(0.01, 0.99, 300))
    history = make_history(loss=[0.7, 0.64], accuracy=[0.0, 0.0])
    finding = only(head=BINARY, labels=labels, history=history)
    assert finding.level is Severity.ERROR
    assert proof_of(finding).before == 0.0
    soft = make_history(loss=[0.7, 0.64], accuracy=[0.4, 0.5])
    assert findings(continuous_targets, head=BINARY, labels=labels, history=soft) == ()


@pytest.mark.parametrize(
    ("head", "values", "loss"),
    [
        (BINARY, np.linspace(0, 1, 300), [0.7, 0.5]),
        (BINARY, PRICES, [0.7, 0.3]),
        (SPARSE, PRICES * 100, [2.0, 0.4]),
        (SPARSE, np.tile(np.arange(10.0), 30), [2.0, 0.4]),
        (SPARSE, np.tile(np.arange(10) / 255, 30), [2.0, 0.4]),
        (
            make_head(10, "softmax", "categorical_crossentropy"),
            np.random.default_rng(0).dirichlet(np.ones(10), 300),
            [2.0],
        ),
        (make_head(1, "linear", "mean_squared_error"), PRICES, [2.0, 1.0]),
    ],
    ids=["soft labels", "binned: positive", "binned: finite", "whole", "scaled", "distributions", "regression"],
)
def test_quiet_where_it_is_legitimate(head: Head, values: np.ndarray, loss: list[float]) -> None:
    history = make_history(loss=loss)
    assert findings(continuous_targets, head=head, labels=make_labels(train=values), history=history) == ()
