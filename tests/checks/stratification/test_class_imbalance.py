import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.class_imbalance import class_imbalance
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import findings, make_labels, make_served, proof_of
from tests.runs import make_run

TRUTH = np.repeat([0, 1], [190, 10])
LABELS = make_labels(np.repeat([0, 1], [950, 50]), TRUTH)


def neglected(recall: float = 0.0) -> object:
    """A net that finds this share of the rare class and all of the common one."""
    found = (TRUTH == 1) & (np.arange(200) < 190 + round(10 * recall))
    return make_served(np.where(found, 0.9, 0.1), TRUTH)


def probe(decision: np.ndarray) -> Probe:
    served = np.zeros(200, int)
    return Probe("the head refitted", decision, np.zeros((200, 2)), TRUTH, served, held_out=True)


def test_a_neglected_class_is_a_warning() -> None:
    (finding,) = findings(class_imbalance, labels=LABELS, served=neglected(), run=make_run())
    assert finding.level is Severity.WARN
    assert "recognised in 0% of its 10 held-out rows while accuracy is 0.950" in finding.message


def test_it_is_an_error_where_equal_weights_find_it() -> None:
    given = {"labels": LABELS, "served": neglected(), "run": make_run(), "balanced_probe": probe(TRUTH)}
    (finding,) = findings(class_imbalance, **given)
    assert finding.level is Severity.ERROR
    assert finding.proof is not None
    assert (finding.proof.grade, finding.proof.before, finding.proof.after) == (Grade.B, 0.5, 1.0)


@pytest.mark.parametrize("metric", ["val_auc", "test_recall", "f1_score", "balanced_accuracy"])
def test_a_metric_that_sees_the_class_lowers_it(metric: str) -> None:
    run = make_run(metrics={metric: [0.5]})
    (finding,) = findings(class_imbalance, labels=LABELS, served=neglected(), run=run)
    assert finding.level is Severity.INFO


def test_a_refitted_head_that_finds_it_no_better_leaves_a_warning() -> None:
    given = {"labels": LABELS, "served": neglected(), "run": make_run(), "balanced_probe": probe(np.zeros(200, int))}
    (finding,) = findings(class_imbalance, **given)
    assert finding.level is Severity.WARN
    assert proof_of(finding).grade is Grade.C


@pytest.mark.parametrize(
    ("labels", "served"),
    [
        (LABELS, make_served(np.full(100, 0.1), np.repeat([0, 1], [97, 3]))),
        (make_labels(np.repeat([0, 1, 2], [900, 50, 50]), TRUTH), neglected()),
    ],
    ids=["three held-out rows of the class", "a class that the net has no output for"],
)
def test_it_stays_information_where_the_recall_cannot_be_judged(labels: object, served: object) -> None:
    (finding,) = findings(class_imbalance, labels=labels, served=served, run=make_run())
    assert finding.level is Severity.INFO
    assert finding.proof is None
    assert "recognised" not in finding.message


def test_labels_alone_are_information() -> None:
    (finding,) = findings(class_imbalance, labels=LABELS, run=make_run())
    assert finding.level is Severity.INFO
    assert "19 to 1" in finding.message


@pytest.mark.parametrize(
    ("labels", "served"),
    [
        (LABELS, neglected(0.6)),
        (make_labels(np.repeat([0, 1], [900, 100]), TRUTH), neglected()),
        (make_labels(np.repeat(np.arange(10), 100)), make_served(np.eye(10)[np.zeros(50, int)], np.arange(50) % 10)),
        (make_labels(np.zeros(100, int), TRUTH), neglected()),
        (make_labels(validation=TRUTH), neglected()),
    ],
    ids=["recognised", "nine to one", "ten equal classes", "one class", "no training labels"],
)
def test_quiet(labels: object, served: object) -> None:
    assert findings(class_imbalance, labels=labels, served=served, run=make_run()) == ()
