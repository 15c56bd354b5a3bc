from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.overfit import overfit
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import TRUTH, findings, make_head, make_history, make_served, proof_of

TRAIN = np.geomspace(0.7, 0.02, 20)
VALIDATION = np.concatenate([np.linspace(0.7, 0.4, 8), np.linspace(0.42, 0.8, 12)])
WORSE = np.concatenate([np.linspace(0.5, 0.85, 8), np.linspace(0.84, 0.7, 12)])


def judged(*, served: Any = None, **curves: Any) -> tuple[Finding, ...]:
    given = {"loss": TRAIN, "val_loss": VALIDATION, "val_accuracy": WORSE, **curves}
    return findings(overfit, history=make_history(**given), served=served)


def confident(right: float) -> Any:
    """Held-out rows whose true class has this probability."""
    return make_served(np.where(TRUTH == 1, right, 1 - right), TRUTH)


def test_validation_accuracy_fell_too() -> None:
    (finding,) = judged()
    assert finding.level is Severity.WARN
    assert "fell to 0.4 at epoch 8 of 20" in finding.message
    assert "validation accuracy lost 0.1" in finding.message
    assert proof_of(finding).grade is Grade.C


@pytest.mark.parametrize(
    "accuracy", [np.full(20, 0.85), np.full(20, np.nan), []], ids=["it stayed", "not a number", "none"]
)
def test_info_when_only_the_probabilities_suffered(accuracy: Any) -> None:
    (finding,) = judged(val_accuracy=accuracy)
    assert finding.level is Severity.INFO
    assert finding.message.endswith("validation accuracy did not suffer.")


def test_a_warning_when_next_to_nothing_is_left_of_the_probabilities() -> None:
    (finding,) = judged(served=make_served(np.full(200, 0.4), TRUTH), val_accuracy=np.full(20, 0.85))
    assert finding.level is Severity.WARN
    assert "of what the probabilities said then (U 0.42), next to nothing is left (-0.03)" in finding.message


def test_info_when_other_rows_are_judged_than_those_of_the_curve() -> None:
    (finding,) = judged(
        served=make_served(np.full(200, 0.01), TRUTH), val_accuracy=np.full(20, 0.85), val_loss=0.5 * VALIDATION
    )
    assert finding.level is Severity.INFO


def test_info_when_they_had_never_said_anything() -> None:
    served = make_served(np.full(200, 0.3), TRUTH)
    (finding,) = judged(served=served, val_accuracy=np.full(20, 0.85), val_loss=VALIDATION + 0.28)
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    "served",
    [
        make_served(np.full(200, 0.4), TRUTH, held_out=False),
        make_served(np.full(200, 0.4), TRUTH, head=make_head(loss="mean_squared_error")),
        make_served(np.full(200, 0.4), np.ones(200)),
    ],
    ids=["training rows", "another loss than cross-entropy", "rows of one class"],
)
def test_info_when_the_judged_rows_cannot_be_held_against_the_curve(served: Any) -> None:
    (finding,) = judged(served=served, val_accuracy=np.full(20, 0.85))
    assert finding.level is Severity.INFO
    assert finding.message.endswith("validation accuracy did not suffer.")


def test_the_last_weights_are_served() -> None:
    (finding,) = judged(served=confident(float(np.exp(-0.78))))
    assert finding.level is Severity.WARN


def test_quiet_when_the_best_weights_are_served() -> None:
    assert judged(served=confident(float(np.exp(-0.4)))) == ()


@pytest.mark.parametrize(
    "curves",
    [
        {"val_loss": TRAIN + 0.02},
        {"val_loss": np.concatenate([np.linspace(0.7, 0.4, 8), np.linspace(0.4, 0.46, 12)])},
        {"val_loss": np.concatenate([np.linspace(0.7, 0.4, 18), [0.6, 0.8]])},
        {"loss": np.concatenate([TRAIN[:8], np.linspace(0.2, 0.5, 12)])},
        {"loss": TRAIN[:6], "val_loss": VALIDATION[6:12]},
        {"val_loss": np.where(np.arange(20) == 12, np.nan, VALIDATION)},
        {"val_loss": VALIDATION - 2},
    ],
    ids=[
        "it learnt",
        "a rise of 15 %",
        "the last epochs only",
        "the training loss rose too: another fault",
        "six epochs",
        "not a number",
        "negative",
    ],
)
def test_quiet(curves: dict[str, Any]) -> None:
    assert judged(**curves) == ()


def test_a_fall_of_less_than_a_row_in_twenty_is_an_info() -> None:
    fell = np.concatenate([np.linspace(0.9, 0.98, 8), np.linspace(0.975, 0.951, 12)])
    served = make_served(np.where(TRUTH == 1, 0.7, 0.3), TRUTH)
    (finding,) = judged(served=served, val_accuracy=fell)
    assert finding.evidence["accuracy_lost"] > 0.02
    assert finding.level is Severity.INFO


def test_a_warning_where_few_rows_show_only_that_the_probabilities_are_too_sure() -> None:
    random = np.random.default_rng(0)
    truth = np.tile([0, 1], 60)
    odds = 6 * np.where(random.uniform(size=120) < 0.8, 2 * truth - 1, 1 - 2 * truth) * random.uniform(0.2, 1, 120)
    served = make_served(1 / (1 + np.exp(-odds)), truth)
    lowest = 0.4 * float(np.log(2))
    curve = np.concatenate([np.linspace(0.7, lowest, 8), np.linspace(lowest, 0.65, 12)])
    (finding,) = judged(served=served, val_accuracy=np.full(20, 0.8), val_loss=curve)
    assert finding.level is Severity.WARN
