import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.label_noise_ceiling import label_noise_ceiling
from mlflow_clfaudit.evidence.inputs import RowHashes
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_history, make_labels, proof_of


def hashes(values: object) -> RowHashes:
    return RowHashes({"train": np.asarray(values, dtype=np.uint64)})


def test_equal_rows_that_disagree_bound_the_accuracy() -> None:
    rows = np.repeat(np.arange(20), 5)
    labels = np.tile([0, 0, 0, 1, 1], 20)
    history = make_history(accuracy=[0.5, 0.6])
    (finding,) = findings(
        label_noise_ceiling, row_hashes=hashes(rows), labels=make_labels(train=labels), history=history
    )
    assert finding.level is Severity.INFO
    assert proof_of(finding).before == pytest.approx(0.6)
    assert "60.0% of 100 training rows (logged: 60.0%)" in finding.message


def test_text_labels() -> None:
    labels = make_labels(train=["a", "b"] * 30)
    (finding,) = findings(label_noise_ceiling, row_hashes=hashes([7] * 60), labels=labels)
    assert finding.evidence["ceiling"] == 0.5


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (range(60), [0, 1] * 30),
        ([3, 4] * 30, [0, 1] * 30),
        ([1, *range(1, 300)], [0, 1] * 150),
        ([1] * 30, [0, 1] * 30),
        ([1] * 60, [1] * 60),
    ],
    ids=["distinct rows", "equal and agreeing", "one pair", "other length", "one class"],
)
def test_quiet_otherwise(rows: object, labels: list[int]) -> None:
    given = hashes(list(rows))  # type: ignore[call-overload]
    assert findings(label_noise_ceiling, row_hashes=given, labels=make_labels(train=labels)) == ()
