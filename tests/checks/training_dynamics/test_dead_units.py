import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.dead_units import dead_units
from mlflow_clfaudit.evidence.units import LayerActivity
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import FLAT, GOOD, TRUTH, findings, make_probe, make_served, proof_of

NOTHING = np.zeros(200, dtype=np.int64)


def activity(dead: float | None, *, rows: int = 200, trainable: bool = True) -> tuple[LayerActivity, ...]:
    return (
        LayerActivity("first", "relu", 32, rows, dead=0.1),
        LayerActivity("second", "relu", 64, rows, dead=dead, trainable=trainable),
    )


def judged(dead: float, features: np.ndarray) -> tuple[Finding, ...]:
    served = make_served(FLAT, TRUTH)
    return findings(
        dead_units,
        unit_activity=activity(dead),
        served=served,
        input_probe=make_probe(TRUTH, decision=TRUTH, served=served.decision),
        feature_probe=make_probe(TRUTH, decision=features, served=served.decision),
    )


@pytest.mark.parametrize(("dead", "level"), [(0.95, Severity.ERROR), (0.6, Severity.WARN)])
def test_what_the_inputs_hold_is_lost_behind_dead_units(dead: float, level: Severity) -> None:
    (finding,) = judged(dead, NOTHING)
    proof = proof_of(finding)
    assert finding.level is level
    assert finding.message.startswith(f"{dead:.0%} of the 64 relu units of second give 0 for every one of 200 rows")
    assert (proof.grade, proof.before, proof.after) == (Grade.B, 0.5, 1.0)


def test_info_when_the_features_hold_it_all_the_same() -> None:
    (finding,) = judged(0.95, TRUTH)
    assert finding.level is Severity.INFO
    assert finding.unproven


def test_unproven_it_is_a_warning() -> None:
    (finding,) = findings(dead_units, unit_activity=activity(1.0), served=make_served(FLAT, TRUTH))
    assert finding.level is Severity.WARN
    assert finding.unproven


@pytest.mark.parametrize(
    ("given", "outputs"),
    [
        (activity(0.95), GOOD),
        (activity(0.47), FLAT),
        (activity(1.0, trainable=False), FLAT),
        (activity(1.0, rows=50), FLAT),
        (activity(None), FLAT),
    ],
    ids=["a net that learnt", "less than half", "frozen features", "few rows", "a layer without rectifier"],
)
def test_quiet(given: tuple[LayerActivity, ...], outputs: np.ndarray) -> None:
    assert findings(dead_units, unit_activity=given, served=make_served(outputs, TRUTH)) == ()
