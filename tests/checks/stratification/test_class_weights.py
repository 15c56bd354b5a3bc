"""The three checks of class weights, and the evidence that they share."""

import numpy as np
import pytest
from scipy.special import expit

from mlflow_clfaudit.checks.stratification.class_weight_overcorrected import class_weight_overcorrected
from mlflow_clfaudit.checks.stratification.class_weight_without_effect import class_weight_without_effect
from mlflow_clfaudit.checks.stratification.weighted_loss_scale import weighted_loss_scale
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import findings, make_fit, make_head, make_history, make_labels, make_served, outcome

TRUTH = np.repeat([0, 1], [360, 40])
CURVES = make_history(loss=[1.0, 0.5], val_loss=[0.3, 0.2])


def given(weights: object, labels: np.ndarray = TRUTH, **fields: object) -> dict[str, object]:
    return {"fit": make_fit(class_weight=weights), "labels": make_labels(labels)} | fields


@pytest.mark.parametrize(
    ("weights", "labels", "severity"),
    [
        ({"0": 1.0, "1": 9.0}, TRUTH, Severity.ERROR),
        ({1: 1.0, 2: 9.0}, TRUTH, Severity.ERROR),
        ({5: 1.0, 6: 9.0}, TRUTH, Severity.ERROR),
        ({0: 1.0, 1: 9.0, 2: 3.0}, TRUTH, Severity.INFO),
        ({0: 1.0, 1: 9.0}, np.tile([[1, 1, 0], [0, 0, 0], [0, 1, 1]], (40, 1)), Severity.WARN),
    ],
    ids=["text keys", "keys from 1", "other keys", "a key too many", "several labels a row"],
)
def test_without_effect_fires(weights: object, labels: np.ndarray, severity: Severity) -> None:
    (finding,) = findings(class_weight_without_effect, **given(weights, labels))
    assert finding.level is severity
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A


@pytest.mark.parametrize(
    ("weights", "labels"),
    [
        ({0: 1.0, 1: 9.0}, TRUTH),
        ({0: 1.0, 1: 9.0}, TRUTH.astype(float)),
        ({0: 1.0, 1: 9.0}, np.eye(2)[TRUTH]),
        ({0: 1.0, 1: 1.0}, TRUTH),
        ({1: 9.0}, TRUTH),
    ],
    ids=["integers", "floats", "one-hot", "equal", "the default for class 0"],
)
def test_without_effect_is_quiet(weights: object, labels: np.ndarray) -> None:
    found = outcome(class_weight_without_effect, **given(weights, labels))
    assert found.findings == ()


@pytest.mark.parametrize(
    "evidence",
    [
        given(None),
        given({0: 1.0, 1: 9.0}, np.array(["cat", "dog"] * 100)),
        # The loss cannot have been given these labels, so they were encoded before fit().
        given({0: 1.0, 1: 9.0}, TRUTH + 1, head=make_head()),
    ],
    ids=["no weights", "text", "raw labels"],
)
def test_skipped_where_what_fit_saw_is_not_known(evidence: dict[str, object]) -> None:
    assert outcome(class_weight_without_effect, **evidence).status is Status.SKIPPED


def test_weighted_loss_scale() -> None:
    (finding,) = findings(weighted_loss_scale, **given({0: 1.0, 1: 17.0}, history=CURVES))
    assert finding.level is Severity.INFO
    assert finding.evidence["mean_weight"] == pytest.approx(0.9 + 1.7)
    assert findings(weighted_loss_scale, **given({0: 0.56, 1: 5.0}, history=CURVES)) == ()
    assert findings(weighted_loss_scale, **given({0: 1.0, 1: 17.0}, history=make_history(loss=[1.0, 0.5]))) == ()


def overcorrected(gap: float) -> object:
    """A calibrated net whose odds were multiplied by 9, on classes this far apart."""
    random = np.random.default_rng(0)
    logits = gap * (gap * (TRUTH - 0.5) + random.normal(0, 1, 400)) - np.log(9)
    return make_served(expit(logits + np.log(9)), TRUTH)


def test_overcorrected_is_a_warning_below_the_majority_rate() -> None:
    weak = given({0: 1.0, 1: 9.0}, served=overcorrected(1.0))
    (finding,) = findings(class_weight_overcorrected, **weak)
    assert finding.level is Severity.WARN
    assert "below the 0.900 of the largest class" in finding.message
    assert finding.proof is not None
    assert finding.proof.grade is Grade.B


def test_overcorrected_is_information_where_decisions_are_good() -> None:
    strong = given({0: 1.0, 1: 9.0}, served=overcorrected(2.6))
    found = findings(class_weight_overcorrected, **strong)
    assert all(finding.level is Severity.INFO for finding in found)


@pytest.mark.parametrize("weights", [{0: 1.0, 1: 1.0}, {0: 9.0, 1: 1.0}], ids=["equal", "the other way"])
def test_overcorrected_is_quiet_where_weights_do_not_explain_it(weights: object) -> None:
    assert findings(class_weight_overcorrected, **given(weights, served=overcorrected(1.0))) == ()
