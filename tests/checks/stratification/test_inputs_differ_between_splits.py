from collections.abc import Callable

import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.inputs_differ_between_splits import inputs_differ_between_splits
from mlflow_clfaudit.evidence.inputs import Inputs, Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.types import Finding, Grade, Severity, Status
from tests.checks.stratification.test_class_shift import counts
from tests.kit import findings, make_head, make_labels, outcome, proof_of
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


def test_columns_that_vary_in_neither_split_say_nothing() -> None:
    given = inputs(np.ones((400, 8)), np.ones((200, 8)))
    assert findings(inputs_differ_between_splits, logged_inputs=given, run=make_run()) == ()


def judged(answer: Callable[[np.ndarray], np.ndarray], *splits: str) -> Finding:
    """Rows of 8 numbers that are 255 times as large for validation, judged by a model that answers them so."""

    class Model:
        def predict_on_batch(self, rows: np.ndarray) -> np.ndarray:
            return answer(rows)

    model, table = Model(), np.random.default_rng(1).uniform(0, 1, (600, 8))
    given = inputs(table[:400], table[400:] * 255)
    truth = LabelSet((table[400:, 0] > 0.5).astype(int))
    rows = {split: Rows(split, given.splits[split], truth, held_out=True) for split in splits}
    (finding,) = findings(
        inputs_differ_between_splits,
        logged_inputs=given,
        inputs=given,
        run=make_run(),
        network=Network(model, None, lambda: model, "", "CPU"),
        head=make_head(),
        rows=rows,
    )
    return finding


def test_the_transform_that_makes_the_model_right_proves_it() -> None:
    finding = judged(lambda rows: (rows[:, :1] > 0.5).astype(float), "validation")
    proof = proof_of(finding)
    assert (finding.evidence["transform"], proof.grade) == ("x / 255", Grade.B)
    assert proof.before < 0.6
    assert proof.after == 1.0


def test_a_model_that_no_transform_helps_leaves_the_counted_columns() -> None:
    assert proof_of(judged(lambda rows: np.full((len(rows), 1), 0.9), "validation")).grade is Grade.C


def test_rows_without_labels_prove_nothing() -> None:
    assert "the validation inputs have no labels" in judged(lambda rows: rows[:, :1]).unproven


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
