import numpy as np
import pytest

from mlflow_clfaudit.checks.thresholding.rounded_unbounded_output import rounded_unbounded_output
from mlflow_clfaudit.evidence.scores import LoggedScore, read_score
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import findings, make_head, make_history, make_served, outcome

TRUTH = np.arange(200) % 2
LINEAR = make_head(activation="linear")
# Every output is on the right side of .5; three rows of four round to something else than their label.
FAR = np.where(TRUTH == 1, 1.7, -0.9) - np.where(np.arange(200) % 4 < 1, np.where(TRUTH == 1, 0.5, -0.6), 0.0)
ROUNDED = float(np.mean(np.round(FAR) == TRUTH))


def test_fires_on_the_training_curve() -> None:
    served = make_served(FAR, TRUTH, head=LINEAR, held_out=False)
    history = make_history(loss=[0.1, 0.01, 0.003], accuracy=[0.8, ROUNDED + 0.03, ROUNDED + 0.01])
    (finding,) = findings(rounded_unbounded_output, served=served, history=history)
    assert finding.level is Severity.ERROR
    assert "loss-accuracy-divergence" in finding.explains
    assert finding.proof is not None
    assert (finding.proof.grade, finding.proof.before, finding.proof.after) == (Grade.A, ROUNDED, 1.0)


def test_fires_on_a_held_out_score() -> None:
    served = make_served(FAR, TRUTH, head=LINEAR)
    reading = read_score(LoggedScore("test_accuracy", "accuracy", "test", ROUNDED), served, TRUTH)
    (finding,) = findings(rounded_unbounded_output, served=served, readings=(reading,))
    assert "test_accuracy" in finding.message


@pytest.mark.parametrize(
    ("outputs", "accuracy", "head"),
    [
        (FAR, [0.8, 0.99, 1.0], LINEAR),
        (FAR, [0.8, 0.6, 0.55], LINEAR),
        (np.where(TRUTH == 1, 0.9, 0.2), [0.8, 0.99, 1.0], LINEAR),
        (np.clip(FAR, 0, 1), [0.8, ROUNDED, ROUNDED], make_head()),
    ],
    ids=["thresholded", "neither", "inside", "sigmoid"],
)
def test_quiet(outputs: np.ndarray, accuracy: list[float], head: object) -> None:
    served = make_served(outputs, TRUTH, head=head, held_out=False)
    history = make_history(loss=[0.1, 0.01, 0.003], accuracy=accuracy)
    assert findings(rounded_unbounded_output, served=served, history=history) == ()


def test_skipped_without_an_accuracy() -> None:
    assert outcome(rounded_unbounded_output, served=make_served(FAR, TRUTH)).status is Status.SKIPPED
