import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.softmax_on_wrong_axis import softmax_on_wrong_axis
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_served, proof_of

HEAD = make_head(3, "softmax", "categorical_crossentropy", softmax_axis=0)


def only(**given: object) -> Finding:
    (finding,) = findings(softmax_on_wrong_axis, **given)
    return finding


def test_fires_on_a_softmax_over_the_batch() -> None:
    assert only(head=HEAD).level is Severity.ERROR


def test_softmax_over_the_classes_is_the_proof() -> None:
    truth = np.tile([0, 1, 2], 50)
    logits = np.eye(3)[truth] * 2 + np.random.default_rng(0).normal(0, 0.3, (150, 3)) + np.arange(150)[:, None] / 10
    columns = np.exp(logits) / np.exp(logits).sum(axis=0) * [50.0, 1.0, 1.0]
    finding = only(head=HEAD, served=make_served(columns, truth, head=HEAD, logits=logits))
    assert proof_of(finding).grade is Grade.B
    assert proof_of(finding).after == 1.0


def test_rows_that_do_not_sum_to_1_are_exact_proof() -> None:
    truth = np.tile([0, 1, 2], 50)
    finding = only(head=HEAD, served=make_served(np.eye(3)[truth] / 50, truth, head=HEAD))
    assert proof_of(finding).grade is Grade.A
    assert finding.evidence["row_sum_max"] == pytest.approx(0.02)


def test_logits_that_decide_no_better_leave_the_sums() -> None:
    truth = np.tile([0, 1, 2], 50)
    finding = only(head=HEAD, served=make_served(np.eye(3)[truth] / 50, truth, head=HEAD, logits=np.eye(3)[truth]))
    assert proof_of(finding).metric == "sum of a row"


def test_rows_that_sum_to_1_all_the_same_are_a_warning() -> None:
    truth = np.tile([0, 1, 2], 50)
    finding = only(head=HEAD, served=make_served(np.eye(3)[truth], truth, head=HEAD))
    assert finding.level is Severity.WARN
    assert finding.unproven == "the served rows sum to 1 all the same"


@pytest.mark.parametrize(
    "head",
    [
        make_head(3, "softmax"),
        make_head(3, "softmax", softmax_axis=1),
        make_head(3, "softmax", softmax_axis=1, rank=4),
        make_head(3, "sigmoid"),
    ],
    ids=["last axis", "axis 1 of 2", "channels first", "sigmoid"],
)
def test_quiet_on_the_classes_axis(head: Head) -> None:
    assert findings(softmax_on_wrong_axis, head=head) == ()
