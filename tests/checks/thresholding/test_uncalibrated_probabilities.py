import numpy as np
import pytest
from scipy.special import expit

from mlflow_clfaudit.checks.thresholding.uncalibrated_probabilities import uncalibrated_probabilities
from mlflow_clfaudit.types import Severity, Status
from tests.kit import findings, make_head, make_served, outcome


def drawn(rows: int = 1500, *, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> object:
    """Outcomes drawn from their own probabilities, whose log-odds are then served scaled and shifted."""
    random = np.random.default_rng(seed)
    odds = random.normal(0, 2, rows)
    truth = (random.uniform(size=rows) < expit(odds)).astype(int)
    return make_served(expit(scale * odds + shift), truth)


@pytest.mark.parametrize(("scale", "shift"), [(2.5, 0.0), (0.2, 0.0), (1.0, 2.0)], ids=["sure", "unsure", "shifted"])
def test_fires(scale: float, shift: float) -> None:
    (finding,) = findings(uncalibrated_probabilities, served=drawn(scale=scale, shift=shift))
    assert finding.level is Severity.INFO
    assert finding.proof is not None
    assert finding.evidence["log_loss"][1] < finding.evidence["log_loss"][0]
    assert len(finding.evidence["reliability"]) == 15


def test_worse_than_the_class_shares_is_a_warning() -> None:
    (finding,) = findings(uncalibrated_probabilities, served=drawn(scale=15.0))
    assert finding.level is Severity.WARN


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_quiet_on_calibrated_probabilities(seed: int, scale: float) -> None:
    assert findings(uncalibrated_probabilities, served=drawn(400, seed=seed, scale=scale)) == ()


def test_quiet_on_calibrated_softmax() -> None:
    random = np.random.default_rng(1)
    probabilities = random.dirichlet([0.4, 0.4, 0.4], 1000)
    truth = np.array([random.choice(3, p=row) for row in probabilities])
    assert findings(uncalibrated_probabilities, served=make_served(probabilities, truth)) == ()


@pytest.mark.parametrize(
    ("outputs", "truth"),
    [(np.linspace(0.5, 0.9, 1500), np.ones(1500)), (np.full(1500, 0.9), np.arange(1500) % 2)],
    ids=["one class", "one confidence"],
)
def test_quiet_where_there_is_nothing_to_compare(outputs: np.ndarray, truth: np.ndarray) -> None:
    assert findings(uncalibrated_probabilities, served=make_served(outputs, truth)) == ()


def test_quiet_where_every_decision_is_right() -> None:
    truth = np.arange(600) % 3
    sure = np.linspace(0.5, 0.8, 600)[:, None]
    outputs = np.where(np.eye(3)[truth] == 1, sure, (1 - sure) / 2)
    assert findings(uncalibrated_probabilities, served=make_served(outputs, truth)) == ()


def test_quiet_where_recalibration_gains_nothing_on_other_rows() -> None:
    random = np.random.default_rng(4)
    truth = (random.uniform(size=200) < 0.78).astype(int)
    outputs = random.uniform(0.45, 0.5, 200)
    outputs[:4] = 1e-7
    assert findings(uncalibrated_probabilities, served=make_served(outputs, truth)) == ()


def test_skipped_without_probabilities() -> None:
    served = make_served(np.linspace(-3, 3, 1500), np.arange(1500) % 2, head=make_head(1, "linear", None))
    assert outcome(uncalibrated_probabilities, served=served).status is Status.SKIPPED


def test_skipped_on_few_or_training_rows() -> None:
    assert outcome(uncalibrated_probabilities, served=drawn(100)).status is Status.SKIPPED
    served = make_served(np.full(500, 0.5), np.arange(500) % 2, held_out=False)
    assert outcome(uncalibrated_probabilities, served=served).status is Status.SKIPPED
