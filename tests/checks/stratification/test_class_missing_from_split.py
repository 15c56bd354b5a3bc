import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.class_missing_from_split import class_missing_from_split
from mlflow_clfaudit.evidence.spec import Loss
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.checks.stratification.test_class_shift import counts
from tests.kit import findings, make_labels, outcome
from tests.runs import make_run


def test_fires_on_a_class_that_was_never_trained() -> None:
    labels = make_labels(counts(180, 180, 180, 180), counts(0, 0, 0, 0, 180))
    untrained, unmeasured = findings(class_missing_from_split, labels=labels, run=make_run())
    assert untrained.level is Severity.ERROR
    assert "Class 4 has 180 validation rows and no train rows: it can never be predicted" in untrained.message
    assert unmeasured.evidence["classes"] == ["0", "1", "2", "3"]
    assert untrained.proof is not None
    assert untrained.proof.grade is Grade.A


def test_fires_on_seed_004() -> None:
    labels = make_labels(counts(603, 50), counts(164))
    (finding,) = findings(class_missing_from_split, labels=labels, run=make_run())
    assert "is measured nowhere there" in finding.message
    assert finding.evidence["chance"] == pytest.approx(9.2e-6, rel=0.01)


def test_held_out_splits_are_compared_with_the_training_rows_only() -> None:
    labels = make_labels(counts(300, 300, 300), counts(60, 60), counts(60, 60, 60))
    (finding,) = findings(class_missing_from_split, labels=labels, run=make_run())
    assert (finding.evidence["missing_from"], finding.evidence["present_in"]) == ("validation", "train")


def test_a_split_by_design_is_information() -> None:
    labels = make_labels(counts(603, 50), counts(164))
    (finding,) = findings(class_missing_from_split, labels=labels, run=make_run(params={"split": "GroupKFold"}))
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    "labels",
    [
        make_labels(counts(100, 100), counts(20, 20)),
        make_labels(counts(100, 100, 5), counts(20, 20)),
        make_labels(counts(*[5] * 60), counts(*[0] * 20, *[1] * 40)),
        make_labels(counts(100, 100)),
    ],
    ids=["both", "rare by chance", "many rare classes", "one split"],
)
def test_quiet(labels: object) -> None:
    assert findings(class_missing_from_split, labels=labels, run=make_run()) == ()


def test_skipped_where_labels_are_written_differently() -> None:
    labels = make_labels(counts(100, 100), np.array(["cat", "dog"] * 20))
    assert outcome(class_missing_from_split, labels=labels, run=make_run()).status is Status.SKIPPED


def test_quiet_on_a_class_that_the_loss_ignores() -> None:
    labels = make_labels(counts(100, 100, 90) - 1, counts(0, 40, 40) - 1)
    loss = Loss("sparse_categorical_crossentropy", options={"ignore_class": -1})
    assert findings(class_missing_from_split, labels=labels, run=make_run(), loss=loss) == ()
    assert findings(class_missing_from_split, labels=labels, run=make_run()) != ()
