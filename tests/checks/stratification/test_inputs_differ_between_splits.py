import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.inputs_differ_between_splits import inputs_differ_between_splits
from mlflow_clfaudit.evidence.inputs import Inputs
from mlflow_clfaudit.types import Severity, Status
from tests.checks.stratification.test_class_shift import counts
from tests.kit import findings, make_labels, outcome
from tests.runs import make_run

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(0, 1, (600, 6, 6, 1)) * RANDOM.uniform(0, 1, (6, 6, 1))
TABLE = RANDOM.normal(size=(600, 8))


def inputs(train: object, validation: object) -> Inputs:
    return Inputs({"train": train, "validation": validation}, {})


@pytest.mark.parametrize(
    ("train", "validation", "words"),
    [
        (IMAGES[:400], IMAGES[400:] * 255, "times the scale on the median column"),
        (IMAGES[:400] * 255, IMAGES[400:], "times the scale on the median column"),
        (TABLE[:400], TABLE[400:] * 3 + 2, "another distribution on 100% of the columns"),
    ],
    ids=["raw images", "raw training images", "another place"],
)
def test_fires(train: np.ndarray, validation: np.ndarray, words: str) -> None:
    (finding,) = findings(inputs_differ_between_splits, logged_inputs=inputs(train, validation), run=make_run())
    assert finding.level is Severity.ERROR
    assert words in finding.message


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (TABLE[:400], TABLE[400:]),
        (IMAGES[:400], IMAGES[400:]),
        (np.column_stack([TABLE[:400], np.ones(400)]), np.column_stack([TABLE[400:], np.ones(200)])),
        (np.where(np.arange(8) == 0, TABLE[:400] * 50, TABLE[:400]), TABLE[400:]),
        (TABLE[:400], TABLE[400:410] * 100),
        (TABLE[:400], RANDOM.normal(size=(200, 5))),
    ],
    ids=["the same", "images", "a constant column", "one column", "ten rows", "other width"],
)
def test_quiet(train: np.ndarray, validation: np.ndarray) -> None:
    assert findings(inputs_differ_between_splits, logged_inputs=inputs(train, validation), run=make_run()) == ()


def test_quiet_where_other_classes_explain_other_inputs() -> None:
    given = inputs(TABLE[:400], TABLE[400:] + 2)
    labels = make_labels(counts(200, 200), counts(0, 0, 200))
    assert findings(inputs_differ_between_splits, logged_inputs=given, labels=labels, run=make_run()) == ()


def test_quiet_where_the_logged_inputs_are_not_what_fit_was_given() -> None:
    given = inputs(IMAGES[:400], IMAGES[400:] * 255)
    changed = {"logged_inputs": given, "run": make_run(), "input_transform": lambda array: array / 255}
    assert findings(inputs_differ_between_splits, **changed) == ()


def test_drift_by_design_is_information() -> None:
    given = inputs(TABLE[:400], TABLE[400:] + 2)
    run = make_run(params={"split": "temporal"})
    (finding,) = findings(inputs_differ_between_splits, logged_inputs=given, run=run)
    assert finding.level is Severity.INFO


def test_false_alarms_on_random_splits() -> None:
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(100):
        rows, columns = int(random.integers(60, 800)), int(random.integers(1, 40))
        table = random.lognormal(0, random.uniform(0.1, 2), (rows, columns)) * random.lognormal(0, 3, columns)
        cut = int(rows * 0.7)
        alarms += bool(
            findings(inputs_differ_between_splits, logged_inputs=inputs(table[:cut], table[cut:]), run=make_run())
        )
    assert alarms <= 1


def test_skipped_without_training_inputs() -> None:
    given = Inputs({"validation": TABLE}, {})
    assert outcome(inputs_differ_between_splits, logged_inputs=given, run=make_run()).status is Status.SKIPPED
