import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.class_weight_without_effect import class_weight_without_effect
from mlflow_clfaudit.evidence.weighting import ClassWeighting
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import findings, make_fit, make_head, make_labels, outcome

TRUTH = np.repeat([0, 1], [360, 40])


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
def test_fires(weights: object, labels: np.ndarray, severity: Severity) -> None:
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
def test_quiet(weights: object, labels: np.ndarray) -> None:
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


def test_skipped_where_the_library_refuses_such_weights_itself() -> None:
    weighting = ClassWeighting(
        {0: 1.0, 1: 17.0}, np.array([0, 1]), np.array([360, 40]), np.array([1.0, 17.0]), "PyTorch"
    )
    result = outcome(class_weight_without_effect, **given(None), class_weighting=weighting)
    assert result.status is Status.SKIPPED
    assert "PyTorch itself refuses" in result.reason
