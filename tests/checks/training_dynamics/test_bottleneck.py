import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.bottleneck import bottleneck
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Layer, Spec
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import FLAT, TRUTH, findings, make_contrast, make_head, make_probe, make_served, make_spec, proof_of

EIGHT = np.tile(np.arange(8), 25)
RANDOM = np.random.default_rng(0)
FULL = RANDOM.normal(size=(200, 16))
LINE = np.outer(FULL[:, 0], np.ones(16))


def outputs(right: int) -> np.ndarray:
    """Class 0 for every row, but so many rows of the other classes right."""
    return np.eye(8)[np.where(np.arange(200) < right, EIGHT, 0)]


def spec(units: int) -> Spec:
    return make_spec(layers=(Layer("hidden", "Dense", {"units": units}), Layer("head", "Dense", {"units": 8})))


def probe(served: Served, right: int) -> Probe:
    return make_probe(EIGHT, decision=outputs(right).argmax(axis=1), served=served.decision)


def judged(units: int, features: np.ndarray = FULL, *, wider: int = 200, linear: int = 0) -> tuple[Finding, ...]:
    served = make_served(outputs(0), EIGHT, features=features)
    return findings(
        bottleneck,
        spec=spec(units),
        served=served,
        head=make_head(8, "softmax"),
        input_probe=probe(served, 200),
        feature_probe=probe(served, linear),
        wider_trials=make_contrast(served, outputs(0), outputs(wider)),
    )


@pytest.mark.parametrize(
    ("units", "features", "said"),
    [(2, FULL, "hidden has 2 units"), (64, LINE, "span 1.0 directions")],
    ids=["too few units", "features that are all alike"],
)
def test_error_when_a_wider_net_learns(units: int, features: np.ndarray, said: str) -> None:
    (finding,) = judged(units, features)
    proof = proof_of(finding)
    assert finding.level is Severity.ERROR
    assert said in finding.message
    assert (proof.grade, proof.before, proof.after) == (Grade.B, 0.125, 1.0)


def test_a_small_gain_is_a_warning() -> None:
    (finding,) = judged(2, wider=18)
    assert finding.level is Severity.WARN
    assert proof_of(finding).after == pytest.approx(0.2)


def test_info_when_a_wider_net_is_no_better() -> None:
    (finding,) = judged(2, wider=0)
    assert finding.level is Severity.INFO
    assert finding.unproven == "a wider net was no better in the time given"


def test_without_time_for_a_wider_net_none_is_said_to_have_failed() -> None:
    served = make_served(outputs(0), EIGHT)
    given = {"input_probe": probe(served, 200), "feature_probe": probe(served, 0)}
    (finding,) = findings(bottleneck, spec=spec(2), served=served, head=make_head(8, "softmax"), **given)
    assert finding.unproven == "no wider net was trained"


def test_quiet_when_the_features_hold_what_the_inputs_do() -> None:
    assert judged(2, linear=200) == ()


@pytest.mark.parametrize("features", [np.full((200, 16), np.nan), np.ones((200, 16))], ids=["NaN", "dead"])
def test_quiet_on_features_that_another_finding_is_about(features: np.ndarray) -> None:
    assert judged(64, features) == ()


def test_quiet_when_wide_enough() -> None:
    assert judged(3) == ()


def test_quiet_for_two_classes_and_one_unit() -> None:
    served = make_served(FLAT, TRUTH, features=LINE[:, :1])
    assert findings(bottleneck, spec=spec(1), served=served, head=make_head()) == ()


def test_quiet_for_a_narrow_net_that_learnt() -> None:
    served = make_served(outputs(200), EIGHT, features=LINE)
    assert findings(bottleneck, spec=spec(2), served=served, head=make_head(8, "softmax")) == ()
