from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.poor_initialisation import poor_initialisation
from mlflow_clfaudit.evidence.spec import Layer
from mlflow_clfaudit.evidence.weights import Weights
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import FLAT, GOOD, SLIGHT, TRUTH, findings, make_contrast, make_served, make_spec, proof_of

SERVED = make_served(FLAT, TRUTH)
LARGE: dict[str, Any] = {"class_name": "RandomNormal", "config": {"stddev": 2.0}}


def judged(initialiser: Any, *, fan_in: int = 32, trainable: bool = True, **given: Any) -> tuple[Finding, ...]:
    layer = Layer("hidden", "Dense", {"kernel_initializer": initialiser, "trainable": trainable})
    weights = Weights({"hidden/vars/0": np.ones((fan_in, 8)), "hidden/vars/1": np.zeros(8)})
    spec = make_spec(layers=(layer,))
    return findings(poor_initialisation, **{"weights": weights, "spec": spec, "served": SERVED, **given})


@pytest.mark.parametrize(
    ("name", "options", "ratio"),
    [
        ("RandomNormal", {"stddev": 2.0}, 8.0),
        ("TruncatedNormal", {"stddev": 2.0}, 8.0 * 0.8796),
        ("RandomUniform", {"minval": -6.0, "maxval": 6.0}, 12.0 / np.sqrt(12) * 4),
        ("RandomNormal", {"stddev": 0.001}, 0.004),
    ],
)
def test_the_size_of_the_draw_beside_he(name: str, options: dict[str, float], ratio: float) -> None:
    (finding,) = judged({"class_name": name, "config": options})
    assert finding.level is Severity.WARN
    assert finding.evidence["ratio"] == {"hidden": pytest.approx(ratio)}
    assert finding.unproven


@pytest.mark.parametrize(("changed", "level"), [(GOOD, Severity.ERROR), (SLIGHT, Severity.WARN)])
def test_glorot_learns_where_the_logged_draw_does_not(changed: np.ndarray, level: Severity) -> None:
    (finding,) = judged(LARGE, redrawn_trials=make_contrast(SERVED, FLAT, changed))
    assert finding.level is level
    assert "hidden began with weights 8 times as large as He's; from Glorot's draw" in finding.message
    assert (proof_of(finding).grade, proof_of(finding).before) == (Grade.B, 0.5)


def test_info_when_glorot_is_no_better() -> None:
    (finding,) = judged(LARGE, redrawn_trials=make_contrast(SERVED, GOOD, GOOD))
    assert finding.level is Severity.INFO
    assert finding.unproven


def test_info_when_the_net_learnt_all_the_same() -> None:
    (finding,) = judged(LARGE, served=make_served(GOOD, TRUTH))
    assert finding.level is Severity.INFO
    assert proof_of(finding).grade is Grade.D


@pytest.mark.parametrize(
    ("initialiser", "given"),
    [
        ({"class_name": "RandomNormal", "config": {}}, {}),
        ({"class_name": "GlorotUniform", "config": {"seed": None}}, {}),
        ({"class_name": "Zeros", "config": {}}, {}),
        (LARGE, {"fan_in": 8}),
        (LARGE, {"trainable": False}),
        (None, {}),
    ],
    ids=["Keras's default size", "by the fan-in", "zeros on purpose", "a narrow layer", "frozen", "not known"],
)
def test_quiet(initialiser: Any, given: dict[str, Any]) -> None:
    assert judged(initialiser, **given) == ()
