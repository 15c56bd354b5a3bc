import numpy as np
import pytest

from mlflow_clfaudit.checks.thresholding.threshold_on_wrong_scale import threshold_on_wrong_scale
from mlflow_clfaudit.evidence.spec import Metric
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import findings, make_head, make_served

ACCURACY = (Metric("accuracy"),)
RANDOM = np.random.default_rng(0)
TRUTH = np.arange(600) % 2
LOGITS = 1.5 * (TRUTH - 0.5) + RANDOM.normal(0, 0.6, 600)


def logit_head(*metrics: Metric) -> object:
    return make_head(activation="linear", loss_options={"from_logits": True}, metrics=metrics)


def binary_accuracy(**options: object) -> Metric:
    return Metric("binary_accuracy", by_string=False, options={"name": "binary_accuracy", **options})


@pytest.mark.parametrize(
    "metric",
    [
        Metric("accuracy"),
        binary_accuracy(threshold=0.5),
        Metric("auc", by_string=False, options={"from_logits": False}),
    ],
    ids=["accuracy", "BinaryAccuracy()", "AUC()"],
)
def test_fires_on_logits_cut_at_a_half(metric: Metric) -> None:
    head = logit_head(metric)
    (finding,) = findings(threshold_on_wrong_scale, head=head, served=make_served(LOGITS, TRUTH, head=head))
    assert finding.level is Severity.WARN
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A
    assert finding.proof.before is not None
    assert finding.proof.after is not None
    assert finding.proof.after > finding.proof.before + 0.02


def test_fires_on_probabilities_cut_at_0() -> None:
    head = make_head(metrics=(binary_accuracy(threshold=0.0),))
    served = make_served(1 / (1 + np.exp(-LOGITS)), TRUTH, head=head)
    (finding,) = findings(threshold_on_wrong_scale, head=head, served=served)
    assert "cut the outputs at 0," in finding.message


def test_a_difference_that_does_not_matter_is_information() -> None:
    head = logit_head(*ACCURACY)
    (finding,) = findings(threshold_on_wrong_scale, head=head, served=make_served(20 * LOGITS, TRUTH, head=head))
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    "head",
    [
        make_head(metrics=ACCURACY),
        make_head(10, "linear", loss="categorical_crossentropy", loss_options={"from_logits": True}, metrics=ACCURACY),
        logit_head(binary_accuracy(threshold=0.0)),
        logit_head(Metric("auc", by_string=False, options={"from_logits": True})),
        logit_head(),
        make_head(activation="tanh", loss="hinge"),
        make_head(activation="linear", loss="mean_squared_error", metrics=ACCURACY),
        logit_head(Metric("accuracy", by_string=False)),
    ],
    ids=[
        "sigmoid",
        "ten logits",
        "threshold 0",
        "AUC knows",
        "no metric",
        "hinge",
        "linear probability",
        "own function",
    ],
)
def test_quiet(head: object) -> None:
    assert findings(threshold_on_wrong_scale, head=head) == ()


def test_outputs_that_are_not_finite_prove_nothing() -> None:
    head = logit_head(*ACCURACY)
    served = make_served(np.where(np.arange(600) == 0, np.nan, LOGITS), TRUTH, head=head)
    (finding,) = findings(threshold_on_wrong_scale, head=head, served=served)
    assert finding.proof is None


def test_recall_is_judged_by_itself() -> None:
    head = logit_head(Metric("recall", by_string=False, options={"name": "recall", "thresholds": None}))
    truth = (np.arange(600) % 12 == 0).astype(int)
    logits = np.where(truth == 1, 0.3, -2.0) + RANDOM.normal(0, 0.3, 600)
    (finding,) = findings(threshold_on_wrong_scale, head=head, served=make_served(logits, truth, head=head))
    assert finding.level is Severity.WARN
    assert finding.proof is not None
    assert finding.proof.metric == "recall"


@pytest.mark.parametrize(("thresholds", "fires"), [([0.5], True), ([0.0], False)])
def test_a_list_of_one_threshold_is_that_threshold(thresholds: list[float], fires: bool) -> None:
    head = logit_head(Metric("recall", by_string=False, options={"name": "recall", "thresholds": thresholds}))
    assert bool(findings(threshold_on_wrong_scale, head=head)) is fires
