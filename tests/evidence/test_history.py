from dataclasses import replace

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.fit_arguments import FitArguments, fit
from mlflow_clfaudit.evidence.history import ConstantOutput, History, RowCounts, history
from mlflow_clfaudit.evidence.reader import read_run
from mlflow_clfaudit.evidence.run import Dataset
from mlflow_clfaudit.evidence.spec import Loss
from tests.checks.stratification.test_single_class_validation import MAJORITY, SEED_004
from tests.runs import make_run


def counted(**fields: object) -> RowCounts:
    found = Evidence({"run": make_run(**fields)}).get("row_counts")
    assert isinstance(found, RowCounts)
    return found


def test_curves_without_mlflows_duplicates() -> None:
    found = history(make_run(metrics=SEED_004 | {"validation_loss": [0.1] * 6, "learning_rate": [0.01] * 6}))
    assert set(found.train) == {"loss", "accuracy"}
    assert set(found.validation) == {"loss", "accuracy"}
    assert found.epochs == 6
    assert found.learning_rate is not None
    with pytest.raises(Missing):
        history(make_run(metrics={"test_score": [0.3]}))


def test_the_step_that_early_stopping_adds_is_left_out() -> None:
    metrics = {"loss": [1.0, 0.5, 0.6, 0.5], "val_loss": [1.0, 0.4, 0.7, 0.4]}
    run = make_run(metrics=metrics | {"stopped_epoch": [2.0], "restored_epoch": [1.0]})
    assert history(run).epochs == 3


def test_several_fits_in_one_run_are_joined_by_their_time(tracking_uri: str) -> None:
    client = MlflowClient()
    with mlflow.start_run() as active:
        for number, start in enumerate((1.0, 0.4)):
            for step in range(3):
                client.log_metric(active.info.run_id, "loss", start - step / 10, 1_000 * number + step, step)
    found = history(read_run(active.info.run_id))
    assert found.loss is not None
    assert found.loss.tolist() == pytest.approx([1.0, 0.9, 0.8, 0.4, 0.3, 0.2])
    assert found.fits == 2


def test_curves_by_batch_are_read_at_the_ends_of_the_epochs() -> None:
    steps = np.arange(10, 310, 10)
    run = make_run(params={"epochs": "3"})
    logged = replace(run, metrics={"loss": (steps, np.linspace(1.0, 0.1, 30))})
    found = Evidence({"run": logged}).get("history")
    assert isinstance(found, History)
    assert found.epochs == 3
    assert found.loss is not None
    assert found.loss.tolist() == np.linspace(1.0, 0.1, 30)[[9, 19, 29]].tolist()
    unknown = replace(logged, params={})
    assert history(unknown).epochs == 30


def test_names_that_others_give_their_curves() -> None:
    metrics = {"train_loss": [0.9, 0.5], "valid_loss": [0.9, 0.6], "train/f1": [0.1, 0.2], "acc_top1": [0.5, 0.7]}
    found = history(make_run(metrics=metrics), Overrides(metrics={"accuracy": "acc_top1"}))
    assert set(found.train) == {"loss", "f1", "accuracy"}
    assert set(found.validation) == {"loss"}
    assert found.accuracy is not None
    assert found.accuracy.tolist() == [0.5, 0.7]


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("{0: 1, 1: 19}", {0: 1, 1: 19}),
        ("{0: np.float64(0.52), 1: np.float64(9.5)}", {0: 0.52, 1: 9.5}),
        ("{np.int64(0): 0.5, np.int64(1): 2.0}", {0: 0.5, 1: 2.0}),
        ("{'0': 1.0}", {"0": 1.0}),
        ("None", None),
        ("__import__('os')", None),
    ],
)
def test_class_weights_are_read_as_they_were_written(text: str, weights: object) -> None:
    assert fit(make_run(params={"class_weight": text})).class_weight == weights


def test_fit_arguments() -> None:
    params = {
        "epochs": "50",
        "batch_size": "None",
        "validation_split": "0.2",
        "shuffle": "False",
        "monitor": "val_loss",
    }
    found = fit(make_run(params=params | {"optimizer_name": "SGD", "optimizer_learning_rate": "0.01"}))
    assert (found.epochs, found.batch_size, found.validation_split, found.shuffle) == (50, None, 0.2, False)
    assert (found.optimizer, found.learning_rate, found.callbacks) == ("sgd", 0.01, {"monitor": "val_loss"})
    assert fit(make_run()) == FitArguments()


def test_rows_are_counted_from_the_accuracies() -> None:
    assert counted(metrics=SEED_004, params={"validation_split": "0.2"}) == RowCounts(
        653, 164, "the logged accuracies, which are counts of whole rows"
    )


@pytest.mark.parametrize("rows", [90, 400, 1797, 2400])
def test_rows_are_counted_for_other_sizes(rows: int) -> None:
    random = np.random.default_rng(rows)
    train = int(rows * 0.75)
    curve = (random.integers(train // 2, train, 10).astype(np.float32) / np.float32(train)).astype(float).tolist()
    held_out = random.integers(0, rows - train, 10).astype(np.float32) / np.float32(rows - train)
    metrics = {"loss": [1.0] * 10, "accuracy": curve, "val_accuracy": held_out.astype(float).tolist()}
    found = counted(metrics=metrics, params={"validation_split": "0.25"})
    assert (found.train, found.validation) == (train, rows - train)


def test_the_logged_datasets_are_believed_first() -> None:
    whole = Dataset("d", "train", "0", "code", {"features_shape": [817, 5]})
    found = counted(metrics=SEED_004, params={"validation_split": "0.2"}, datasets=(whole,))
    assert (found.train, found.validation, found.total) == (653, 164, 817)
    held_out = Dataset("d", "eval", "0", "code", {"features_shape": [50, 5]})
    found = counted(metrics=SEED_004, datasets=(whole, held_out))
    assert (found.train, found.validation) == (817, 50)


def test_accuracies_of_no_common_size_tell_nothing() -> None:
    random = np.random.default_rng(0)
    run = make_run(metrics={"loss": [1.0] * 10, "accuracy": random.uniform(0.5, 1, 10).tolist()})
    assert Evidence({"run": run}).find("row_counts") is None


def test_one_output_for_every_row_is_told_from_the_losses() -> None:
    found = Evidence({"run": make_run(metrics=SEED_004)}).get("constant_output")
    assert isinstance(found, ConstantOutput)
    assert found.value == pytest.approx(0.1386, abs=0.0005)
    assert found.loss_name == "mean_squared_error"


def test_the_same_under_cross_entropy() -> None:
    output, share = 0.2, 1 - MAJORITY
    train, held_out = -(share * np.log(output) + (1 - share) * np.log(1 - output)), -np.log(1 - output)
    curves = {
        "loss": [float(train)] * 4,
        "accuracy": [MAJORITY] * 4,
        "val_loss": [held_out] * 4,
        "val_accuracy": [1.0] * 4,
    }
    found = Evidence({"run": make_run(metrics=curves), "loss": Loss("binary_crossentropy")}).get("constant_output")
    assert found.value == pytest.approx(output)
    other = Evidence({"run": make_run(metrics=curves), "loss": Loss("mean_squared_error")})
    assert other.find("constant_output") is None
