from dataclasses import replace

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.batchnorm_gap import batchnorm_gap
from mlflow_clfaudit.evidence.batchnorm import NormalizationModes
from mlflow_clfaudit.evidence.spec import Layer
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import FLAT, GOOD, TRUTH, findings, make_served, make_spec, proof_of

SPEC = make_spec(layers=(Layer("normalisation", "BatchNormalization"),))
SERVED = make_served(FLAT, TRUTH)


def modes(by_batch: np.ndarray, recalibrated: np.ndarray) -> NormalizationModes:
    return NormalizationModes(
        SERVED, replace(SERVED, outputs=by_batch[:, None]), replace(SERVED, outputs=recalibrated[:, None])
    )


@pytest.mark.parametrize(
    ("recalibrated", "level", "said"),
    [(GOOD, Severity.ERROR, "measured anew"), (FLAT, Severity.WARN, "normalised by its own batches")],
    ids=["statistics measured anew", "the batches' own alone, which may leak the label"],
)
def test_other_statistics_decide_better(recalibrated: np.ndarray, level: Severity, said: str) -> None:
    (finding,) = findings(batchnorm_gap, spec=SPEC, served=SERVED, normalization_modes=modes(GOOD, recalibrated))
    proof = proof_of(finding)
    assert finding.level is level
    assert said in finding.message
    assert (proof.grade, proof.before, proof.after) == (Grade.B, 0.5, 1.0)


def test_unproven_it_is_an_info() -> None:
    (finding,) = findings(batchnorm_gap, spec=SPEC, served=SERVED)
    assert finding.level is Severity.INFO
    assert finding.unproven


def test_quiet_when_no_statistics_do_better() -> None:
    assert findings(batchnorm_gap, spec=SPEC, served=SERVED, normalization_modes=modes(FLAT, FLAT)) == ()


def test_quiet_without_the_layer() -> None:
    dense = make_spec(layers=(Layer("hidden", "Dense"),))
    assert findings(batchnorm_gap, spec=dense, served=SERVED, normalization_modes=modes(GOOD, GOOD)) == ()


def test_quiet_where_inference_works() -> None:
    sure = make_served(np.where(TRUTH == 1, 0.99, 0.01), TRUTH)
    assert findings(batchnorm_gap, spec=SPEC, served=sure) == ()


def test_quiet_where_an_overfit_net_is_no_better_by_other_statistics() -> None:
    poor = make_served(FLAT, TRUTH)
    assert findings(batchnorm_gap, spec=SPEC, served=poor, normalization_modes=modes(FLAT, FLAT)) == ()


def test_a_warning_where_only_the_probabilities_are_better_by_statistics_measured_anew() -> None:
    unsure, sure = (make_served(np.where(TRUTH == 1, p, 1 - p), TRUTH) for p in (0.8, 0.97))
    given = NormalizationModes(unsure, sure, sure)
    (finding,) = findings(batchnorm_gap, spec=SPEC, served=unsure, normalization_modes=given)
    assert finding.level is Severity.WARN
    assert "a U of 0.68 as served, 0.96 with statistics measured anew" in finding.message
    assert (proof_of(finding).grade, proof_of(finding).metric) == (Grade.B, "U")
    again = NormalizationModes(unsure, sure, unsure)
    assert findings(batchnorm_gap, spec=SPEC, served=unsure, normalization_modes=again) == (), "by its batches alone"


def test_quiet_where_both_say_less_than_the_class_shares() -> None:
    random = np.random.default_rng(0)
    sure = [p * random.uniform(0.5, 1.5, len(TRUTH)) for p in (0.01, 0.02)]
    wrong, less = (make_served(np.where(TRUTH == 1, p, 1 - p), TRUTH) for p in sure)
    assert less.skill - wrong.skill > 0.5
    given = NormalizationModes(wrong, less, less)
    assert findings(batchnorm_gap, spec=SPEC, served=wrong, normalization_modes=given) == ()
