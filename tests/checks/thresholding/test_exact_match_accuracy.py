import numpy as np
import pytest

from mlflow_clfaudit.checks.thresholding.exact_match_accuracy import exact_match_accuracy
from mlflow_clfaudit.evidence.spec import Metric
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import findings, make_head, make_history, make_served

EXACT = Metric("accuracy", by_string=False, options={"name": "accuracy", "dtype": "float32"})
TRUTH = np.arange(100) % 2


def test_fires_and_is_proven_by_the_threshold() -> None:
    served = make_served(np.where(TRUTH == 1, 0.9, 0.1), TRUTH)
    history = make_history(loss=[0.5, 0.1], accuracy=[0.0, 0.0])
    (finding,) = findings(exact_match_accuracy, head=make_head(metrics=(EXACT,)), history=history, served=served)
    assert finding.level is Severity.ERROR
    assert finding.proof is not None
    assert (finding.proof.grade, finding.proof.before, finding.proof.after) == (Grade.A, 0.0, 1.0)


def test_fires_without_a_model() -> None:
    (finding,) = findings(exact_match_accuracy, head=make_head(metrics=(EXACT,)))
    assert finding.proof is None


def test_unproven_where_the_metric_was_not_logged() -> None:
    served = make_served(np.where(TRUTH == 1, 0.9, 0.1), TRUTH)
    (finding,) = findings(exact_match_accuracy, head=make_head(metrics=(EXACT,)), served=served)
    assert finding.unproven == "the run logged no accuracy"


@pytest.mark.parametrize(
    "metric",
    [
        Metric("accuracy"),
        Metric("accuracy", by_string=False),
        Metric("binary_accuracy", by_string=False, options={"a": 1}),
    ],
    ids=["string", "function of the user's own", "another class"],
)
def test_quiet_on_other_metrics(metric: Metric) -> None:
    assert findings(exact_match_accuracy, head=make_head(metrics=(metric,))) == ()


def test_quiet_where_outputs_do_equal_labels() -> None:
    history = make_history(loss=[0.5, 0.1], accuracy=[0.4, 0.8])
    assert findings(exact_match_accuracy, head=make_head(metrics=(EXACT,)), history=history) == ()


def test_refuted_where_it_is_the_accuracy_at_the_threshold() -> None:
    served = make_served(TRUTH * 1.0, 1 - TRUTH)
    history = make_history(loss=[0.5, 0.1], accuracy=[0.0, 0.0])
    assert findings(exact_match_accuracy, head=make_head(metrics=(EXACT,)), history=history, served=served) == ()
