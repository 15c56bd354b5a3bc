import numpy as np
import pytest

from mlflow_clfaudit.checks.thresholding.scores_used_as_classes import scores_used_as_classes
from mlflow_clfaudit.evidence.scores import LoggedPredictions
from mlflow_clfaudit.evidence.spec import Metric
from mlflow_clfaudit.types import Severity, Status
from tests.checks.thresholding.test_readings import read
from tests.evidence.test_scores import DECISION, PROBABILITIES, SIGMOID, TRUTH
from tests.kit import findings, make_head, make_served, outcome


def test_fires_on_an_accuracy_of_raw_outputs() -> None:
    (finding,) = findings(scores_used_as_classes, **read("accuracy", 0.0, SIGMOID))
    assert finding.level is Severity.ERROR
    assert "compares raw outputs with labels" in finding.message


def test_the_compiled_metric_accuracy_is_another_finding() -> None:
    head = make_head(metrics=(Metric("accuracy", by_string=False, options={"name": "accuracy"}),))
    served = make_served(PROBABILITIES, TRUTH, head=head)
    assert findings(scores_used_as_classes, **read("accuracy", 0.0, served)) == ()


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
        {"served": SIGMOID, "logged_predictions": (LoggedPredictions("pred.npy", "test", PROBABILITIES, TRUTH),)},
    ],
    ids=["classes", "no labels beside", "named as scores", "text", "another split"],
)
def test_quiet_on_other_predictions(given: dict[str, object]) -> None:
    assert findings(scores_used_as_classes, **given) == ()


def test_skipped_without_scores() -> None:
    assert outcome(scores_used_as_classes, served=SIGMOID).status is Status.SKIPPED
