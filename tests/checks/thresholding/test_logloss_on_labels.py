import numpy as np
import pytest
from sklearn.metrics import log_loss

from mlflow_clfaudit.checks.thresholding.logloss_on_labels import logloss_on_labels
from mlflow_clfaudit.types import Severity, Status
from tests.checks.thresholding.test_readings import read
from tests.evidence.test_scores import DECISION, PROBABILITIES, PROPER, SIGMOID, TRUTH
from tests.kit import findings, make_served, outcome


def test_fires_on_the_log_loss_of_decisions() -> None:
    value = log_loss(TRUTH, np.eye(2)[DECISION])
    assert value == pytest.approx(36.04 * (1 - PROPER), rel=1e-3)
    (finding,) = findings(logloss_on_labels, **read("log loss", value, SIGMOID))
    assert finding.level is Severity.ERROR
    assert "36.04 times the error rate" in finding.message


@pytest.mark.parametrize("value", [log_loss(TRUTH, PROBABILITIES), 0.5, 0.0])
def test_quiet_on_other_values(value: float) -> None:
    assert findings(logloss_on_labels, **read("log loss", value, SIGMOID)) == ()


def test_quiet_where_probabilities_are_as_hard_as_decisions() -> None:
    hard = DECISION.astype(float)
    hard[np.flatnonzero((DECISION == 0) & (TRUTH == 1))[0]] = 1e-15
    given = read("log loss", log_loss(TRUTH, np.eye(2)[DECISION]), make_served(hard, TRUTH))
    assert given["readings"][0].match == "hard labels"
    assert findings(logloss_on_labels, **given) == ()


def test_skipped_without_a_score() -> None:
    assert outcome(logloss_on_labels).status is Status.SKIPPED
