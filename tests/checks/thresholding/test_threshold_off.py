import numpy as np
import pytest
from scipy.special import expit

from mlflow_clfaudit.checks.thresholding.threshold_off import threshold_off
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import findings, make_served, outcome

RANDOM = np.random.default_rng(0)


def separated(rows: tuple[int, int], *, gap: float, at: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits of two normal classes `gap` apart, midway at `at`, and their labels."""
    truth = np.repeat([0, 1], rows)
    return at + gap * (truth - 0.5) + RANDOM.normal(0, 1, sum(rows)), truth


def test_fires_where_the_cut_misses_a_good_ranking() -> None:
    logits, truth = separated((200, 200), gap=4.0, at=-3.0)
    (finding,) = findings(threshold_off, served=make_served(expit(logits), truth))
    assert finding.level is Severity.ERROR
    assert finding.evidence["threshold"] == pytest.approx(expit(-3.0), abs=0.05)
    assert finding.proof is not None
    assert finding.proof.grade is Grade.B
    assert finding.proof.after is not None
    assert finding.proof.after > 0.95


def test_training_rows_only_support_it() -> None:
    logits, truth = separated((200, 200), gap=4.0, at=-3.0)
    (finding,) = findings(threshold_off, served=make_served(expit(logits), truth, held_out=False))
    assert finding.proof is not None
    assert finding.proof.grade is Grade.C


def test_calibrated_rare_class_that_is_found_is_information() -> None:
    # Bayes-optimal for accuracy: the cut sits where the posterior is .5, off the middle by the log odds.
    logits, truth = separated((1900, 100), gap=2.8, at=0.0)
    served = make_served(expit(2.8 * logits - np.log(19)), truth)
    (finding,) = findings(threshold_off, served=served)
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    ("rows", "gap", "at"),
    [((200, 200), 4.0, 0.0), ((200, 200), 0.0, 0.0), ((200, 200), 0.0, -3.0), ((200, 200), -4.0, -3.0)],
    ids=["well placed", "noise", "noise and constant", "inverted"],
)
def test_quiet(rows: tuple[int, int], gap: float, at: float) -> None:
    logits, truth = separated(rows, gap=gap, at=at)
    assert findings(threshold_off, served=make_served(expit(logits), truth)) == ()


@pytest.mark.parametrize("rows", [(200, 10), (200, 0)])
def test_skipped_on_few_rows_of_a_class(rows: tuple[int, int]) -> None:
    logits, truth = separated(rows, gap=4.0, at=-3.0)
    assert outcome(threshold_off, served=make_served(expit(logits), truth)).status is Status.SKIPPED


def test_skipped_for_several_classes() -> None:
    served = make_served(np.eye(3)[np.arange(90) % 3], np.arange(90) % 3)
    assert outcome(threshold_off, served=served).status is Status.SKIPPED


def test_false_alarms_on_noise() -> None:
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        truth = np.repeat([0, 1], [random.integers(20, 200), random.integers(20, 200)])
        alarms += bool(findings(threshold_off, served=make_served(random.uniform(0, 0.6, len(truth)), truth)))
    assert alarms <= 2
