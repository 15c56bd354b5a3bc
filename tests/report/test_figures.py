"""The numbers behind the pictures: aggregates of evidence that is there, and of nothing else."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.reproduction import Reproduction
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.evidence.units import LayerActivity
from mlflow_clfaudit.evidence.weights import TensorGradient
from mlflow_clfaudit.report.class_figures import MAX_CLASSES, shares
from mlflow_clfaudit.report.figures import figures
from mlflow_clfaudit.report.served_figures import confusion, reduced, reliability, scores, thresholds, worst_classes
from mlflow_clfaudit.report.training_figures import MAX_LAYERS, MAX_POINTS, curves, layers, thinned
from tests.kit import make_continued, make_head, make_history, make_labels, make_served


def test_nothing_is_computed_for_a_picture() -> None:
    evidence = Evidence({"run": Run("r")})
    assert figures(evidence) == {}
    assert evidence.seconds == {}


def test_every_figure_of_a_whole_run() -> None:
    random = np.random.default_rng(0)
    truth = np.arange(200) % 2
    found = figures(
        Evidence(
            {
                "served": make_served(random.random(200), truth),
                "history": make_history(loss=[1.0, np.nan, np.inf]),
                "labels": make_labels(train=truth, validation=truth),
            }
        )
    )
    assert set(found) == {"quality", "confusion", "reliability", "scores", "thresholds", "curves", "shares"}
    assert found["curves"]["series"]["loss"]["y"] == [1.0, None, None]
    json.dumps(found, allow_nan=False)


def test_every_short_training_is_listed_once() -> None:
    truth = np.arange(40) % 2
    poor = make_served(np.full(40, 0.9), truth)
    logged, tenfold = make_continued(poor, np.full(40, 0.9)), make_continued(poor, truth * 0.9, factor=10.0)
    known = {
        "continuation_trial": logged,
        "learning_rate_trials": (logged, tenfold),
        "scaled_trials": Contrast(control=logged, changed=make_continued(poor, truth * 0.9)),
    }
    found = figures(Evidence(known))["trainings"]["tried"]
    assert [(item["before"], item["after"]) for item in found] == [(0.5, 0.5), (0.5, 1.0), (0.5, 1.0)]
    json.dumps(found, allow_nan=False)


def test_quality_beside_what_the_largest_class_gives() -> None:
    found = figures(Evidence({"served": make_served([0.9, 0.8, 0.2, 0.7], [1, 1, 0, 0])}))["quality"]
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == 0.75
    assert found["majority_share"] == 0.5
    assert found["area_under_curve"] == 1.0
    assert found["rows"] == 4
    assert found["held_out"] is True


def test_a_picture_that_fails_is_named_and_costs_no_other() -> None:
    found = figures(Evidence({"served": make_served([0.9, 0.2], [1, 0]), "history": "no history"}))
    assert found["undrawn"] == {"curves": "AttributeError: 'str' object has no attribute 'loss'"}
    assert "confusion" in found


def test_no_row_of_the_user_is_kept() -> None:
    """The figures of many rows are as small as those of few."""

    def size(rows: int) -> int:
        truth = np.arange(rows) % 2
        outputs = np.random.default_rng(0).random(rows)
        given: dict[str, Any] = {"served": make_served(outputs, truth), "labels": make_labels(train=truth)}
        return len(json.dumps(figures(Evidence(given))))

    assert size(50_000) < 1.5 * size(500)


# Curves


def test_short_curves_are_whole() -> None:
    found = curves(make_history(loss=[3, 2, 1], val_loss=[4, 4, 4], accuracy=[0.1, 0.2, 0.3], val_acc=[0.1, 0.1, 0.1]))
    assert found is not None
    assert found["epochs"] == 3
    assert found["series"]["loss"] == {"x": [1, 2, 3], "y": [3, 2, 1]}
    assert set(found["series"]) == {"loss", "val_loss", "accuracy", "val_accuracy"}


def test_long_curves_keep_their_ends_and_extremes() -> None:
    values = np.sin(np.arange(10_000) / 50)
    values[5_001], values[7_003] = 9.0, -9.0
    found = thinned(values)
    assert len(found["x"]) <= MAX_POINTS
    assert found["x"][0] == 1
    assert found["x"][-1] == 10_000
    assert max(found["y"]) == 9.0
    assert min(found["y"]) == -9.0
    assert found["x"] == sorted(found["x"])


def test_a_single_epoch_that_was_not_finite_survives_thinning() -> None:
    values = np.ones(5_000)
    values[1_234] = np.nan
    assert 1_235 in thinned(values)["x"]


def test_the_epoch_of_the_restored_weights_is_marked() -> None:
    restored = Run("r", metrics={"restored_epoch": (np.array([0]), np.array([4.0]))})
    given = {"run": restored, "history": make_history(loss=np.ones(9))}
    assert figures(Evidence(given))["curves"]["saved_epoch"] == 5
    assert figures(Evidence({**given, "run": Run("r")}))["curves"]["saved_epoch"] is None


@pytest.mark.parametrize(("losses", "epoch"), [([0.9, 0.5, 0.7], 2), ([0.5, 0.5, 0.7], None), ([0.9, 0.4, 0.7], None)])
def test_the_epoch_whose_loss_the_saved_weights_give_is_marked(losses: list[float], epoch: int | None) -> None:
    """Not where two epochs had that loss, nor where none had."""
    reproduced = Reproduction("validation", 100, 0.5, {}, np.array(losses))
    given = {"run": Run("r"), "history": make_history(loss=np.ones(3)), "reproduction": reproduced}
    assert figures(Evidence(given))["curves"]["saved_epoch"] == epoch


def test_no_curves_without_points() -> None:
    assert curves(make_history(other=[1.0])) is None


# Confusion


def test_rows_are_true_and_columns_served() -> None:
    found = confusion(make_served([0.9, 0.8, 0.2, 0.7], [1, 1, 0, 0]), make_labels(train=[0, 1], names=["cat", "dog"]))
    assert found is not None
    assert found["matrix"] == [[1, 1], [0, 2]]
    assert found["labels"] == ["cat", "dog"]
    assert found["right"] == 3


def test_string_labels_name_their_classes() -> None:
    served = make_served(np.eye(3), [0, 1, 2])
    labels = make_labels(train=np.array(["ape", "bee", "cow"]))
    found = confusion(served, labels)
    assert found is not None
    assert found["labels"] == ["ape", "bee", "cow"]
    unnamed = confusion(served, make_labels(train=[0, 1]))
    assert unnamed is not None
    assert unnamed["labels"] == ["0", "1", "2"]


def test_of_many_classes_the_worst_are_kept_and_no_row_is_lost() -> None:
    truth = np.repeat(np.arange(100), 10)
    decision = truth.copy()
    decision[truth == 77] = 3
    found = confusion(make_served(np.eye(100)[decision], truth))
    assert found is not None
    matrix = np.array(found["matrix"])
    assert len(found["indices"]) == MAX_CLASSES
    assert {3, 77} <= set(found["indices"])
    assert found["labels"][-1] == "70 other classes"
    assert matrix.shape == (31, 31)
    assert matrix.sum() == 1_000
    assert matrix[found["indices"].index(77), found["indices"].index(3)] == 10
    assert found["right"] == 990
    assert found["classes"] == 100


def test_thousands_of_classes_have_no_matrix() -> None:
    served = make_served(np.zeros((2, 6_000)), [0, 5_999])
    assert confusion(served) is None


def test_reduced_sums_what_is_left_out() -> None:
    matrix = np.arange(9).reshape(3, 3)
    assert reduced(matrix, [0, 1, 2]) == matrix.tolist()
    assert reduced(matrix, [1]) == [[4, 3 + 5], [1 + 7, 0 + 2 + 6 + 8]]
    assert worst_classes(matrix, 1) == [2]


# Scores and confidence


def test_confidence_against_how_often_it_is_right() -> None:
    found = reliability(make_served([0.95, 0.95, 0.95, 0.95, 0.35], [1, 1, 1, 0, 0]))
    assert found is not None
    assert [item["rows"] for item in found["bins"]] == [1, 4]
    assert found["bins"][1]["confidence"] == pytest.approx(0.95)
    assert found["bins"][1]["accuracy"] == 0.75
    assert found["expected_calibration_error"] == pytest.approx((4 * 0.2 + 1 * 0.35) / 5)


def test_outputs_that_are_no_probabilities_have_no_reliability() -> None:
    linear = make_head(activation="linear", loss="mean_squared_error")
    assert reliability(make_served([3.0, -2.0], [1, 0], head=linear)) is None
    assert reliability(make_served([np.nan, 0.5], [1, 0])) is None


def test_scores_by_class_with_the_threshold() -> None:
    found = scores(make_served([0.9, 0.8, 0.2, 0.7], [1, 1, 0, 0]))
    assert found is not None
    assert [sum(count) for count in found["counts"]] == [2, 2]
    assert found["edges"][0] == 0.0
    assert found["edges"][-1] == 1.0
    assert found["threshold"] == 0.5
    assert found["above"] == [1, 2]


def test_one_wild_score_does_not_hide_the_others() -> None:
    logits = make_head(activation="linear", loss_options={"from_logits": True})
    values = np.append(np.linspace(-2, 2, 999), 1e9)
    found = scores(make_served(values, np.arange(1_000) % 2, head=logits))
    assert found is not None
    assert found["threshold"] == 0.0
    assert found["edges"][-1] < 10
    assert sum(map(sum, found["counts"])) == 1_000
    assert found["beyond"] >= 1


def test_only_binary_finite_scores_have_a_histogram() -> None:
    assert scores(make_served(np.eye(3), [0, 1, 2])) is None
    assert scores(make_served([np.inf, 0.2], [1, 0])) is None
    constant = scores(make_served([5.0, 5.0], [1, 0], head=make_head(activation="linear")))
    assert constant is not None
    assert sum(map(sum, constant["counts"])) == 2


def test_what_each_threshold_would_give() -> None:
    found = thresholds(make_served([0.9, 0.8, 0.2, 0.7], [1, 1, 0, 0]))
    assert found is not None
    assert found["x"] == sorted(found["x"])
    by_threshold = dict(zip(found["x"], found["balanced_accuracy"], strict=True))
    assert by_threshold[0.0] == 0.5
    assert by_threshold[0.5] == 0.75
    assert by_threshold[0.75] == 1.0
    assert found["threshold"] == 0.5
    assert thresholds(make_served([0.9, 0.8], [1, 1])) is None
    assert thresholds(make_served(np.eye(3), [0, 1, 2])) is None


def test_thresholds_are_drawn_where_the_scores_are() -> None:
    random = np.random.default_rng(0)
    truth = np.arange(1_000) % 2
    close = 0.9 + 1e-4 * (truth + random.normal(size=1_000))
    found = thresholds(make_served(close, truth))
    assert found is not None
    assert max(found["balanced_accuracy"]) == pytest.approx(area_best(truth, close), abs=0.02)


def area_best(truth: np.ndarray, scores: np.ndarray) -> float:
    return max(float(np.mean(scores[truth == 1] > cut) + np.mean(scores[truth == 0] <= cut)) / 2 for cut in scores)


# Layers


def test_layers_in_the_order_of_the_network() -> None:
    gradients = (
        TensorGradient("first", (4, 8), 0.25),
        TensorGradient("first", (8,), 9.0),
        TensorGradient("last", (8, 1), 0.5),
    )
    activity = (
        LayerActivity("first", "relu", 8, 100, dead=0.5),
        LayerActivity("middle", "tanh", 8, 100, saturated=0.1),
    )
    found = layers(gradients, activity, ["first", "middle", "last"])
    assert found is not None
    assert [layer["layer"] for layer in found["layers"]] == ["first", "middle", "last"]
    assert [layer["gradient"] for layer in found["layers"]] == [0.25, None, 0.5]
    assert [layer["dead"] for layer in found["layers"]] == [0.5, None, None]
    assert found["layers"][1]["saturated"] == 0.1


def test_of_many_layers_the_first_and_the_last_are_kept() -> None:
    found = layers([TensorGradient(f"dense_{place}", (2, 2), 1.0) for place in range(100)], [])
    assert found is not None
    names = [layer["layer"] for layer in found["layers"]]
    assert (len(names), found["count"]) == (MAX_LAYERS, 100)
    assert (names[0], names[-1]) == ("dense_0", "dense_99")
    assert layers([], []) is None


# Shares


def test_shares_of_each_split() -> None:
    found = shares(make_labels(train=[0, 0, 1, 1], validation=[0, 0, 0, 2], names=["a", "b", "c"]))
    assert found is not None
    assert found["labels"] == ["a", "b", "c"]
    assert found["splits"] == {"train": [0.5, 0.5, 0.0], "validation": [0.75, 0.0, 0.25]}
    assert found["rows"] == {"train": 4, "validation": 4}


def test_shares_count_numbers_in_their_order_and_cap_the_classes() -> None:
    found = shares(make_labels(train=np.repeat(np.arange(100), np.arange(1, 101))))
    assert found is not None
    assert found["labels"] == [str(code) for code in range(70, 100)]
    assert found["classes"] == 100
    assert found["splits"]["train"][-1] == pytest.approx(100 / 5050)


def test_labels_without_one_class_a_row_have_no_shares() -> None:
    assert shares(make_labels(train=np.array([[1, 1, 0], [0, 1, 1]]))) is None
    assert shares(make_labels(train=np.array([0.25, 0.5]))) is None
