from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.vanishing_gradient import vanishing_gradient
from mlflow_clfaudit.evidence.spec import Layer, Spec
from mlflow_clfaudit.evidence.weights import TensorGradient
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import FLAT, GOOD, TRUTH, findings, make_contrast, make_head, make_served, make_spec, proof_of

SERVED = make_served(FLAT, TRUTH)
FADING = (1e-8, 1e-6, 1e-4, 1e-3, 1e-1)


def gradients(*sizes: float) -> tuple[TensorGradient, ...]:
    return tuple(TensorGradient(f"dense_{place}", (5, 5), size) for place, size in enumerate(sizes))


def spec(layers: int = 5, activation: str = "sigmoid", *, trainable: bool = True) -> Spec:
    hidden = (
        Layer(f"dense_{place}", "Dense", {"trainable": trainable}, activation=activation) for place in range(layers)
    )
    return make_spec(layers=(*hidden, Layer("head", "Dense", activation="sigmoid")))


def judged(**given: Any) -> tuple[Finding, ...]:
    return findings(vanishing_gradient, **{"served": SERVED, "spec": spec(), "head": make_head(), **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tensor_gradients": gradients(*FADING)}, "The gradient of the first kernel (dense_0) is 1e-07 of the last"),
        ({}, "5 hidden layers in a row squash what they pass on"),
    ],
    ids=["measured by the optimizer", "by the architecture alone"],
)
def test_relu_learns_in_a_third_of_the_time(given: dict[str, Any], said: str) -> None:
    (finding,) = judged(**given, rectified_trials=make_contrast(SERVED, FLAT, GOOD))
    proof = proof_of(finding)
    assert finding.level is Severity.ERROR
    assert finding.message.startswith(said)
    assert (proof.grade, proof.before, proof.after) == (Grade.B, 0.5, 1.0)


def test_a_measured_gradient_stays_a_warning_where_relu_is_no_better() -> None:
    (finding,) = judged(tensor_gradients=gradients(*FADING), rectified_trials=make_contrast(SERVED, FLAT, FLAT))
    assert finding.level is Severity.WARN
    assert finding.unproven


@pytest.mark.parametrize("both", [FLAT, GOOD], ids=["neither learns", "new weights are enough"])
def test_an_unmeasured_one_is_dropped(both: np.ndarray) -> None:
    assert judged(rectified_trials=make_contrast(SERVED, both, both)) == ()


@pytest.mark.parametrize(
    "given",
    [
        {"served": make_served(GOOD, TRUTH), "tensor_gradients": gradients(*FADING)},
        {"tensor_gradients": gradients(0.01, 0.02, 0.05, 0.1)},
        {"tensor_gradients": gradients(1e-8, 1e-1, 1e-6, 1e-2, 1e-4)},
        {"tensor_gradients": gradients(1e-8, 1e-4, 1e-1)},
        {"tensor_gradients": gradients(0.0, 0.0, 0.0, 0.0)},
        {"tensor_gradients": gradients(0.0, 1e-6, 1e-4, 1e-3, 1e-1)},
        {"spec": spec(3)},
        {"spec": spec(8, "relu")},
        {"spec": spec(trainable=False)},
    ],
    ids=[
        "a net that learnt",
        "a factor of ten",
        "not by depth",
        "three kernels",
        "no gradient at all has a check of its own",
        "nor at the first kernels",
        "three sigmoids",
        "relu",
        "a frozen backbone",
    ],
)
def test_quiet(given: dict[str, Any]) -> None:
    assert judged(**given, rectified_trials=make_contrast(SERVED, FLAT, GOOD)) == ()
