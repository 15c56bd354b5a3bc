import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.low_contrast_inputs import low_contrast_inputs
from mlflow_clfaudit.evidence.scale import InputScale
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import FLAT, GOOD, TRUTH, findings, make_contrast, make_served, proof_of

SERVED = make_served(FLAT, TRUTH)


def scale(*means: float, deviation: float = 1.0) -> tuple[InputScale, ...]:
    deviations = np.full(len(means), deviation)
    return (InputScale("inputs", np.array(means), deviations, deviations < 0, 1.0, 2.0),)


SEED = scale(-1.06, -1.06, deviation=0.005)


def test_error_of_scale_is_proven_by_standardised_inputs() -> None:
    trials = make_contrast(SERVED, FLAT, GOOD)
    (finding,) = findings(low_contrast_inputs, input_scales=SEED, served=SERVED, scaled_trials=trials)
    proof = proof_of(finding)
    assert finding.level is Severity.WARN
    assert "a mean of more than 212 deviations" in finding.message
    assert (proof.grade, proof.before, proof.after) == (Grade.B, 0.5, 1.0)


def test_more_information_without_better_decisions_is_an_association() -> None:
    trials = make_contrast(SERVED, np.where(TRUTH == 1, 0.6, 0.4), GOOD)
    (finding,) = findings(low_contrast_inputs, input_scales=SEED, served=SERVED, scaled_trials=trials)
    assert proof_of(finding).grade is Grade.C


def test_unproven_when_standardising_does_not_help() -> None:
    trials = make_contrast(SERVED, FLAT, FLAT)
    (finding,) = findings(low_contrast_inputs, input_scales=SEED, served=SERVED, scaled_trials=trials)
    assert finding.level is Severity.WARN
    assert finding.unproven


def test_info_when_the_net_learnt_all_the_same() -> None:
    (finding,) = findings(low_contrast_inputs, input_scales=SEED, served=make_served(GOOD, TRUTH))
    assert finding.level is Severity.INFO
    assert proof_of(finding).grade is Grade.D


@pytest.mark.parametrize(
    "given",
    [scale(0.0, 0.0), scale(50.0, -50.0), scale(500.0, 1.0, 1.0), scale(), ()],
    ids=["standardised", "fifty deviations", "one column of three", "no column varies", "scaled by the model"],
)
def test_quiet(given: tuple[InputScale, ...]) -> None:
    assert findings(low_contrast_inputs, input_scales=given, served=SERVED) == ()


def test_a_net_that_learnt_only_fairly_is_asked_to_prove_it() -> None:
    fair = make_served(np.where(TRUTH == 1, 0.8, 0.2) - 0.35 * (np.arange(len(TRUTH)) % 10 == 1), TRUTH)
    assert fair.has_learnt()
    assert not fair.has_learnt(information=0.8, right=0.95)
    (finding,) = findings(
        low_contrast_inputs, input_scales=SEED, served=fair, scaled_trials=make_contrast(fair, FLAT, GOOD)
    )
    assert proof_of(finding).grade is Grade.B
