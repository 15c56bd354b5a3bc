import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.regression_loss import regression_loss
from mlflow_clfaudit.evidence.probes import ClassOrder
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import (
    findings,
    make_head,
    make_history,
    make_labels,
    make_probe,
    make_served,
    make_trial,
    proof_of,
)


def only(**given: object) -> Finding:
    (finding,) = findings(regression_loss, **given)
    return finding


@pytest.mark.parametrize(("units", "activation"), [(1, "sigmoid"), (10, "softmax")])
@pytest.mark.parametrize("loss", ["mean_squared_error", "mean_absolute_error", "huber"])
def test_brier_score_is_info(units: int, activation: str, loss: str) -> None:
    finding = only(head=make_head(units, activation, loss))
    assert (finding.level, finding.variant) == (Severity.INFO, "brier")


def test_brier_score_tells_how_damped_its_gradient_is() -> None:
    head = make_head(1, "sigmoid", "mean_squared_error")
    truth = np.array([1] * 10 + [0] * 90)
    finding = only(head=head, served=make_served(np.full(100, 0.14), truth, head=head))
    assert finding.level is Severity.INFO
    assert finding.evidence["gradient_factor"] == pytest.approx(0.14 * 0.86)
    assert finding.evidence["information"] < 0.1


NUMBER = make_head(1, "linear", "mean_squared_error")
THREE = make_labels(train=np.tile([0, 1, 2], 50))


def test_classes_on_a_line_are_info_without_proof() -> None:
    finding = only(head=NUMBER, labels=THREE)
    assert (finding.level, finding.variant) == (Severity.INFO, "number-line")


def test_a_better_classifier_makes_the_line_an_error() -> None:
    truth = np.tile([0, 1, 2], 50)
    judge = make_served(np.ones(150), truth, head=NUMBER)
    probe = make_probe(truth, decision=truth, served=np.ones(150, dtype=int))
    finding = only(head=NUMBER, labels=THREE, served=judge, trial=make_trial(judge, judge), feature_probe=probe)
    assert finding.level is Severity.ERROR
    assert proof_of(finding).grade is Grade.B
    assert (proof_of(finding).before, proof_of(finding).after) == (pytest.approx(1 / 3), 1.0)


def test_ordered_classes_that_round_right_stay_info() -> None:
    truth = np.tile([0, 1, 2], 50)
    judge = make_served(truth + 0.2, truth, head=NUMBER)
    probe = make_probe(truth, decision=truth, served=np.ones(150, dtype=int))
    finding = only(head=NUMBER, labels=THREE, served=judge, trial=make_trial(judge, judge), feature_probe=probe)
    assert finding.level is Severity.INFO


def test_a_line_without_a_classifier_of_the_same_rows_stays_info() -> None:
    truth = np.tile([0, 1, 2], 50)
    judge = make_served(np.ones(150), truth, head=NUMBER)
    given = {"head": NUMBER, "labels": THREE, "served": judge, "trial": make_trial(judge, judge)}
    fewer = make_probe(truth[:90], decision=truth[:90], served=np.ones(90, dtype=int))
    for probe in ({}, {"feature_probe": fewer}):
        finding = only(**given, **probe)
        assert (finding.level, finding.proof) == (Severity.INFO, None)


@pytest.mark.parametrize(
    ("library", "two", "three"),
    [
        ("XGBoost", 'objective="binary:logistic"', 'objective="multi:softprob", num_class=3'),
        ("LightGBM", 'objective="binary"', 'objective="multiclass", num_class=3'),
        ("CatBoost", 'CatBoostClassifier(loss_function="Logloss")', 'CatBoostClassifier(loss_function="MultiClass")'),
    ],
)
def test_boosted_trees_are_told_the_objective_of_their_library(library: str, two: str, three: str) -> None:
    head = make_head(1, "linear", "mean_squared_error", kind="Estimator", layer=library)
    assert only(head=head, labels=make_labels(train=[0, 1] * 20)).fix == two
    assert only(head=head, labels=THREE).fix == three


def test_percentage_error_of_label_0() -> None:
    head = make_head(1, "sigmoid", "mean_absolute_percentage_error")
    labels = make_labels(train=[0, 1] * 20)
    finding = only(head=head, labels=labels, history=make_history(loss=[3e8, 2e8]))
    assert finding.level is Severity.ERROR
    assert proof_of(finding).before == 2e8
    assert only(head=head, labels=labels).level is Severity.WARN


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (make_head(1, "sigmoid", "binary_crossentropy"), [0, 1]),
        (make_head(1, "tanh", "hinge"), [-1, 1]),
        (NUMBER, np.linspace(0, 9, 50)),
        (make_head(1, "sigmoid", "mean_squared_error"), np.linspace(0, 1, 50)),
        (NUMBER, range(200)),
        (make_head(1, "linear", "mean_squared_error", opaque=("lambda",)), [0, 1]),
        (make_head(1, "sigmoid", None), [0, 1]),
    ],
    ids=["cross-entropy", "hinge", "regression", "soft targets", "counts", "lambda", "no loss"],
)
def test_quiet_where_it_is_legitimate(head: Head, values: object) -> None:
    assert findings(regression_loss, head=head, labels=make_labels(train=list(values) * 2)) == ()  # type: ignore[call-overload]


def test_quiet_on_a_linear_output_of_unknown_labels() -> None:
    assert findings(regression_loss, head=NUMBER) == ()


@pytest.mark.parametrize(
    ("as_well", "level"), [(1 / 60, Severity.INFO), (0.7, Severity.ERROR)], ids=["ordered", "in any order"]
)
def test_classes_that_lie_in_the_order_of_their_numbers_may_be_on_a_line(as_well: float, level: Severity) -> None:
    truth = np.tile([0, 1, 2], 50)
    judge = make_served(np.ones(150), truth, head=NUMBER)
    probe = make_probe(truth, decision=truth, served=np.ones(150, dtype=int))
    given = {"head": NUMBER, "labels": THREE, "served": judge, "trial": make_trial(judge, judge)}
    finding = only(**given, feature_probe=probe, class_order=ClassOrder(0.6, as_well))
    assert finding.level is level
    if level is Severity.INFO:
        assert finding.unproven == "the classes lie in the inputs in the order of their numbers"
