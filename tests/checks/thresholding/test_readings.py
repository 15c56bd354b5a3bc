"""The checks that a wrong post-processing is told by: each fires on its own number and on no other."""

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
from mlflow_clfaudit.evidence.scores import LoggedScore, read_score
from mlflow_clfaudit.registry import Check
from mlflow_clfaudit.types import Grade, Severity
from tests.evidence.test_scores import DECISION, LINEAR, LOGITS, PROBABILITIES, PROPER, SIGMOID, TRUTH
from tests.kit import findings, make_served, outcome

SMALL = make_served(0.4 * LOGITS, TRUTH, head=LINEAR.head)
NUMBERS: dict[str, tuple[Check, str, float, object]] = {
    "argmax": (argmax_on_one_column, "accuracy", float(np.mean(TRUTH == 0)), SIGMOID),
    "rounded": (rounded_unbounded_output, "accuracy", float(np.mean(np.round(LOGITS) == TRUTH)), LINEAR),
    "exact": (scores_used_as_classes, "accuracy", 0.0, SIGMOID),
    "zero": (threshold_on_wrong_scale, "accuracy", float(np.mean(TRUTH == 1)), SIGMOID),
    "half": (threshold_on_wrong_scale, "accuracy", float(np.mean((0.4 * LOGITS > 0.5) == TRUTH)), SMALL),
    "inverted": (inverted_positive_class, "accuracy", 1 - PROPER, SIGMOID),
    "inverted auc": (inverted_positive_class, "auc", 1 - roc_auc_score(TRUTH, PROBABILITIES), SIGMOID),
    "broadcast": (broadcast_comparison, "accuracy", float((DECISION[:, None] == TRUTH).mean()), SIGMOID),
    "auc of labels": (auc_on_labels, "auc", roc_auc_score(TRUTH, DECISION), SIGMOID),
    "log loss of labels": (logloss_on_labels, "log loss", log_loss(TRUTH, np.eye(2)[DECISION]), SIGMOID),
}
CHECKS = tuple({item[0].name: item[0] for item in NUMBERS.values()}.values())


def read(kind: str, value: float, served: object, labels: np.ndarray = TRUTH) -> dict[str, object]:
    """The evidence of a run that logged this number about these outputs."""
    found = read_score(LoggedScore(f"test_{kind}", kind, "test", value), served, labels)
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
