import numpy as np
import pytest

from mlflow_clfaudit import measures
from mlflow_clfaudit.checks.stratification.class_missing_from_split import class_missing_from_split
from mlflow_clfaudit.checks.stratification.class_shift import class_shift
from mlflow_clfaudit.checks.stratification.single_class_validation import single_class_validation
from mlflow_clfaudit.checks.stratification.tail_split_of_ordered_data import tail_split_of_ordered_data
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.inputs import RowHashes, hash_rows
from mlflow_clfaudit.registry import Check
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import findings, make_labels, make_served, outcome, proof_of
from tests.runs import make_run


def counts(*rows: int) -> np.ndarray:
    return np.repeat(np.arange(len(rows)), rows)


def test_fires_on_other_shares() -> None:
    labels = make_labels(counts(600, 400), counts(60, 140))
    (finding,) = findings(class_shift, labels=labels, run=make_run())
    assert finding.level is Severity.ERROR
    assert finding.evidence["total_variation"] == pytest.approx(0.3)
    assert finding.proof is not None
    assert finding.proof.grade is Grade.C


@pytest.mark.parametrize(
    ("labels", "params"),
    [
        (make_labels(counts(500, 500), counts(160, 40), counts(165, 35)), {}),
        (make_labels(counts(500, 500), counts(160, 40)), {"sampling": "oversampled to balance"}),
        (make_labels(counts(500, 400), counts(160, 40)), {"balancing": "SMOTE"}),
    ],
    ids=["both held-out splits agree", "said so", "SMOTE"],
)
def test_a_training_set_rebalanced_on_purpose_is_information(labels: object, params: dict[str, str]) -> None:
    (finding,) = findings(class_shift, labels=labels, run=make_run(params=params))
    assert finding.level is Severity.INFO
    assert finding.variant == "resampled-training-set"


def test_copies_of_the_rare_class_tell_oversampling() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(1000, 3))
    rows[500:] = rows[500:540][random.integers(0, 40, 500)]
    hashes = RowHashes({"train": hash_rows(rows)})
    given = {"labels": make_labels(counts(500, 500), counts(180, 20)), "run": make_run(), "row_hashes": hashes}
    (finding,) = findings(class_shift, **given)
    assert finding.level is Severity.INFO
    (finding,) = findings(class_shift, **given | {"row_hashes": RowHashes({"train": hash_rows(rows[::-1] * 0 + 1)})})
    assert finding.level is Severity.ERROR


def test_a_smaller_shift_is_a_warning() -> None:
    labels = make_labels(counts(700, 300), counts(5600, 4400))
    (finding,) = findings(class_shift, labels=labels, run=make_run())
    assert finding.level is Severity.WARN


def test_says_what_the_accuracy_would_be_at_the_training_shares() -> None:
    truth = counts(60, 140)
    served = make_served(np.where(np.arange(200) < 30, 0.9, 0.2 + 0.6 * truth), truth)
    labels = make_labels(counts(600, 400), truth)
    (finding,) = findings(class_shift, labels=labels, run=make_run(), served=served)
    assert finding.evidence["accuracy"] == pytest.approx(170 / 200)
    assert finding.evidence["accuracy_at_training_shares"] == pytest.approx(0.6 * 0.5 + 0.4)


def test_a_class_without_held_out_rows_has_no_recall_to_reckon_with() -> None:
    truth = counts(60, 140)
    labels = make_labels(counts(500, 400, 100), truth)
    served = make_served(np.eye(3)[truth], truth)
    (finding,) = findings(class_shift, labels=labels, run=make_run(), served=served)
    assert proof_of(finding).grade is Grade.C
    assert "accuracy_at_training_shares" not in finding.evidence


@pytest.mark.parametrize("key", ["split", "cv_strategy"])
@pytest.mark.parametrize("value", ["temporal", "GroupKFold", "by_patient"])
def test_a_split_by_design_is_information(key: str, value: str) -> None:
    labels = make_labels(counts(600, 400), counts(60, 140))
    (finding,) = findings(class_shift, labels=labels, run=make_run(params={key: value}))
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    "labels",
    [
        make_labels(counts(600, 400), counts(61, 39)),
        make_labels(counts(6, 4), counts(3, 5)),
        make_labels(counts(60_000, 40_000), counts(12_600, 7_400)),
        make_labels(counts(600, 400), 1 + counts(60, 140)),
    ],
    ids=["stratified", "few rows", "significant but small", "other encoding"],
)
def test_quiet(labels: object) -> None:
    result = outcome(class_shift, labels=labels, run=make_run())
    assert result.status in (Status.PASSED, Status.SKIPPED)


def honest_splits(number: int, seed: int) -> list[np.ndarray]:
    """Labels of random data sets, 2 to 100 classes and 50 to 50,000 rows, shuffled."""
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(number):
        rows = int(np.exp(random.uniform(np.log(50), np.log(50_000))))
        classes = int(np.exp(random.uniform(np.log(2), np.log(100))))
        shares = random.dirichlet(np.full(classes, random.choice([0.5, 2.0, 20.0])))
        drawn.append(random.permutation(random.choice(classes, rows, p=shares)))
    return drawn


def fired(check: Check, labels: np.ndarray, fraction: float) -> bool:
    cut = int(len(labels) * (1 - fraction))
    given = make_labels(labels[:cut], labels[cut:], whole=labels)
    result = outcome(check, labels=given, run=make_run(), fit=FitArguments(validation_split=fraction))
    assert result.status is not Status.FAILED, result.reason
    return any(finding.level.at_least(Severity.WARN) for finding in result.findings)


SPLIT_CHECKS = (class_missing_from_split, class_shift, single_class_validation, tail_split_of_ordered_data)


@pytest.mark.parametrize("check", SPLIT_CHECKS, ids=lambda check: check.name)
def test_hardly_ever_fires_on_honest_splits(check: Check) -> None:
    splits = honest_splits(100, seed=0)
    assert sum(fired(check, labels, 0.2) for labels in splits) <= 2


@pytest.mark.long
@pytest.mark.parametrize("check", SPLIT_CHECKS, ids=lambda check: check.name)
def test_false_alarm_rate_on_a_thousand_honest_splits(check: Check) -> None:
    random = np.random.default_rng(1)
    splits = honest_splits(1000, seed=1)
    alarms = sum(fired(check, labels, float(random.choice([0.1, 0.2, 0.33, 0.5]))) for labels in splits)
    print(f"{check.name}: {alarms} of {len(splits)} honest splits")
    assert alarms <= 10


def test_the_statistic_is_calibrated() -> None:
    random = np.random.default_rng(2)
    shares = np.array([0.9, 0.08, 0.02])
    p_values = [
        measures.class_shift(random.multinomial(400, shares), random.multinomial(100, shares), resamples=500).p_value
        for _ in range(400)
    ]
    assert np.mean(np.array(p_values) < 0.05) <= 0.09
