import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.evaluation_too_small import evaluation_too_small
from mlflow_clfaudit.types import Severity, Status
from tests.kit import findings, make_history, make_labels, outcome


def test_fires_on_few_rows_and_on_few_rows_of_a_class() -> None:
    (finding,) = findings(evaluation_too_small, labels=make_labels(np.arange(300) % 2, np.arange(40) % 2))
    assert finding.level is Severity.INFO
    assert "40 validation rows" in finding.message
    labels = make_labels(np.arange(3000) % 2, np.repeat([0, 1], [1000, 4]))
    (finding,) = findings(evaluation_too_small, labels=labels)
    assert "1 classes have fewer than 10 rows" in finding.message


@pytest.mark.parametrize("rows", [400, 5000])
def test_quiet_on_enough_rows(rows: int) -> None:
    labels = make_labels(np.arange(3000) % 2, np.arange(rows) % 2)
    assert findings(evaluation_too_small, labels=labels, history=make_history(val_accuracy=[0.9])) == ()


def test_skipped_without_held_out_labels() -> None:
    assert outcome(evaluation_too_small, labels=make_labels(np.arange(300) % 2)).status is Status.SKIPPED
