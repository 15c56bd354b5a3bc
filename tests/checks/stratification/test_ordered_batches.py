import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.ordered_batches import ordered_batches
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.kit import TRUTH, findings, make_continued, make_fit, make_labels, make_served, outcome, proof_of, surer

SORTED = np.repeat([0, 1, 2], 200)


def test_fires_on_sorted_rows_that_are_not_shuffled() -> None:
    (finding,) = findings(ordered_batches, fit=make_fit(shuffle=False), labels=make_labels(SORTED))
    assert finding.level is Severity.WARN
    assert finding.evidence["single_class_batches"] > 0.8


def test_fires_where_batches_hold_few_of_many_classes() -> None:
    codes = np.repeat(np.arange(10), 20)
    (finding,) = findings(ordered_batches, fit=make_fit(shuffle=False), labels=make_labels(codes))
    assert "a batch holds 2.1 classes; in random order it would hold 9.7" in finding.message


def test_training_on_in_random_order_proves_it() -> None:
    unsure = make_served(surer(0.6), TRUTH)
    trial = make_continued(unsure, surer(0.8))
    given = {"fit": make_fit(shuffle=False), "labels": make_labels(SORTED), "served": unsure}
    (finding,) = findings(ordered_batches, **given, continuation_trial=trial)
    assert finding.level is Severity.WARN
    assert "5 epochs more in random order lift U 0.20 → 0.48" in finding.message
    assert proof_of(finding).grade is Grade.B


def test_a_good_net_makes_it_information() -> None:
    served = make_served(np.eye(3)[np.arange(90) % 3], np.arange(90) % 3)
    (finding,) = findings(ordered_batches, fit=make_fit(shuffle=False), labels=make_labels(SORTED), served=served)
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    ("shuffle", "codes"),
    [
        (True, SORTED),
        (False, np.random.default_rng(0).permutation(SORTED)),
        (False, np.tile([0, 1], 300)),
        (False, np.repeat(np.tile([0, 1], 100), 3)),
    ],
    ids=["shuffled by fit", "random order", "alternating", "runs that are shorter than a batch"],
)
def test_quiet(shuffle: bool, codes: np.ndarray) -> None:
    assert findings(ordered_batches, fit=make_fit(shuffle=shuffle), labels=make_labels(codes)) == ()


def test_skipped_where_it_is_not_known_whether_fit_shuffled() -> None:
    assert outcome(ordered_batches, fit=make_fit(), labels=make_labels(SORTED)).status is Status.SKIPPED
