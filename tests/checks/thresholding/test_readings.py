"""The checks that a wrong post-processing is told by: each fires on its own number and on no other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from mlflow_clfaudit.checks.thresholding.argmax_on_one_column import argmax_on_one_column
from mlflow_clfaudit.checks.thresholding.auc_on_labels import auc_on_labels
from mlflow_clfaudit.checks.thresholding.broadcast_comparison import broadcast_comparison
from mlflow_clfaudit.checks.thresholding.inverted_positive_class import inverted_positive_class
from mlflow_clfaudit.checks.thresholding.logloss_on_labels import logloss_on_labels
from mlflow_clfaudit.checks.thresholding.rounded_unbounded_output import rounded_unbounded_output
from mlflow_clfaudit.checks.thresholding.scores_used_as_classes import scores_used_as_classes
from mlflow_clfaudit.checks.thresholding.threshold_on_wrong_scale import threshold_on_wrong_scale
from mlflow_clfaudit.evidence.scores import LoggedPredictions, LoggedScore, Reading, read_score
from mlflow_clfaudit.registry import Check
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.evidence.test_scores import DECISION, LINEAR, LOGITS, PROBABILITIES, PROPER, SIGMOID, TRUTH
from tests.kit import findings, make_served, outcome

NUMBERS: dict[str, tuple[Check, str, float, object]] = {
    "argmax": (argmax_on_one_column, "accuracy", float(np.mean(TRUTH == 0)), SIGMOID),
    "rounded": (rounded_unbounded_output, "accuracy", float(np.mean(np.round(LOGITS) == TRUTH)), LINEAR),
    "exact": (scores_used_as_classes, "accuracy", 0.0, SIGMOID),
    "zero": (threshold_on_wrong_scale, "accuracy", float(np.mean(TRUTH == 1)), SIGMOID),
    "half": (threshold_on_wrong_scale, "accuracy", float(np.mean((LOGITS > 0.5) == TRUTH)), LINEAR),
    "inverted": (inverted_positive_class, "accuracy", 1 - PROPER, SIGMOID),
    "inverted auc": (inverted_positive_class, "auc", 1 - roc_auc_score(TRUTH, PROBABILITIES), SIGMOID),
    "broadcast": (broadcast_comparison, "accuracy", float((DECISION[:, None] == TRUTH).mean()), SIGMOID),
    "auc of labels": (auc_on_labels, "auc", roc_auc_score(TRUTH, DECISION), SIGMOID),
    "log loss of labels": (logloss_on_labels, "log loss", log_loss(TRUTH, np.eye(2)[DECISION]), SIGMOID),
}
CHECKS = tuple({item[0].name: item[0] for item in NUMBERS.values()}.values())


def read(kind: str, value: float, served: object) -> dict[str, object]:
    found = read_score(LoggedScore(f"test_{kind}", kind, "test", value), served, TRUTH)
    assert found is not None
    return {"readings": (found,), "served": served, "head": served.head}


@pytest.mark.parametrize("name", NUMBERS)
def test_the_number_names_its_mistake(name: str) -> None:
    check, kind, value, served = NUMBERS[name]
    (finding,) = findings(check, **read(kind, value, served))
    assert finding.level.at_least(Severity.WARN)
    assert f"test_{kind}" in finding.message
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A


@pytest.mark.parametrize("name", NUMBERS)
def test_no_other_check_claims_it(name: str) -> None:
    check, kind, value, served = NUMBERS[name]
    fired = {other.name for other in CHECKS if outcome(other, **read(kind, value, served)).findings}
    assert fired == {check.name}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("accuracy", PROPER),
        ("accuracy", PROPER - 0.0375),
        ("auc", roc_auc_score(TRUTH, PROBABILITIES)),
        ("log loss", log_loss(TRUTH, PROBABILITIES)),
    ],
    ids=["right accuracy", "nobody's accuracy", "right AUC", "right log loss"],
)
def test_quiet_on_right_numbers(check: Check, kind: str, value: float) -> None:
    assert outcome(check, **read(kind, value, SIGMOID)).findings == ()


def test_an_unlucky_direction_is_proven_by_turning_it() -> None:
    served = make_served(1 - PROBABILITIES, TRUTH)
    (finding,) = findings(inverted_positive_class, served=served)
    assert finding.proof is not None
    assert finding.proof.grade is Grade.B
    assert finding.proof.after == pytest.approx(SIGMOID.balanced_accuracy)


def test_a_weak_net_below_one_half_is_not_inverted() -> None:
    weak = make_served(0.5 - 0.02 * (PROBABILITIES - 0.5), TRUTH)
    assert findings(inverted_positive_class, served=weak) == ()


def predictions(values: np.ndarray, **fields: object) -> dict[str, object]:
    return {"served": SIGMOID, "logged_predictions": (LoggedPredictions("pred.npy", None, values, **fields),)}


def test_column_0_of_a_pair_is_an_error() -> None:
    pair = make_served(np.column_stack([1 - PROBABILITIES, PROBABILITIES]), TRUTH)
    given = predictions(1 - PROBABILITIES) | {"served": pair}
    (finding,) = findings(scores_used_as_classes, **given)
    assert finding.level is Severity.ERROR
    assert "column 0 of the outputs" in finding.message


def test_scores_beside_labels_are_information() -> None:
    (finding,) = findings(scores_used_as_classes, **predictions(PROBABILITIES, truth=TRUTH))
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    "given",
    [
        predictions(DECISION, truth=TRUTH),
        predictions(PROBABILITIES),
        predictions(PROBABILITIES, truth=TRUTH, named_as_scores=True),
        predictions(np.array(["cat"] * 400)),
    ],
    ids=["classes", "no labels beside", "named as scores", "text"],
)
def test_quiet_on_other_predictions(given: dict[str, object]) -> None:
    assert findings(scores_used_as_classes, **given) == ()


def test_skipped_without_scores() -> None:
    assert outcome(scores_used_as_classes, served=SIGMOID).status is Status.SKIPPED
    assert outcome(broadcast_comparison).status is Status.SKIPPED


def test_a_curve_of_the_auc_metric_is_not_held_against_hard_labels() -> None:
    value = roc_auc_score(TRUTH, DECISION)
    score = LoggedScore("val_auc", "auc", "validation", value, (0.6, value))
    found = read_score(score, SIGMOID, TRUTH)
    assert isinstance(found, Reading)
    assert findings(auc_on_labels, readings=(found,)) == ()
