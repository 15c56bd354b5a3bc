import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.saturated_units import saturated_units
from mlflow_clfaudit.evidence.units import LayerActivity
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import FLAT, GOOD, TRUTH, findings, make_contrast, make_served, proof_of

SERVED = make_served(FLAT, TRUTH)


def activity(saturated: float | None, rows: int = 200) -> tuple[LayerActivity, ...]:
    return (
        LayerActivity("first", "sigmoid", 32, rows, saturated=0.1),
        LayerActivity("second", "tanh", 64, rows, saturated=saturated),
    )


def test_standardised_inputs_free_them() -> None:
    trials = make_contrast(SERVED, FLAT, GOOD)
    (finding,) = findings(saturated_units, unit_activity=activity(0.8), served=SERVED, scaled_trials=trials)
    proof = proof_of(finding)
    assert finding.level is Severity.WARN
    assert finding.message == "80% of the outputs of second (tanh) stand at its bounds."
    assert (proof.grade, proof.before, proof.after) == (Grade.B, 0.5, 1.0)


@pytest.mark.parametrize("both", [FLAT, GOOD], ids=["neither learns", "new weights are enough"])
def test_info_when_standardising_does_not_help(both: np.ndarray) -> None:
    trials = make_contrast(SERVED, both, both)
    (finding,) = findings(saturated_units, unit_activity=activity(0.8), served=SERVED, scaled_trials=trials)
    assert finding.level is Severity.INFO
    assert finding.unproven


@pytest.mark.parametrize(
    ("given", "outputs"),
    [(activity(0.9), GOOD), (activity(0.5), FLAT), (activity(0.9, rows=10), FLAT), (activity(None), FLAT), ((), FLAT)],
    ids=["gates of a net that learnt", "half", "few rows", "no bounds", "no hidden layer"],
)
def test_quiet(given: tuple[LayerActivity, ...], outputs: np.ndarray) -> None:
    assert findings(saturated_units, unit_activity=given, served=make_served(outputs, TRUTH)) == ()
