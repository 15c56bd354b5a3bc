import numpy as np
import pytest

from mlflow_clfaudit.checks.thresholding.threshold_tuned_on_test import threshold_tuned_on_test
from mlflow_clfaudit.measures import balanced_accuracy
from mlflow_clfaudit.types import Severity, Status
from tests.kit import findings, make_served, outcome
from tests.runs import make_run

RANDOM = np.random.default_rng(0)
TRUTH = np.arange(300) % 2
VALIDATION = 0.55 + 0.1 * (TRUTH - 0.5) + RANDOM.normal(0, 0.1, 300)
TEST = 0.5 + 0.1 * (TRUTH - 0.5) + RANDOM.normal(0, 0.1, 300)
SERVED = {"validation": make_served(VALIDATION, TRUTH), "test": make_served(TEST, TRUTH)}


def best(scores: np.ndarray) -> float:
    return float(max(scores, key=lambda threshold: balanced_accuracy(TRUTH, (scores >= threshold).astype(int))))


def test_fires_on_the_best_threshold_of_the_test_rows() -> None:
    run = make_run(params={"decision_threshold": repr(best(TEST))})
    (finding,) = findings(threshold_tuned_on_test, served_by_split=SERVED, run=run)
    assert finding.level is Severity.WARN
    assert "best balanced accuracy" in finding.message


@pytest.mark.parametrize("threshold", [best(VALIDATION), 0.5, float(np.sort(TEST)[20])])
def test_quiet_on_other_thresholds(threshold: float) -> None:
    run = make_run(metrics={"threshold": [threshold]})
    assert findings(threshold_tuned_on_test, served_by_split=SERVED, run=run) == ()


def test_fires_on_more_scores_than_are_tried() -> None:
    scores = np.linspace(0.2, 0.8, 2001)
    truth = (scores >= scores[1000]).astype(int)
    run = make_run(params={"epochs": "3", "threshold": "tuned"}, metrics={"auc": [0.7], "threshold": [scores[1000]]})
    given = {"validation": SERVED["validation"], "test": make_served(scores, truth)}
    (finding,) = findings(threshold_tuned_on_test, served_by_split=given, run=run)
    assert finding.evidence["criterion"] == "balanced accuracy"


def test_quiet_for_several_classes() -> None:
    served = make_served(np.eye(3)[np.arange(90) % 3], np.arange(90) % 3)
    run = make_run(params={"threshold": "0.5"})
    given = {"validation": served, "test": served}
    assert findings(threshold_tuned_on_test, served_by_split=given, run=run) == ()


def test_skipped_without_a_threshold_or_a_test_set() -> None:
    assert outcome(threshold_tuned_on_test, served_by_split=SERVED, run=make_run()).status is Status.SKIPPED
    one = {"validation": SERVED["validation"]}
    run = make_run(params={"threshold": "0.4"})
    assert outcome(threshold_tuned_on_test, served_by_split=one, run=run).status is Status.SKIPPED
