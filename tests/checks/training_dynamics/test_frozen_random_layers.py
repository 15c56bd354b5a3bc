import numpy as np
import pytest
from scipy import stats

from mlflow_clfaudit.checks.training_dynamics.frozen_random_layers import frozen_random_layers
from mlflow_clfaudit.evidence.spec import Layer, Spec
from mlflow_clfaudit.evidence.weights import Weights
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import FLAT, GOOD, SLIGHT, TRUTH, findings, make_contrast, make_served, make_spec, proof_of

RANDOM = np.random.default_rng(0)
SHAPE = (20, 100)
UNIFORM = RANDOM.uniform(-0.2, 0.2, SHAPE)
DRAWN = {
    "GlorotUniform": UNIFORM,
    "HeNormal": stats.truncnorm(-2, 2, scale=0.1).rvs(SHAPE, random_state=RANDOM),
    "RandomNormal": RANDOM.normal(0, 0.05, SHAPE),
}
SERVED = make_served(FLAT, TRUTH)


def spec(initialiser: str = "GlorotUniform", *, trainable: bool = False) -> Spec:
    config = {"trainable": trainable, "kernel_initializer": {"class_name": initialiser}}
    return make_spec(layers=(Layer("hidden", "Dense", config), Layer("head", "Dense")))


def weights(kernel: np.ndarray, bias: float = 0.0, *, others: int = 100) -> Weights:
    arrays = {"hidden/vars/0": kernel, "hidden/vars/1": np.full(100, bias), "head/vars/0": np.ones((others, 1))}
    return Weights({name: array.astype(np.float32) for name, array in arrays.items()})


@pytest.mark.parametrize("initialiser", DRAWN)
@pytest.mark.parametrize(("changed", "level"), [(GOOD, Severity.ERROR), (SLIGHT, Severity.WARN)])
def test_training_every_layer_helps(initialiser: str, changed: np.ndarray, level: Severity) -> None:
    (finding,) = findings(
        frozen_random_layers,
        weights=weights(DRAWN[initialiser]),
        spec=spec(initialiser),
        served=SERVED,
        unfrozen_trials=make_contrast(SERVED, FLAT, changed),
    )
    assert finding.level is level
    assert finding.message == "95% of the weights (hidden) are frozen as they were drawn."
    assert (proof_of(finding).grade, proof_of(finding).before) == (Grade.B, 0.5)


def test_info_when_it_does_not_help() -> None:
    trials = make_contrast(SERVED, GOOD, GOOD)
    (finding,) = findings(
        frozen_random_layers, weights=weights(UNIFORM), spec=spec(), served=SERVED, unfrozen_trials=trials
    )
    assert finding.level is Severity.INFO
    assert finding.unproven


def test_random_features_on_purpose_are_an_info() -> None:
    served = make_served(GOOD, TRUTH)
    (finding,) = findings(frozen_random_layers, weights=weights(UNIFORM), spec=spec(), served=served)
    assert finding.level is Severity.INFO
    assert proof_of(finding).grade is Grade.C


@pytest.mark.parametrize(
    ("given", "described"),
    [
        (weights(RANDOM.standard_t(2, SHAPE)), spec()),
        (weights(RANDOM.laplace(0, 0.1, SHAPE)), spec("HeNormal")),
        (weights(UNIFORM, bias=0.1), spec()),
        (weights(UNIFORM), spec(trainable=True)),
        (weights(UNIFORM, others=3_000), spec()),
        (weights(np.zeros(SHAPE)), spec("HeNormal")),
        (weights(UNIFORM), spec("Orthogonal")),
    ],
    ids=[
        "pretrained",
        "pretrained, drawn normally",
        "biases that were trained",
        "trainable",
        "a small part",
        "zeros",
        "an initialiser that is not judged",
    ],
)
def test_quiet(given: Weights, described: Spec) -> None:
    assert findings(frozen_random_layers, weights=given, spec=described, served=SERVED) == ()


def test_a_warning_where_only_the_probabilities_gain_by_training_every_layer() -> None:
    served = make_served(np.where(TRUTH == 1, 0.7, 0.3), TRUTH)
    trials = make_contrast(served, np.where(TRUTH == 1, 0.75, 0.25), GOOD)
    (finding,) = findings(
        frozen_random_layers, weights=weights(UNIFORM), spec=spec(), served=served, unfrozen_trials=trials
    )
    assert finding.level is Severity.WARN
    assert (proof_of(finding).grade, proof_of(finding).metric) == (Grade.B, "U")
