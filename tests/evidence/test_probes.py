"""What the small models beside the logged one measure."""

from dataclasses import replace

import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.probes import class_order
from mlflow_clfaudit.evidence.served import Trial
from tests.kit import make_served, make_trial


def trial(inputs: np.ndarray, classes: int) -> Trial:
    """Rows of so many classes in turn, class 0 first."""
    truth = np.arange(len(inputs)) % classes
    served = replace(make_served(np.full((len(inputs), classes), 1 / classes), truth), inputs=inputs)
    return make_trial(served, served)


@pytest.mark.parametrize("classes", [5, 9], ids=["all numberings", "a sample of them"])
def test_ordered_classes_are_told_from_those_in_any_order(classes: int) -> None:
    random = np.random.default_rng(0)
    truth = np.arange(900) % classes
    noise = random.normal(scale=0.3, size=(900, 6))
    ordered = noise + truth[:, None]
    found = class_order(trial(ordered, classes))
    assert found.explained > 0.9
    assert found.as_well < 0.05
    swapped = np.r_[2, 0, 3, 1, np.arange(4, classes)]
    assert class_order(trial(noise + swapped[truth][:, None], classes)).as_well > found.as_well
    corners = class_order(trial(random.normal(scale=0.3, size=(900, classes)) + np.eye(classes)[truth], classes))
    assert corners.as_well > 0.05


def test_no_order_of_two_classes_nor_of_inputs_that_are_not_finite() -> None:
    inputs = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(Missing, match="fewer than three classes"):
        class_order(trial(inputs, 2))
    with pytest.raises(Missing, match="one class"):
        class_order(trial(inputs, 1))
    with pytest.raises(Missing, match="more than 200 classes"):
        class_order(trial(np.ones((300, 2)), 300))
    inputs[3, 1] = np.nan
    with pytest.raises(Missing, match="not finite"):
        class_order(trial(inputs, 3))
