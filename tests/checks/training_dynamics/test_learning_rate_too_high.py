from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.learning_rate_too_high import learning_rate_too_high
from mlflow_clfaudit.evidence.spec import Head, Layer
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.evidence.units import LayerActivity
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import (
    FLAT,
    GOOD,
    TRUTH,
    findings,
    make_continued,
    make_contrast,
    make_fit,
    make_head,
    make_history,
    make_served,
    make_spec,
    proof_of,
)

SERVED = make_served(FLAT, TRUTH)
SLOWER = (make_contrast(SERVED, FLAT, FLAT, factor=0.01), make_contrast(SERVED, FLAT, GOOD, factor=0.1))
EXPLODED = make_history(loss=[0.7, 5.0, 9.0])
DEAD = (LayerActivity("hidden", "relu", 64, 200, dead=0.95),)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"history": EXPLODED}, "the loss rose from 0.7 to 9"),
        ({"history": make_history(loss=[0.7, 0.6, np.nan])}, "the loss is not finite from epoch 3"),
        ({"history": make_history(loss=[0.7, 0.9] * 5)}, "the loss swings by 25% from epoch to epoch"),
        ({"served": make_served(np.full(200, 0.8), TRUTH)}, "worse than by a constant (U -0.32)"),
        ({"served": make_served(np.full(200, np.nan), TRUTH)}, "outputs are not finite"),
        ({"unit_activity": DEAD}, "95% of the units of hidden are dead"),
        ({"history": make_history(loss=[13.0, 0.7, 0.7])}, "the loss of the first epoch, 13, is 19 times a constant's"),
    ],
)
def test_signs(given: dict[str, Any], said: str) -> None:
    (finding,) = findings(learning_rate_too_high, **{"served": SERVED, **given})
    assert said in finding.message
    assert finding.level is Severity.INFO
    assert finding.unproven


def test_a_loss_with_penalties_is_not_held_against_a_constants() -> None:
    layer = Layer("hidden", "Dense", {"kernel_regularizer": {"class_name": "L2", "config": {"l2": 1.0}}})
    history = make_history(loss=[13.0, 0.7, 0.7])
    assert findings(learning_rate_too_high, served=SERVED, history=history, spec=make_spec(layers=(layer,))) == ()


def test_a_loss_that_is_no_cross_entropy_is_not_held_against_a_constants() -> None:
    served = make_served(FLAT, TRUTH, head=make_head(loss="mean_squared_error"))
    history = make_history(loss=[13.0, 0.7, 0.7])
    assert findings(learning_rate_too_high, served=served, history=history) == ()


def proven(trials: tuple[Contrast, ...], **given: Any) -> tuple[Finding, ...]:
    evidence = {"served": SERVED, "head": make_head(), "history": EXPLODED, "slower_trials": trials, **given}
    return findings(learning_rate_too_high, **evidence)


def test_error_when_a_slower_training_learns() -> None:
    fit = make_fit(learning_rate=0.5)
    (finding,) = proven(SLOWER, fit=fit)
    proof = proof_of(finding)
    assert finding.level is Severity.ERROR
    assert finding.fix == "learning_rate=0.05"
    assert (proof.grade, proof.before, proof.after) == (Grade.B, 0.5, 1.0)
    assert proof.p_value == pytest.approx(2 * 0.5**100)


def test_without_the_logged_rate_the_factor_is_named() -> None:
    (finding,) = proven(SLOWER)
    assert finding.fix == "a learning rate of ×0.1"


@pytest.mark.parametrize(
    "trial",
    [make_contrast(SERVED, FLAT, FLAT, factor=0.1), make_contrast(SERVED, GOOD, GOOD, factor=0.1)],
    ids=["slower is no better", "the logged rate from new weights does as well"],
)
def test_quiet_when_a_slower_training_is_no_better(trial: Contrast) -> None:
    assert proven((trial,)) == ()


def explosion(loss_after: float) -> tuple[Contrast, ...]:
    """No better decisions, but NaN at the logged rate and this loss at a tenth of it."""
    control = make_continued(SERVED, FLAT, losses=(9.0, np.nan))
    return (Contrast(control, make_continued(SERVED, FLAT, factor=0.1, losses=(0.69, loss_after))),)


def test_error_when_new_weights_end_in_nan_again() -> None:
    (finding,) = proven(explosion(0.3))
    assert finding.level is Severity.ERROR
    assert "New weights end there again within 5 epochs; at ×0.1 their loss falls from 0.69 to 0.3" in finding.message


CLIPPED = make_head(activation="linear")


@pytest.mark.parametrize(
    ("loss_after", "head"),
    [(0.65, make_head()), (np.nan, make_head()), (0.3, CLIPPED)],
    ids=["a loss that hardly falls", "NaN at any rate", "NaN by a loss that is given logits"],
)
def test_quiet_when_the_rate_does_not_explain_nan(loss_after: float, head: Head) -> None:
    assert proven(explosion(loss_after), head=head) == ()


@pytest.mark.parametrize(
    "loss", [np.linspace(0.7, 0.68, 10), [0.7, 0.69] * 5, [0.7, 0.9, 0.9, 0.7], [0.7], np.full(10, -3.0)]
)
def test_quiet_without_a_sign(loss: object) -> None:
    assert proven(SLOWER, history=make_history(loss=loss)) == ()


@pytest.mark.parametrize("held_out", [GOOD, FLAT], ids=["a high rate that works", "overfit"])
def test_quiet_when_the_training_rows_are_known(held_out: np.ndarray) -> None:
    train = make_served(GOOD, TRUTH, held_out=False)
    given = {"served": make_served(held_out, TRUTH), "served_train": train, "unit_activity": DEAD}
    assert findings(learning_rate_too_high, history=EXPLODED, **given) == ()


def test_a_loss_that_creeps_down_from_a_drawn_nets_overshot_nothing() -> None:
    worse = make_served(np.full(200, 0.8), TRUTH)
    creeping = list(np.linspace(0.94, 0.93, 20))
    assert findings(learning_rate_too_high, served=worse, history=make_history(loss=creeping)) == ()
    from_afar = [5.0, 4.0, *creeping]
    assert findings(learning_rate_too_high, served=worse, history=make_history(loss=from_afar)) != ()
