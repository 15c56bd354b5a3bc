import numpy as np
import pytest
from scipy.special import expit

from mlflow_clfaudit.checks.thresholding.threshold_off import threshold_off
from mlflow_clfaudit.errors import UsageError
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.decisions import Goal
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import findings, make_served, outcome
from tests.runs import make_run

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


RARE_LOGITS, RARE = separated((1500, 300), gap=2.5, at=0.0)
CALIBRATED = make_served(expit(2.5 * RARE_LOGITS - np.log(5)), RARE)


@pytest.mark.parametrize(
    ("text", "what"), [("fp=1,fn=20", "cost a row"), ("recall=0.95", "recall"), ("precision=0.99", "precision")]
)
def test_a_stated_goal_is_judged_instead(text: str, what: str) -> None:
    (finding,) = findings(threshold_off, served=CALIBRATED, goal=Goal.parse(text))
    assert finding.level is Severity.WARN
    assert f"gives a {what} of" in finding.message
    assert finding.proof is not None
    assert finding.proof.grade is Grade.B


@pytest.mark.parametrize("text", ["fp=1,fn=1", "recall=0.3", "precision=0.5"])
def test_quiet_where_the_served_threshold_reaches_the_goal(text: str) -> None:
    assert findings(threshold_off, served=CALIBRATED, goal=Goal.parse(text)) == ()


def test_the_goal_is_read_from_a_tag() -> None:
    run = make_run(tags={"clfaudit.goal": "fp=1,fn=20"})
    assert Evidence({"run": run}).get("goal") == Goal(1.0, 20.0)
    assert Evidence({"run": make_run(tags={"clfaudit.goal": "as good as can be"})}).find("goal") is None
    assert Evidence({"run": make_run()}).find("goal") is None


@pytest.mark.parametrize("text", ["", "fn=-1", "recall=1.5", "f1=0.9", "recall=0.9,precision=0.9", "fp=1,recall=0.9"])
def test_other_goals_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Goal.parse(text)


def labels(*at: float) -> tuple[object, ...]:
    """Labels whose scores are cut at .5, with the middle between the classes at these logits."""
    made = []
    for middle in at:
        logits, truth = separated((200, 200), gap=4.0, at=middle)
        made.append(make_served(expit(logits), truth))
    return tuple(made)


def test_labels_that_need_a_threshold_of_their_own() -> None:
    (finding,) = findings(threshold_off, served_labels=labels(0.0, -3.0, 0.0, 3.0))
    assert finding.level is Severity.WARN
    assert "2 of 4 labels need a threshold of their own" in finding.message
    assert set(finding.evidence["thresholds"]) == {"1", "3"}


def test_quiet_on_labels_cut_well_and_on_rare_labels() -> None:
    assert findings(threshold_off, served_labels=labels(0.0, 0.0, 0.0)) == ()
    logits, truth = separated((200, 10), gap=4.0, at=-3.0)
    assert findings(threshold_off, served_labels=(make_served(expit(logits), truth),)) == ()


def test_skipped_without_a_model() -> None:
    assert outcome(threshold_off).status is Status.SKIPPED
