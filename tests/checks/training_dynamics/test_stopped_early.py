from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.stopped_early import stopped_early
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import GOOD, SLIGHT, TRUTH, findings, make_continued, make_history, make_served, proof_of, surer

SERVED = make_served(SLIGHT, TRUTH)
LATER = make_continued(SERVED, GOOD, losses=(0.6, 0.4))
FALLING = np.linspace(0.7, 0.6, 20)
NOISE = np.random.default_rng(0).normal(0, 0.02, 20)


def judged(losses: Any, **given: Any) -> tuple[Finding, ...]:
    """What is said of a validation loss; the training loss fell from .7 to .6."""
    history = make_history(loss=FALLING, val_loss=losses) if losses is not None else make_history(loss=FALLING)
    return findings(stopped_early, **{"history": history, "served": SERVED, "continuation_trial": LATER, **given})


@pytest.mark.parametrize("losses", [FALLING, FALLING + NOISE / 20, None], ids=["smooth", "noisy", "training loss only"])
def test_more_epochs_would_have_decided_better(losses: Any) -> None:
    (finding,) = judged(losses)
    proof = proof_of(finding)
    assert finding.level is Severity.WARN
    assert "in the last 10 epochs of 20; 5 epochs more lift balanced accuracy 0.58 → 1.00" in finding.message
    assert (proof.grade, proof.before, proof.after) == (Grade.B, 0.58, 1.0)


@pytest.mark.parametrize(("right", "said"), [(0.8, "lift U 0.60 → 0.72"), (0.6, None)], ids=["learnt", "has not"])
def test_more_epochs_would_have_said_more(right: float, said: str | None) -> None:
    unsure = make_served(surer(right, wrong=8), TRUTH)
    trial = make_continued(unsure, surer(right + 0.1, wrong=8), losses=(0.6, 0.4))
    found = judged(FALLING, served=unsure, continuation_trial=trial)
    assert [finding.level for finding in found] == ([Severity.WARN] if said else [])
    assert all(said in finding.message for finding in found if said)


def test_unproven_it_is_an_info() -> None:
    (finding,) = findings(stopped_early, history=make_history(loss=FALLING), served=SERVED)
    assert finding.level is Severity.INFO
    assert finding.unproven


@pytest.mark.parametrize(
    "losses",
    [np.full(20, 0.6), 0.65 + NOISE, np.linspace(0.603, 0.6, 20), FALLING[:9], FALLING - 2, np.full(20, np.nan)],
    ids=["a plateau", "noise", "hardly falling", "nine epochs", "negative", "not a number"],
)
def test_quiet(losses: np.ndarray) -> None:
    assert judged(losses) == ()


@pytest.mark.parametrize(
    "trial",
    [make_continued(SERVED, SLIGHT, losses=(0.6, 0.5)), make_continued(SERVED, GOOD, losses=(2.0, 0.5))],
    ids=["it gains nothing in decisions", "it began at another loss: other rows or labels"],
)
def test_quiet_when_more_epochs_prove_nothing(trial: object) -> None:
    assert judged(FALLING, continuation_trial=trial) == ()


@pytest.mark.parametrize("outputs", [GOOD, np.full(200, 0.9)], ids=["it knows enough", "worse than a constant"])
def test_quiet_about_nets_that_do_not_want_for_epochs(outputs: np.ndarray) -> None:
    assert judged(FALLING, served=make_served(outputs, TRUTH)) == ()
