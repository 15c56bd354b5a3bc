import numpy as np
import pytest

from mlflow_clfaudit.checks.thresholding.broadcast_comparison import broadcast_comparison
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.checks.thresholding.test_readings import read
from tests.evidence.test_scores import DECISION, PROPER, SIGMOID, TRUTH
from tests.kit import findings, make_served, outcome

TABLE = float((DECISION[:, None] == TRUTH).mean())


def test_fires_on_the_mean_of_the_table() -> None:
    (finding,) = findings(broadcast_comparison, **read("accuracy", TABLE, SIGMOID))
    assert finding.level is Severity.ERROR
    assert finding.proof is not None
    assert (finding.proof.grade, finding.proof.after) == (Grade.A, PROPER)


def test_fires_for_several_classes() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 400)
    outputs = np.eye(4)[np.where(random.uniform(size=400) < 0.8, truth, random.integers(0, 4, 400))]
    served = make_served(outputs, truth)
    value = float((served.decision[:, None] == truth).mean())
    (finding,) = findings(broadcast_comparison, **read("accuracy", value, served, truth))
    assert finding.level is Severity.ERROR


@pytest.mark.parametrize("value", [PROPER, PROPER - 0.0375, TABLE + 0.02])
def test_quiet_on_other_values(value: float) -> None:
    assert findings(broadcast_comparison, **read("accuracy", value, SIGMOID)) == ()


def test_skipped_without_a_score() -> None:
    assert outcome(broadcast_comparison).status is Status.SKIPPED


def test_a_tie_with_argmax_is_a_suspicion() -> None:
    truth = np.arange(200) % 2
    served = make_served(np.where(np.arange(200) % 10 == 0, 0.6, 0.1 + 0.8 * truth), truth)
    (finding,) = findings(broadcast_comparison, **read("accuracy", 0.5, served, truth))
    assert finding.level is Severity.WARN
    assert finding.proof is not None
    assert finding.proof.grade is Grade.C
