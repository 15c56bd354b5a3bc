import numpy as np
import pytest

from mlflow_clfaudit.checks.thresholding.metric_misresolved import metric_misresolved
from mlflow_clfaudit.evidence.spec import Metric
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import findings, make_head, make_history, make_labels, make_served

TRUTH = np.repeat([0, 1], [150, 50])
PROBABILITIES = np.where(np.arange(200) % 5 == 0, 0.6, 0.1 + 0.8 * TRUTH)
PAIR = np.column_stack([1 - PROBABILITIES, PROBABILITIES])
ONE_HOT = make_labels(np.eye(2)[TRUTH])
TEN = make_labels(np.eye(10)[np.arange(200) % 10])


def metric(name: str, **options: object) -> Metric:
    return Metric(name, by_string=False, options={"name": name, **options})


@pytest.mark.parametrize(
    ("head", "labels"),
    [
        (make_head(metrics=(metric("f1_score"),)), make_labels(TRUTH)),
        (make_head(metrics=(metric("categorical_accuracy"),)), make_labels(TRUTH)),
        (make_head(2, "softmax", metrics=(metric("precision"),)), ONE_HOT),
        (make_head(2, "softmax", metrics=(metric("recall", class_id=None),)), ONE_HOT),
        (make_head(2, "softmax", metrics=(metric("auc", multi_label=False),)), ONE_HOT),
        (make_head(10, "softmax", metrics=(Metric("binary_accuracy"),)), TEN),
        (make_head(4, "softmax", metrics=(metric("top_k_categorical_accuracy", k=5),)), None),
        (make_head(3, "softmax", metrics=(metric("sparse_top_kcategorical_accuracy", k=3),)), None),
        (make_head(3, "sigmoid", metrics=(Metric("accuracy"),)), make_labels(np.tile([[1, 1, 0], [0, 1, 1]], (50, 1)))),
    ],
    ids=[
        "F1",
        "categorical",
        "precision",
        "recall",
        "AUC",
        "binary on one-hot",
        "top-k",
        "sparse top-k",
        "several labels",
    ],
)
def test_fires(head: object, labels: object) -> None:
    (finding,) = findings(metric_misresolved, head=head, labels=labels)
    assert finding.level is Severity.WARN
    assert finding.fix


def test_a_constant_f1_is_proven_by_what_the_run_logged() -> None:
    constant = 2 * 0.25 / 1.25
    head = make_head(metrics=(metric("f1_score"),))
    given = {"head": head, "labels": make_labels(TRUTH), "served": make_served(0.1 + 0.8 * TRUTH, TRUTH, head=head)}
    history = make_history(loss=[0.5, 0.1], val_f1_score=[constant, constant])
    (finding,) = findings(metric_misresolved, **given, history=history)
    assert finding.level is Severity.ERROR
    assert finding.proof is not None
    assert (finding.proof.grade, finding.proof.after) == (Grade.A, 1.0)
    assert finding.proof.before == pytest.approx(0.4)
    assert "the logged value, recomputed" in finding.proof.how


def test_precision_of_a_pair_is_its_accuracy() -> None:
    head = make_head(2, "softmax", metrics=(metric("precision"),))
    (finding,) = findings(metric_misresolved, head=head, labels=ONE_HOT, served=make_served(PAIR, TRUTH, head=head))
    assert finding.evidence["computed"] == pytest.approx(0.85)
    assert finding.evidence["meant"] == pytest.approx(0.625)


def test_values_that_agree_are_information() -> None:
    head = make_head(2, "softmax", metrics=(metric("recall"),))
    served = make_served(np.eye(2)[TRUTH], TRUTH, head=head)
    (finding,) = findings(metric_misresolved, head=head, labels=ONE_HOT, served=served)
    assert finding.level is Severity.INFO


def test_rows_of_one_class_prove_nothing_about_an_auc() -> None:
    head = make_head(2, "softmax", metrics=(metric("auc", multi_label=False),))
    served = make_served(PAIR[:150], TRUTH[:150], head=head)
    (finding,) = findings(metric_misresolved, head=head, labels=ONE_HOT, served=served)
    assert finding.level is Severity.WARN
    assert finding.proof is None


def test_a_log_that_contradicts_lowers_it() -> None:
    head = make_head(metrics=(metric("f1_score"),))
    served = make_served(0.1 + 0.8 * TRUTH, TRUTH, head=head)
    history = make_history(loss=[0.5], val_f1_score=[1.0])
    (finding,) = findings(metric_misresolved, head=head, labels=make_labels(TRUTH), served=served, history=history)
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    ("head", "labels"),
    [
        (make_head(metrics=(Metric("accuracy"), metric("auc"), metric("precision"))), make_labels(TRUTH)),
        (make_head(metrics=(metric("f1_score", threshold=0.5),)), make_labels(TRUTH)),
        (make_head(2, "softmax", metrics=(metric("precision", class_id=1),)), ONE_HOT),
        (make_head(2, "softmax", metrics=(metric("auc", multi_label=True),)), ONE_HOT),
        (make_head(10, "softmax", metrics=(Metric("accuracy"), metric("f1_score"))), TEN),
        (make_head(10, "softmax", metrics=(metric("top_k_categorical_accuracy", k=3),)), TEN),
        (make_head(3, "sigmoid", metrics=(Metric("binary_accuracy"),)), make_labels(np.tile([[1, 1, 0]], (50, 1)))),
    ],
    ids=[
        "one unit",
        "F1 with a threshold",
        "precision of class 1",
        "AUC by column",
        "softmax",
        "top 3",
        "several labels",
    ],
)
def test_quiet(head: object, labels: object) -> None:
    assert findings(metric_misresolved, head=head, labels=labels) == ()


def test_accuracy_of_several_labels_is_judged_on_all_of_them() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (300, 3))
    outputs = np.where(truth == 1, 0.7, 0.2) + random.uniform(0, 0.2, (300, 3))
    labels = tuple(make_served(outputs[:, k], truth[:, k]) for k in range(3))
    head = make_head(3, "sigmoid", metrics=(Metric("accuracy"),))
    (finding,) = findings(metric_misresolved, head=head, labels=make_labels(truth), served_labels=labels)
    assert finding.level is Severity.ERROR
    assert finding.evidence["meant"] == 1.0
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A
