import numpy as np
import pytest

from mlflow_clfaudit.checks.thresholding.argmax_on_one_column import argmax_on_one_column
from mlflow_clfaudit.evidence.scores import LoggedPredictions, LoggedScore, Reading, read_score
from mlflow_clfaudit.evidence.spec import Metric
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import findings, make_head, make_history, make_served

TRUTH = np.repeat([0, 1], [77, 123])
GOOD = np.where(np.arange(200) % 25 == 0, 0.5, 0.1 + 0.8 * TRUTH)
HEAD = make_head()


def readings(value: float, outputs: np.ndarray = GOOD, **fields: object) -> tuple[Reading, ...]:
    served = make_served(outputs, TRUTH)
    reading = read_score(LoggedScore("test_accuracy", "accuracy", "test", value), served, TRUTH, **fields)
    assert reading is not None
    return (reading,)


def test_fires_on_an_accuracy_that_is_the_share_of_class_0() -> None:
    (finding,) = findings(argmax_on_one_column, head=HEAD, readings=readings(77 / 200))
    assert finding.level is Severity.BLOCKER
    assert "0.3850 is the share of class 0" in finding.message
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A
    assert finding.proof.before == pytest.approx(0.385)
    assert finding.proof.after is not None
    assert finding.proof.after > 0.95


def test_fires_on_logged_predictions_of_one_class() -> None:
    predictions = (LoggedPredictions("y_pred.npy", None, np.zeros(200, int)),)
    served = make_served(GOOD, TRUTH)
    (finding,) = findings(argmax_on_one_column, head=HEAD, served=served, logged_predictions=predictions)
    assert "class 0 in all 200 rows" in finding.message


def test_fires_on_the_sparse_metric() -> None:
    head = make_head(metrics=(Metric("sparse_categorical_accuracy"),))
    history = make_history(loss=[1.0, 0.5], val_sparse_categorical_accuracy=[0.385, 0.385])
    (finding,) = findings(argmax_on_one_column, head=head, history=history, served=make_served(GOOD, TRUTH))
    assert finding.level is Severity.BLOCKER
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A


def test_the_sparse_metric_is_enough_without_a_curve_of_it() -> None:
    head = make_head(metrics=(Metric("sparse_categorical_accuracy"),))
    history = make_history(loss=[1.0, 0.5])
    (finding,) = findings(argmax_on_one_column, head=head, history=history, served=make_served(GOOD, TRUTH))
    assert finding.level is Severity.BLOCKER
    assert finding.proof is None


def test_a_curve_that_contradicts_lowers_it() -> None:
    head = make_head(metrics=(Metric("sparse_categorical_accuracy"),))
    history = make_history(loss=[1.0, 0.5], val_sparse_categorical_accuracy=[0.7, 0.9])
    (finding,) = findings(argmax_on_one_column, head=head, history=history, served=make_served(GOOD, TRUTH))
    assert finding.level is Severity.WARN


@pytest.mark.parametrize(
    ("value", "outputs"),
    [(0.98, GOOD), (0.5, GOOD), (77 / 200, np.zeros(200))],
    ids=["right", "explained by nothing", "really class 0"],
)
def test_quiet_on_other_numbers(value: float, outputs: np.ndarray) -> None:
    assert findings(argmax_on_one_column, head=HEAD, readings=readings(value, outputs)) == ()


def test_quiet_on_two_columns_and_on_few_rows() -> None:
    head = make_head(2, "softmax", metrics=(Metric("sparse_categorical_accuracy"),))
    assert findings(argmax_on_one_column, head=head) == ()
    assert findings(argmax_on_one_column, head=HEAD, readings=readings(77 / 200, minimum_rows=500)) == ()


def test_quiet_on_predictions_that_vary_or_that_the_model_shares() -> None:
    varied = (LoggedPredictions("y_pred.npy", None, TRUTH),)
    assert findings(argmax_on_one_column, head=HEAD, served=make_served(GOOD, TRUTH), logged_predictions=varied) == ()
    zeros = (LoggedPredictions("y_pred.npy", None, np.zeros(200, int)),)
    served = make_served(np.zeros(200), TRUTH)
    assert findings(argmax_on_one_column, head=HEAD, served=served, logged_predictions=zeros) == ()


@pytest.mark.parametrize(
    "predictions",
    [
        LoggedPredictions("y_pred_test.npy", "test", np.zeros(200, int)),
        LoggedPredictions("y_pred.npy", None, np.zeros(150, int)),
        LoggedPredictions("y_pred.npy", None, np.array(["no"] * 200)),
    ],
    ids=["another split", "other rows", "text"],
)
def test_quiet_on_predictions_that_cannot_be_compared(predictions: LoggedPredictions) -> None:
    given = {"served": make_served(GOOD, TRUTH), "logged_predictions": (predictions,)}
    assert findings(argmax_on_one_column, head=HEAD, **given) == ()
