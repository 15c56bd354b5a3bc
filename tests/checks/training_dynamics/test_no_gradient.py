import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.no_gradient import no_gradient
from mlflow_clfaudit.evidence.weights import OptimizerState, TensorGradient
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import FLAT, GOOD, TRUTH, findings, make_served, proof_of

STEPS = OptimizerState(700, ())


def gradients(*kernels: float, biases: float = 0.1) -> tuple[TensorGradient, ...]:
    """Dense layers whose kernels received gradients of these sizes."""
    return tuple(
        tensor
        for place, rms in enumerate(kernels)
        for tensor in (TensorGradient(f"dense_{place}", (8, 8), rms), TensorGradient(f"dense_{place}", (8,), biases))
    )


@pytest.mark.parametrize(
    ("kernels", "outputs", "level"),
    [
        ((0.0, 0.0, 0.1), FLAT, Severity.BLOCKER),
        ((0.0, 0.1, 0.1), FLAT, Severity.WARN),
        ((0.0, 0.0, 0.1), GOOD, Severity.INFO),
    ],
    ids=["most kernels", "one of three", "the net learnt all the same"],
)
def test_kernels_that_no_gradient_reached(kernels: tuple[float, ...], outputs: np.ndarray, level: Severity) -> None:
    (finding,) = findings(
        no_gradient,
        tensor_gradients=gradients(*kernels),
        optimizer_state=STEPS,
        served=make_served(outputs, TRUTH),
    )
    assert finding.level is level
    assert f"{kernels.count(0.0)} of 3 kernels (dense_0" in finding.message
    assert "in 700 steps" in finding.message
    assert proof_of(finding).grade is Grade.A


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (gradients(1e-30, 1e-12, 0.1), STEPS),
        (gradients(0.1, 0.1, biases=0.0), STEPS),
        (gradients(0.0, 0.0), OptimizerState(5, ())),
        (gradients(0.0, 0.0), OptimizerState(None, ())),
        ((), STEPS),
    ],
    ids=["next to nothing is not nothing", "biases only", "five steps", "steps unknown", "no kernels"],
)
def test_quiet(given: tuple[TensorGradient, ...], state: OptimizerState) -> None:
    served = make_served(FLAT, TRUTH)
    assert findings(no_gradient, tensor_gradients=given, optimizer_state=state, served=served) == ()
