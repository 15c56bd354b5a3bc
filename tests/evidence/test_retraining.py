"""How long counterfactual trainings last; what they do to real models is tested where a run is audited whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlflow_clfaudit.evidence.budget import Budget
from mlflow_clfaudit.evidence.counterfactuals import ANEW, CONTINUED, LONGER
from mlflow_clfaudit.evidence.retraining import Retrainer
from mlflow_clfaudit.evidence.served import Trial
from mlflow_clfaudit.evidence.trainings import Change
from tests.kit import GOOD, TRUTH, make_fit, make_head, make_served, make_spec

ROWS = make_served(GOOD, TRUTH)


def epochs(change: Change, logged: int, **fit: Any) -> int:
    """How many epochs a change is given where the run logged that many over 200 rows."""
    nothing: Any = None
    trial = Trial(fit=ROWS, judge=ROWS)
    retrainer = Retrainer(
        nothing, trial, make_spec(), make_head(), make_fit(**{"epochs": logged, "batch_size": 10, **fit}), Budget()
    )
    return retrainer._epochs(change)


@pytest.mark.parametrize(
    ("change", "logged", "expected"),
    [
        (CONTINUED, 10, 3),
        (CONTINUED, 100, 10),
        (ANEW, 100, 30),
        (ANEW, 20, 10),
        (ANEW, 6, 6),
        (ANEW, 2, 3),
        (LONGER, 20, 10),
        (replace(ANEW, edit="wider"), 40, 12),
    ],
)
def test_a_short_training_is_given_what_new_weights_need(change: Change, logged: int, expected: int) -> None:
    assert epochs(change, logged) == expected


def test_few_batches_an_epoch_make_more_epochs() -> None:
    assert epochs(ANEW, 100, batch_size=100) == 100
    assert epochs(ANEW, 400, batch_size=100) == 120
