import numpy as np
import pytest

from mlflow_clfaudit.checks.thresholding.inverted_positive_class import inverted_positive_class
from mlflow_clfaudit.types import Grade, Status
from tests.checks.thresholding.test_readings import read
from tests.evidence.test_scores import LOGITS, PROBABILITIES, PROPER, SIGMOID, TRUTH
from tests.kit import findings, make_head, make_served, outcome


def test_fires_on_the_accuracy_of_the_turned_decisions() -> None:
    (finding,) = findings(inverted_positive_class, **read("accuracy", 1 - PROPER, SIGMOID))
    assert "that of the turned scores" in finding.message


def test_an_unlucky_direction_is_proven_by_turning_it() -> None:
    served = make_served(1 - PROBABILITIES, TRUTH)
    (finding,) = findings(inverted_positive_class, served=served)
    assert finding.proof is not None
    assert finding.proof.grade is Grade.B
    assert finding.proof.after == pytest.approx(SIGMOID.balanced_accuracy)


def test_a_weak_net_below_one_half_is_not_inverted() -> None:
    weak = make_served(0.5 - 0.02 * (PROBABILITIES - 0.5), TRUTH)
    assert findings(inverted_positive_class, served=weak) == ()


def test_quiet_on_scores_the_right_way_round() -> None:
    assert findings(inverted_positive_class, served=SIGMOID) == ()


@pytest.mark.parametrize(
    "served",
    [
        make_served(np.where(np.arange(400) == 0, np.nan, 1 - PROBABILITIES), TRUTH),
        make_served(-LOGITS, TRUTH, head=make_head(1, "linear", None)),
        make_served(np.linspace(0.9, 0.1, 40), np.arange(40) >= 35),
    ],
    ids=["NaN", "outputs on no known scale", "five rows of class 1"],
)
def test_quiet_where_the_direction_cannot_be_told(served: object) -> None:
    assert findings(inverted_positive_class, served=served) == ()


def test_skipped_for_several_classes() -> None:
    served = make_served([[0.2, 0.3, 0.5]] * 60, [0, 1, 2] * 20)
    assert outcome(inverted_positive_class, served=served).status is Status.SKIPPED
