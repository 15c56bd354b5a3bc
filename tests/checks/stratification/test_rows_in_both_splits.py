import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.rows_in_both_splits import rows_in_both_splits
from mlflow_clfaudit.evidence.inputs import RowHashes, hash_rows
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import findings, make_labels, make_served, outcome, proof_of

RANDOM = np.random.default_rng(0)
TRAIN = RANDOM.normal(size=(800, 5))
HELD_OUT = RANDOM.normal(size=(200, 5))


def hashes(validation: np.ndarray, train: np.ndarray = TRAIN) -> RowHashes:
    return RowHashes({"train": hash_rows(train), "validation": hash_rows(validation)})


def test_fires_on_shared_rows() -> None:
    given = hashes(np.concatenate([HELD_OUT[:170], TRAIN[:30]]))
    (finding,) = findings(rows_in_both_splits, row_hashes=given)
    assert finding.level is Severity.ERROR
    assert "30 of 200 validation rows (15.0%) are training rows" in finding.message
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A


def test_few_shared_rows_are_a_warning_unless_they_matter() -> None:
    given = hashes(np.concatenate([HELD_OUT[:192], TRAIN[:8]]))
    (finding,) = findings(rows_in_both_splits, row_hashes=given)
    assert finding.level is Severity.WARN
    truth = np.arange(200) % 2
    right = (np.arange(200) >= 192) | (np.arange(200) % 5 < 2)
    served = make_served(np.where(right == (truth == 1), 0.9, 0.1), truth)
    (finding,) = findings(rows_in_both_splits, row_hashes=given, served=served)
    assert finding.level is Severity.ERROR
    assert finding.evidence["accuracy_on_shared_rows"] == 1.0


def test_fires_on_a_class_that_was_oversampled_before_the_split() -> None:
    rare = RANDOM.normal(size=(20, 5))[RANDOM.integers(0, 20, 500)]
    train, validation = np.concatenate([TRAIN[:400], rare[:400]]), np.concatenate([HELD_OUT[:100], rare[400:]])
    labels = make_labels(np.repeat([0, 1], 400), np.repeat([0, 1], 100))
    (finding,) = findings(rows_in_both_splits, row_hashes=hashes(validation, train), labels=labels)
    assert finding.variant == "oversampled-before-split"
    assert "class 1 was oversampled before the split" in finding.message


def test_fires_on_groups_on_both_sides() -> None:
    groups = {"train": np.repeat(np.arange(80), 10), "validation": np.repeat(np.arange(70, 90), 10)}
    (finding,) = findings(rows_in_both_splits, row_hashes=hashes(HELD_OUT), groups=groups)
    assert finding.variant == "groups-in-both-splits"
    assert "10 groups" in finding.message


@pytest.mark.parametrize(
    ("validation", "train"),
    [
        (HELD_OUT, TRAIN),
        (np.concatenate([HELD_OUT[:198], TRAIN[:2]]), TRAIN),
        (RANDOM.integers(0, 2, (300, 7)).astype(float), RANDOM.integers(0, 2, (900, 7)).astype(float)),
        (np.repeat([[0.0], [1.0]], 100, axis=0), np.repeat([[0.0], [1.0]], 1000, axis=0)),
    ],
    ids=["other rows", "two rows", "low cardinality", "constant rows"],
)
def test_quiet(validation: np.ndarray, train: np.ndarray) -> None:
    labels = make_labels(np.arange(len(train)) % 2, np.arange(len(validation)) % 2)
    assert findings(rows_in_both_splits, row_hashes=hashes(validation, train), labels=labels) == ()


def test_groups_are_enough_where_no_inputs_were_logged() -> None:
    groups = {"train": np.repeat(np.arange(80), 10), "validation": np.repeat(np.arange(70, 90), 10)}
    (finding,) = findings(rows_in_both_splits, groups=groups)
    assert proof_of(finding).grade is Grade.A


def test_quiet_on_groups_that_were_kept_apart() -> None:
    groups = {"train": np.repeat(np.arange(80), 10), "validation": np.repeat(np.arange(80, 90), 20)}
    assert findings(rows_in_both_splits, row_hashes=hashes(HELD_OUT), groups=groups) == ()


def test_rows_that_are_all_shared_are_another_finding() -> None:
    assert findings(rows_in_both_splits, row_hashes=hashes(TRAIN)) == ()


def test_labels_of_other_rows_name_no_oversampled_class() -> None:
    rare = RANDOM.normal(size=(20, 5))[RANDOM.integers(0, 20, 500)]
    train, validation = np.concatenate([TRAIN[:400], rare[:400]]), np.concatenate([HELD_OUT[:100], rare[400:]])
    labels = make_labels(np.repeat([0, 1], 300), np.repeat([0, 1], 100))
    assert findings(rows_in_both_splits, row_hashes=hashes(validation, train), labels=labels) == ()


def test_skipped_without_inputs() -> None:
    assert outcome(rows_in_both_splits).status is Status.SKIPPED
