import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.baseline_wins import baseline_wins
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import FLAT, GOOD, TRUTH, findings, make_head, make_probe, make_served, outcome, proof_of

SERVED = make_served(FLAT, TRUTH)


def probe(decision: np.ndarray, name: str = "logistic regression on the inputs") -> Probe:
    return make_probe(TRUTH, decision=decision, served=SERVED.decision, name=name)


def right(rows: int) -> np.ndarray:
    """Decisions that are right for every row of class 0 and for so many of class 1."""
    return np.where(np.arange(200) < 2 * rows, TRUTH, 0)


def test_a_linear_model_does_better() -> None:
    (finding,) = findings(baseline_wins, served=SERVED, input_probe=probe(TRUTH))
    proof = proof_of(finding)
    assert finding.level is Severity.SYMPTOM
    assert (proof.grade, proof.before, proof.after, proof.n) == (Grade.B, 0.5, 1.0, 200)
    assert "Logistic regression on the inputs reaches balanced accuracy 1.00, the network 0.50" in finding.message


def test_the_better_of_two_is_named_and_pays_for_the_second_try() -> None:
    forest = probe(right(40), "a forest on the inputs")
    (finding,) = findings(baseline_wins, served=SERVED, input_probe=probe(right(20)), tree_probe=forest)
    assert finding.message.startswith("A forest on the inputs reaches balanced accuracy 0.70")
    assert proof_of(finding).p_value == pytest.approx(2 * forest.p_value)


def test_without_a_baseline_it_is_unproven() -> None:
    (finding,) = findings(baseline_wins, served=SERVED)
    assert finding.unproven


@pytest.mark.parametrize(
    ("outputs", "decision"),
    [(GOOD, 1 - TRUTH), (FLAT, SERVED.decision), (FLAT, right(9))],
    ids=["a good net has no room", "no better", "a gain of .045"],
)
def test_quiet(outputs: np.ndarray, decision: np.ndarray) -> None:
    assert findings(baseline_wins, served=make_served(outputs, TRUTH), input_probe=probe(decision)) == ()


def test_quiet_on_few_rows() -> None:
    served = make_served(FLAT[:20], TRUTH[:20])
    few = make_probe(TRUTH[:20], decision=right(4)[:20], served=served.decision)
    assert few.gain == pytest.approx(0.2)
    assert findings(baseline_wins, served=served, input_probe=few) == ()


def test_skipped_where_answers_came_without_their_inputs() -> None:
    served = make_served(FLAT, TRUTH, head=make_head(kind="Predictions"))
    result = outcome(baseline_wins, served=served)
    assert result.status is Status.SKIPPED
    assert "the inputs that a baseline would be fitted on" in result.reason
