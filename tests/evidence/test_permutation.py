import numpy as np

from mlflow_clfaudit.evidence.permutation import relabelled
from tests.kit import make_served

TRUTH = np.repeat([0, 1, 2], 12)
SWAPPED = np.array([2, 1, 0])


def test_halves_that_agree_on_a_relabelling_are_judged_together() -> None:
    found = relabelled(make_served(np.eye(3)[SWAPPED[TRUTH]] * 0.9 + 0.03, TRUTH))
    assert found.mapping.tolist() == [2, 1, 0]
    assert (found.rows, found.after) == (36, 1.0)
    assert found.p_value < 1e-6


def test_halves_that_do_not_are_not() -> None:
    random = np.random.default_rng(3)
    found = relabelled(make_served(random.dirichlet(np.ones(3), 36), TRUTH))
    assert found.rows == 18
    assert found.p_value > 0.05
