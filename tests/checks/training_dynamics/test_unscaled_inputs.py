from dataclasses import replace

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.unscaled_inputs import unscaled_inputs
from mlflow_clfaudit.evidence.scale import InputScale
from mlflow_clfaudit.evidence.trainings import Continued, Contrast
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import findings, make_contrast, make_served, proof_of, surer

TRUTH = np.tile([0, 1], 100)
BAD = make_served(np.full(200, 0.4), TRUTH)
GOOD = make_served(np.where(TRUTH == 1, 0.95, 0.05), TRUTH)


def scale(*, means: float = 0.0, deviations: tuple[float, ...] = (1.0, 1.0), typical: float = 2.0) -> InputScale:
    deviation = np.array(deviations)
    return InputScale("inputs", np.full(len(deviation), means), deviation, deviation < 0, typical, typical * 2)


def contrast(raw: np.ndarray, scaled: np.ndarray) -> Contrast:
    def after(outputs: np.ndarray) -> Continued:
        return Continued("trained anew", 1.0, 5, BAD, replace(BAD, outputs=outputs[:, None]), 0.7, 0.6)

    return Contrast(after(raw), after(scaled))


LARGE = (scale(typical=200.0),)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (scale(typical=200.0), "values up to 400"),
        (scale(deviations=(0.01, 5.0)), "differ by a factor of 500"),
        (scale(means=30.0), "mean is 30 deviations from 0"),
    ],
)
def test_the_pattern_alone_is_a_warning(given: InputScale, said: str) -> None:
    (finding,) = findings(unscaled_inputs, input_scales=(given,), served=BAD)
    assert finding.level is Severity.WARN
    assert said in finding.message


def test_error_when_standardised_inputs_learn() -> None:
    trials = contrast(np.full(200, 0.45), np.where(TRUTH == 1, 0.9, 0.1))
    (finding,) = findings(unscaled_inputs, input_scales=LARGE, served=BAD, scaled_trials=trials)
    assert finding.level is Severity.ERROR
    assert finding.proof is not None
    assert (finding.proof.grade, finding.proof.before, finding.proof.after) == (Grade.B, 0.5, 1.0)


def test_a_warning_where_only_the_probabilities_say_more_standardised() -> None:
    unsure = make_served(surer(0.6), TRUTH)
    trials = make_contrast(unsure, surer(0.55), surer(0.8))
    (finding,) = findings(unscaled_inputs, input_scales=LARGE, served=unsure, scaled_trials=trials)
    assert finding.level is Severity.WARN
    assert "reach U 0.48; as they are, 0.11; the whole run 0.20" in finding.message
    assert (proof_of(finding).grade, proof_of(finding).metric) == (Grade.B, "U")


def test_info_when_standardised_inputs_learn_faster_but_no_further() -> None:
    fair = make_served(surer(0.8), TRUTH)
    trials = make_contrast(fair, surer(0.6), surer(0.8))
    (finding,) = findings(unscaled_inputs, input_scales=LARGE, served=fair, scaled_trials=trials)
    assert finding.level is Severity.INFO
    assert finding.unproven == "the network learnt fairly from them as they are"


def test_info_when_standardising_does_not_help() -> None:
    outputs = np.where(TRUTH == 1, 0.8, 0.2)
    (finding,) = findings(unscaled_inputs, input_scales=LARGE, served=BAD, scaled_trials=contrast(outputs, outputs))
    assert finding.level is Severity.INFO


def test_a_trial_in_which_nothing_learns_refutes_nothing() -> None:
    flat = np.full(200, 0.45)
    (finding,) = findings(unscaled_inputs, input_scales=LARGE, served=BAD, scaled_trials=contrast(flat, flat))
    assert finding.level is Severity.WARN
    assert finding.unproven


def test_info_when_the_net_learnt_all_the_same() -> None:
    (finding,) = findings(unscaled_inputs, input_scales=LARGE, served=GOOD)
    assert finding.level is Severity.INFO
    assert finding.proof is not None
    assert finding.proof.grade is Grade.D


@pytest.mark.parametrize(
    "given",
    [scale(), scale(means=3.0), scale(means=500.0), scale(deviations=(0.05, 1.0))],
    ids=["standardised", "pixels in 0..1", "low contrast has a check of its own", "a factor of 20"],
)
def test_quiet(given: InputScale) -> None:
    assert findings(unscaled_inputs, input_scales=(given,), served=BAD) == ()


def test_right_decisions_with_worthless_probabilities_are_asked_to_prove_it() -> None:
    shouted = np.where((np.arange(200) % 40 < 2), 1 - TRUTH, TRUTH).astype(float)
    served = make_served(shouted, TRUTH)
    assert served.balanced_accuracy >= 0.95
    assert served.skill < 0.5
    (finding,) = findings(unscaled_inputs, input_scales=LARGE, served=served)
    assert finding.level is Severity.WARN
