import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.outputs_not_probabilities import outputs_not_probabilities
from mlflow_clfaudit.evidence.boosters import Booster
from mlflow_clfaudit.evidence.spec import Head, Metric
from mlflow_clfaudit.types import Finding, Severity
from tests.kit import findings, make_head, make_served

TRUTH = np.tile([0, 1], 50)
SCORES = np.where(TRUTH == 1, 3.0, -2.0)
AUC = (Metric("auc", by_string=False, options={"from_logits": False}),)


def only(head: Head, outputs: np.ndarray) -> Finding:
    (finding,) = findings(outputs_not_probabilities, head=head, served=make_served(outputs, TRUTH, head=head))
    return finding


def test_scores_under_a_loss_of_probabilities_are_info() -> None:
    finding = only(make_head(1, "linear", "binary_crossentropy"), SCORES)
    assert finding.level is Severity.INFO
    assert "between -2 and 3" in finding.message


def test_a_metric_of_probabilities_makes_it_a_warning() -> None:
    head = make_head(1, "linear", "binary_crossentropy", loss_options={"from_logits": True}, metrics=AUC)
    assert only(head, SCORES).level is Severity.WARN


def test_rows_that_do_not_sum_to_1() -> None:
    head = make_head(2, "sigmoid", "categorical_crossentropy")
    assert "sum to 1.60" in only(head, np.full((100, 2), 0.8)).message


@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        (make_head(1, "linear", "binary_crossentropy", loss_options={"from_logits": True}), SCORES),
        (make_head(1, "tanh", "hinge"), SCORES / 4),
        (make_head(1, "sigmoid", "binary_crossentropy", metrics=AUC), TRUTH * 0.8 + 0.1),
        (make_head(2, "softmax", "categorical_crossentropy"), np.eye(2)[TRUTH]),
        (make_head(2, "sigmoid", "binary_crossentropy"), np.full((100, 2), 0.8)),
        (make_head(1, "linear", None), SCORES),
    ],
    ids=["logits", "hinge", "sigmoid", "softmax", "independent", "no loss"],
)
def test_quiet_where_scores_are_meant_or_outputs_are_probabilities(head: Head, outputs: np.ndarray) -> None:
    served = make_served(outputs, TRUTH, head=head)
    assert findings(outputs_not_probabilities, head=head, served=served) == ()


def booster(objective: str, **fields: object) -> Booster:
    return Booster("XGBoost", objective, lambda rows: rows, rounds=10, limit=10, **fields)


@pytest.mark.parametrize(
    ("objective", "answers"), [("multi:softmax", "class numbers"), ("binary:logitraw", "log-odds")]
)
def test_an_objective_of_boosted_trees_that_answers_with_no_probabilities_is_info(objective: str, answers: str) -> None:
    given = {"head": make_head(1, "linear", None), "served": make_served(SCORES, TRUTH)}
    (finding,) = findings(outputs_not_probabilities, **given, booster=booster(objective))
    assert finding.level is Severity.INFO
    assert f"answers with {answers}" in finding.message


@pytest.mark.parametrize(
    "trees",
    [booster("binary:logistic"), booster("multi:softmax", decide=lambda rows: rows)],
    ids=["probabilities", "the interface of scikit-learn, which has predict_proba"],
)
def test_quiet_on_boosted_trees_that_give_probabilities(trees: Booster) -> None:
    given = {"head": make_head(1, "linear", None), "served": make_served(SCORES, TRUTH)}
    assert findings(outputs_not_probabilities, **given, booster=trees) == ()
