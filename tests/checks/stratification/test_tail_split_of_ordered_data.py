import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.tail_split_of_ordered_data import tail_split_of_ordered_data
from mlflow_clfaudit.evidence.history import ConstantOutput, RowCounts
from mlflow_clfaudit.evidence.run import Dataset
from mlflow_clfaudit.types import Grade, Severity, Status
from tests.checks.stratification.test_single_class_validation import SEED_004
from tests.kit import findings, make_fit, make_history, make_labels, make_served, outcome
from tests.runs import make_run

CUT = make_fit(validation_split=0.2)


def cut(codes: np.ndarray, fraction: float = 0.2) -> dict[str, object]:
    """The evidence of a run whose fit() was given these labels and cut the validation rows off."""
    at = int(len(codes) * (1.0 - fraction))
    labels = make_labels(codes[:at], codes[at:], whole=codes)
    return {"labels": labels, "fit": make_fit(validation_split=fraction), "run": make_run()}


def test_fires_on_seed_004() -> None:
    (finding,) = findings(tail_split_of_ordered_data, **cut(np.repeat([1, 0], [50, 767])))
    assert finding.level is Severity.ERROR
    assert "the last 164 of 817 rows" in finding.message
    assert finding.evidence["runs_z"] == pytest.approx(-28.4, abs=0.1)
    assert finding.evidence["tail_counts"] == [164, 0]
    assert finding.proof is not None
    assert finding.proof.grade is Grade.A
    assert "single-class-validation" in finding.explains


def test_seed_004_is_read_from_its_curves_alone() -> None:
    run = make_run(metrics=SEED_004, params={"validation_split": "0.2"})
    (finding,) = findings(tail_split_of_ordered_data, run=run)
    assert "603/653" in finding.message
    assert "164 of 817" in finding.message
    assert finding.evidence["chance"] == pytest.approx(9.2e-6, rel=0.01)
    assert finding.proof is not None
    assert finding.proof.grade is Grade.C


def test_a_slice_that_holds_none_of_the_common_class_is_read_from_its_curves() -> None:
    constant = ConstantOutput(603 / 653, 0.0, 0.14, 0.0745, 0.0745, "mean_squared_error")
    given = {"history": make_history(loss=[0.5]), "row_counts": RowCounts(653, 164, "the logged dataset")}
    (finding,) = findings(tail_split_of_ordered_data, run=make_run(), fit=CUT, constant_output=constant, **given)
    assert "validation accuracy at 0.0" in finding.message
    assert finding.evidence["chance"] < 1e-100


def test_quiet_where_a_random_slice_might_be_of_one_class() -> None:
    constant = ConstantOutput(0.99, 1.0, 0.01, 0.01, 0.01, "mean_squared_error")
    given = {"history": make_history(loss=[0.5]), "row_counts": RowCounts(100, 20, "the logged dataset")}
    assert findings(tail_split_of_ordered_data, run=make_run(), fit=CUT, constant_output=constant, **given) == ()


def test_quiet_on_curves_that_move() -> None:
    history = make_history(loss=[0.6, 0.4], accuracy=[0.7, 0.8], val_loss=[0.6, 0.5], val_accuracy=[0.7, 0.75])
    assert findings(tail_split_of_ordered_data, run=make_run(), fit=CUT, history=history) == ()


def test_the_balanced_accuracy_on_training_rows_is_told() -> None:
    given = cut(np.repeat([1, 0], [50, 767]))
    served = make_served(np.full(653, 0.14), np.repeat([1, 0], [50, 603]), held_out=False)
    (finding,) = findings(tail_split_of_ordered_data, **given, served=served)
    assert finding.evidence["balanced_accuracy_on_every_class"] == 0.5


def test_fires_on_rows_sorted_by_class() -> None:
    (finding,) = findings(tail_split_of_ordered_data, **cut(np.repeat(np.arange(5), 180)))
    assert finding.level is Severity.ERROR
    assert "5 of 5 classes are in one part only" in finding.message


def test_a_time_series_is_information() -> None:
    random = np.random.default_rng(0)
    codes = (random.uniform(size=1000) < np.linspace(0.05, 0.95, 1000)).astype(int)
    run = make_run(params={"validation_split": "0.2", "split": "chronological"})
    (finding,) = findings(tail_split_of_ordered_data, **cut(codes) | {"run": run})
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    "codes",
    [
        np.random.default_rng(1).integers(0, 2, 800),
        np.random.default_rng(2).integers(0, 17, 800),
        np.tile([0, 1], 400),
        # Ordered in blocks, but the tail has the shares of the head.
        np.tile(np.repeat([0, 1], 20), 20),
        np.zeros(800, int),
    ],
    ids=["random", "many classes", "alternating", "blocks", "one class"],
)
def test_quiet_on_other_orders(codes: np.ndarray) -> None:
    assert findings(tail_split_of_ordered_data, **cut(codes)) == ()


def test_quiet_where_validation_data_was_given() -> None:
    given = cut(np.repeat([1, 0], [50, 767])) | {"run": make_run(datasets=(Dataset("d", "eval", "0", "code"),))}
    assert findings(tail_split_of_ordered_data, **given) == ()


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({}, "neither labels nor curves"),
        (
            {
                "history": make_history(loss=[0.5]),
                "constant_output": ConstantOutput(0.9, 1.0, 0.1, 0.1, 0.1, "mean_squared_error"),
            },
            "the number of rows is not known",
        ),
    ],
    ids=["nothing logged", "rows not counted"],
)
def test_skipped_where_neither_labels_nor_curves_tell(evidence: dict[str, object], reason: str) -> None:
    result = outcome(tail_split_of_ordered_data, run=make_run(), fit=CUT, **evidence)
    assert result.status is Status.SKIPPED
    assert reason in result.reason


def test_skipped_where_nothing_was_cut() -> None:
    given = cut(np.repeat([1, 0], [50, 767])) | {"fit": make_fit()}
    assert outcome(tail_split_of_ordered_data, **given).status is Status.SKIPPED
