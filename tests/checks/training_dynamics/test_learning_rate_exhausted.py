from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.learning_rate_exhausted import learning_rate_exhausted
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.spec import Optimizer
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import (
    FLAT,
    GOOD,
    SLIGHT,
    TRUTH,
    findings,
    make_continued,
    make_fit,
    make_history,
    make_served,
    make_spec,
    proof_of,
    surer,
)

SERVED = make_served(FLAT, TRUTH)


def history(*rates: float) -> History:
    """Ten epochs at each of these rates."""
    curve = np.repeat(rates, 10) if rates else None
    return replace(make_history(loss=np.full(20, 0.69)), learning_rate=curve)


def judged(curves: History, *, saved: float = 1e-3, **given: Any) -> tuple[Finding, ...]:
    fit = make_fit(optimizer="adam", learning_rate=1e-3)
    spec = make_spec(optimizer=Optimizer("adam", {"learning_rate": saved}))
    return findings(learning_rate_exhausted, **{"served": SERVED, "history": curves, "fit": fit, "spec": spec, **given})


@pytest.mark.parametrize(("after", "level"), [(GOOD, Severity.ERROR), (SLIGHT, Severity.WARN)])
def test_more_epochs_at_the_first_rate_help(after: np.ndarray, level: Severity) -> None:
    (finding,) = judged(history(1e-3, 1e-7), continuation_trial=make_continued(SERVED, after))
    assert finding.level is level
    assert "from 0.001 to 1e-07 for 50% of the epochs before the network had learnt" in finding.message
    assert (proof_of(finding).grade, proof_of(finding).before) == (Grade.B, 0.5)


def test_a_warning_where_only_the_probabilities_say_more() -> None:
    trial = make_continued(make_served(surer(0.6), TRUTH), surer(0.8))
    (finding,) = judged(history(1e-3, 1e-7), continuation_trial=trial)
    assert finding.level is Severity.WARN
    assert "lift U 0.20 → 0.48" in finding.message


def test_the_saved_rate_counts_where_no_curve_was_logged() -> None:
    (finding,) = judged(history(), saved=0.0)
    assert finding.message == "The learning rate fell from 0.001 to 0."
    assert finding.level is Severity.INFO
    assert finding.unproven


@pytest.mark.parametrize(
    "curves",
    [history(1e-3, 1e-5), history(*[1e-3] * 9, 1e-7), history(1e-3, 1e-7, 1e-3), history()],
    ids=["a hundredth", "for the last tenth only", "a warm restart", "no decay"],
)
def test_quiet(curves: History) -> None:
    assert judged(curves, continuation_trial=make_continued(SERVED, GOOD)) == ()


def test_quiet_when_the_first_rate_does_not_help() -> None:
    assert judged(history(1e-3, 1e-7), continuation_trial=make_continued(SERVED, FLAT)) == ()


def test_quiet_when_the_net_had_converged() -> None:
    assert judged(history(1e-3, 1e-7), served=make_served(GOOD, TRUTH)) == ()


def test_right_decisions_do_not_hide_that_the_probabilities_would_say_more() -> None:
    unsure = make_served(np.where(TRUTH == 1, 0.75, 0.25), TRUTH)
    (finding,) = judged(history(1e-3, 1e-7), served=unsure, continuation_trial=make_continued(unsure, GOOD))
    assert finding.level is Severity.WARN
    assert proof_of(finding).metric == "U"
