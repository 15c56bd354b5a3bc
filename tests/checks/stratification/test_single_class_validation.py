import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.single_class_validation import single_class_validation
from mlflow_clfaudit.types import Confidence, Grade, Severity, Status
from tests.kit import findings, make_fit, make_history, make_labels, make_served, outcome
from tests.runs import make_run

MAJORITY = float(np.float32(603) / np.float32(653))
# The last lines that the author of seed 004 saw, and epochs before them.
SEED_004 = {
    "loss": [0.0791, 0.0772, 0.0760, 0.0750, 0.0747, 0.0745],
    "accuracy": [MAJORITY] * 6,
    "val_loss": [0.0282, 0.0253, 0.0230, 0.0213, 0.0201, 0.0192],
    "val_accuracy": [1.0] * 6,
}


def test_fires_on_a_validation_slice_of_one_class() -> None:
    labels = make_labels(np.repeat([1, 0], [50, 603]), np.zeros(164, int))
    history = make_history(**SEED_004)
    served = make_served(np.full(653, 0.14), np.repeat([1, 0], [50, 603]), held_out=False)
    (finding,) = findings(single_class_validation, labels=labels, history=history, served_train=served)
    assert finding.level is Severity.ERROR
    assert "All 164 validation rows are of class 0" in finding.message
    assert finding.evidence["chance"] == pytest.approx(9.2e-6, rel=0.01)
    assert finding.evidence["balanced_accuracy_on_every_class"] == 0.5
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A


def test_seed_004_is_read_from_its_curves_alone() -> None:
    run = make_run(metrics=SEED_004, params={"validation_split": "0.2"})
    (finding,) = findings(single_class_validation, run=run)
    assert "0.9234" in finding.message
    assert "164 validation rows" in finding.message
    assert finding.evidence["value"] == pytest.approx(0.139, abs=0.001)
    assert finding.evidence["expected_loss"] == pytest.approx(0.0746, abs=0.0001)
    assert finding.proof is not None
    assert finding.proof.grade is Grade.C
    assert finding.confidence is Confidence.SUSPECTED


def test_a_test_set_of_one_class_is_a_warning() -> None:
    labels = make_labels(np.tile([0, 1], 50), np.tile([0, 1], 10), np.ones(30, int))
    (finding,) = findings(single_class_validation, labels=labels)
    assert finding.level is Severity.WARN


@pytest.mark.parametrize(
    "labels",
    [
        make_labels(np.tile([0, 1], 50), np.tile([0, 1], 10)),
        make_labels(np.zeros(50, int), np.zeros(10, int)),
        make_labels(np.tile([0, 1], 50)),
        make_labels(np.tile([0, 1, 2], 50), np.tile([0, 1], 10)),
        make_labels(np.tile([0, 1], 50), [1, 1, 1]),
        make_labels(np.tile([0, 1], 50), np.array(["cat"] * 10)),
    ],
    ids=["both classes", "one class throughout", "no held-out labels", "two of three", "three rows", "other encoding"],
)
def test_quiet_on_other_labels(labels: object) -> None:
    assert findings(single_class_validation, labels=labels, history=make_history(loss=[1.0, 0.5])) == ()


@pytest.mark.parametrize(
    "curves",
    [
        # A good net on easy rows: accuracy moves, or the losses are not those of one constant.
        {
            "loss": [0.4, 0.2, 0.1, 0.08],
            "accuracy": [0.9, 0.95, 0.99, 0.99],
            "val_loss": [0.1] * 4,
            "val_accuracy": [1.0] * 4,
        },
        {"loss": [0.09] * 4, "accuracy": [0.98] * 4, "val_loss": [0.01] * 4, "val_accuracy": [1.0] * 4},
        # Constant predictions on a validation set with both classes.
        {"loss": [0.25] * 4, "accuracy": [0.6] * 4, "val_loss": [0.24] * 4, "val_accuracy": [0.61] * 4},
        {"loss": [0.25, 0.2], "accuracy": [0.9] * 2, "val_loss": [0.1] * 2, "val_accuracy": [1.0] * 2},
    ],
    ids=["learns", "one noisy label", "both classes", "two epochs"],
)
def test_quiet_on_other_curves(curves: dict[str, list[float]]) -> None:
    assert findings(single_class_validation, history=make_history(**curves), fit=make_fit()) == ()


def test_skipped_without_labels_and_curves() -> None:
    assert outcome(single_class_validation).status is Status.SKIPPED
