import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.constant_prediction import constant_prediction
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_served

TRUTH = np.tile([0, 1], 100)
RARE = (np.arange(400) < 20).astype(int)


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        (np.ones(200), "the output 1 for every row"),
        (np.linspace(0.47, 0.49, 200), "200 of 200 held-out rows get class 0; 100"),
        (np.tile([0.2, 0.8], (200, 1)), "the same output for every row"),
        (np.full(200, np.nan), "200 of 200"),
    ],
    ids=["one", "below the threshold", "two columns", "NaN"],
)
def test_fires_when_every_row_gets_one_class(outputs: np.ndarray, said: str) -> None:
    (finding,) = findings(constant_prediction, served=make_served(outputs, TRUTH))
    assert finding.level is Severity.SYMPTOM
    assert said in finding.message


def test_a_rare_class_that_the_scores_do_not_rank_is_reported() -> None:
    noise = np.random.default_rng(0).uniform(0.04, 0.06, 400)
    (finding,) = findings(constant_prediction, served=make_served(noise, RARE))
    assert finding.evidence["other_rows"] == 20


@pytest.mark.parametrize(
    ("outputs", "truth"),
    [
        (np.where(TRUTH == 1, 0.9, 0.1), TRUTH),
        (np.where(RARE == 1, 0.45, 0.02), RARE),
        (np.zeros(200), np.zeros(200)),
        (np.zeros(200), (np.arange(200) < 2).astype(int)),
        (np.where(np.arange(200) < 3, 0.9, 0.1), TRUTH),
    ],
    ids=["decides", "a matter of the threshold", "one class in truth", "two stray rows", "not quite all"],
)
def test_quiet(outputs: np.ndarray, truth: np.ndarray) -> None:
    assert findings(constant_prediction, served=make_served(outputs, truth)) == ()
