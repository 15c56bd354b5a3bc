import numpy as np
import pytest
from scipy.special import expit

from mlflow_clfaudit.checks.stratification.class_weight_overcorrected import class_weight_overcorrected
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.checks.stratification.test_class_weight_without_effect import TRUTH, given
from tests.kit import findings, make_served, outcome, proof_of


def overcorrected(gap: float) -> object:
    """A calibrated net whose odds were multiplied by 9, on classes this far apart."""
    random = np.random.default_rng(0)
    logits = gap * (gap * (TRUTH - 0.5) + random.normal(0, 1, 400)) - np.log(9)
    return make_served(expit(logits + np.log(9)), TRUTH)


def test_a_warning_below_the_majority_rate() -> None:
    weak = given({0: 1.0, 1: 9.0}, served=overcorrected(1.0))
    (finding,) = findings(class_weight_overcorrected, **weak)
    assert finding.level is Severity.WARN
    assert "below the 0.900 of the largest class" in finding.message
    assert finding.proof is not None
    assert finding.proof.grade is Grade.B


def test_information_where_decisions_are_good() -> None:
    strong = given({0: 1.0, 1: 9.0}, served=overcorrected(2.6))
    found = findings(class_weight_overcorrected, **strong)
    assert all(finding.level is Severity.INFO for finding in found)


@pytest.mark.parametrize("weights", [{0: 1.0, 1: 1.0}, {0: 9.0, 1: 1.0}], ids=["equal", "the other way"])
def test_quiet_where_weights_do_not_explain_it(weights: object) -> None:
    assert findings(class_weight_overcorrected, **given(weights, served=overcorrected(1.0))) == ()


def test_the_balanced_accuracy_with_the_weights_divided_out_is_part_of_the_proof() -> None:
    truth = np.tile([0, 1], 200)
    random = np.random.default_rng(0)
    logits = 3.0 * (3.0 * (truth - 0.5) + random.normal(0, 1, 400))
    (finding,) = findings(
        class_weight_overcorrected,
        **{**given({0: 1.0, 1: 40.0}), "served": make_served(expit(logits + np.log(40)), truth)},
    )
    assert finding.level is Severity.WARN
    proof = proof_of(finding)
    assert (proof.after or 0.0) > (proof.before or 0.0) + 0.05


@pytest.mark.parametrize(
    "served",
    [
        make_served(np.full(40, 0.9), np.zeros(40, int)),
        make_served(np.ones(400), TRUTH),
        make_served(np.where(np.arange(12) < 3, 0.9, 0.1), np.arange(12) == 0),
    ],
    ids=["held-out rows of one class", "outputs of 1", "too few rows to tell"],
)
def test_quiet_where_the_odds_cannot_be_compared(served: object) -> None:
    assert findings(class_weight_overcorrected, **given({0: 1.0, 1: 9.0}, served=served)) == ()


def test_skipped_where_there_are_more_classes_than_two() -> None:
    codes = np.arange(90) % 3
    result = outcome(
        class_weight_overcorrected,
        **given({0: 1.0, 1: 9.0, 2: 1.0}, codes, served=make_served(np.eye(3)[codes], codes)),
    )
    assert result.status is Status.SKIPPED
    assert "two classes" in result.reason
