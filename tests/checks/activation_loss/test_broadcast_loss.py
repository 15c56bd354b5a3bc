from dataclasses import replace

import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.broadcast_loss import broadcast_loss
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_history, make_labels, make_served, proof_of

TRUTH = np.tile([0, 1, 2], 40)
WIDE = make_head(3, "softmax", "mean_squared_error")
NARROW = make_head(1, "sigmoid", "mean_squared_error")
OUTPUTS = np.full((120, 3), 1 / 3)


def evidence(head: Head, values: np.ndarray, outputs: np.ndarray, truth: np.ndarray, loss: float) -> dict[str, object]:
    labels = LabelSet(values)
    return {
        "head": head,
        "labels": Labels({"train": labels, "validation": labels}),
        "served": make_served(outputs, truth, head=head),
        "evaluation_rows": Rows("validation", np.zeros((len(truth), 2)), labels, held_out=True),
        "history": make_history(loss=[1.0, loss], val_loss=[1.0, loss]),
    }


def only(**given: object) -> Finding:
    (finding,) = findings(broadcast_loss, **given)
    return finding


def test_class_numbers_against_every_unit() -> None:
    loss = float(np.mean((OUTPUTS - TRUTH[:, None]) ** 2))
    finding = only(**evidence(WIDE, TRUTH, OUTPUTS, TRUTH, loss))
    assert finding.level is Severity.BLOCKER
    assert proof_of(finding).grade is Grade.A
    assert proof_of(finding).before == pytest.approx(loss)
    assert finding.fix == "y = keras.utils.to_categorical(y)"


def test_one_hot_labels_against_one_unit() -> None:
    truth = np.tile([0, 1], 60)
    outputs = np.full(120, 0.5)
    found = evidence(NARROW, np.eye(2)[truth], outputs, truth, 0.25)
    # At .5 the aligned loss is .25 too: only outputs that differ can tell.
    assert findings(broadcast_loss, **found) == ()
    outputs = np.where(truth == 1, 0.6, 0.45)
    stretched = float(np.mean((outputs[:, None] - np.eye(2)[truth]) ** 2))
    finding = only(**evidence(NARROW, np.eye(2)[truth], outputs, truth, stretched))
    assert "(N, 2) and outputs (N, 1)" in finding.message


def test_quiet_where_the_aligned_formula_gives_the_logged_loss() -> None:
    loss = float(np.mean((OUTPUTS - np.eye(3)[TRUTH]) ** 2))
    assert findings(broadcast_loss, **evidence(WIDE, TRUTH, OUTPUTS, TRUTH, loss)) == ()


def test_quiet_where_neither_formula_gives_it() -> None:
    assert findings(broadcast_loss, **evidence(WIDE, TRUTH, OUTPUTS, TRUTH, 7.0)) == ()


def test_without_rows_only_a_column_of_labels_is_a_warning() -> None:
    column = LabelSet(TRUTH, column=True)
    assert only(head=WIDE, labels=Labels({"train": column})).level is Severity.WARN
    flat = replace(column, column=False)
    assert findings(broadcast_loss, head=WIDE, labels=Labels({"train": flat})) == ()


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (make_head(3, "softmax", "sparse_categorical_crossentropy"), TRUTH),
        (make_head(3, "softmax", "categorical_hinge"), np.eye(3)[TRUTH]),
        (make_head(1, "sigmoid", "mean_squared_error"), np.tile([0, 1], 60)),
        (make_head(3, "softmax", "mean_squared_error"), np.eye(3)[TRUTH]),
        (make_head(3, "softmax", None), TRUTH),
    ],
    ids=["cross-entropy", "categorical hinge", "one unit", "one-hot", "no loss"],
)
def test_quiet_where_shapes_agree_or_are_refused(head: Head, values: np.ndarray) -> None:
    assert findings(broadcast_loss, head=head, labels=make_labels(train=values)) == ()
