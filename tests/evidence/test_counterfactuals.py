"""Real short trainings of a real network: what each question trains, and what is said where it cannot be trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.budget import Budget
from mlflow_clfaudit.evidence.counterfactuals import (
    continuation_trial,
    learning_rate_trials,
    rectified_trials,
    redrawn_trials,
    scaled_trials,
    slower_trials,
    unfrozen_trials,
    unregularised_trials,
    wider_trials,
)
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.retraining import Retrainer
from mlflow_clfaudit.evidence.served import Served, Trial
from tests.kit import make_fit, make_head, make_spec

pytestmark = pytest.mark.slow

HEAD = make_head(layer="head", name="head")


def rows(seed: int, *, scale: float = 1.0) -> Served:
    """Two classes that a line through the origin separates."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(200, 2)).astype("float32")
    truth = (x.sum(axis=1) > 0).astype("int64")
    return Served("validation", True, HEAD, np.full((200, 1), 0.5), truth, 2, inputs=x * scale)


def retrainer(*layers: Any, rate: float = 0.01, scale: float = 1.0, budget: float = 20.0, **fit: Any) -> Retrainer:
    """One of a network of these hidden layers that was never trained."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1, "sigmoid", name="head")])
    network = Network(model, None, lambda: keras.models.clone_model(model), "tensorflow", "CPU")
    given = {"epochs": 20, "batch_size": 20, "optimizer": "adam", "learning_rate": rate, **fit}
    trial = Trial(rows(0, scale=scale), rows(1, scale=scale))
    return Retrainer(network, trial, make_spec(HEAD), HEAD, make_fit(**given), Budget(budget))


def dense(units: int = 8, activation: str = "relu", **options: Any) -> Any:
    return keras.layers.Dense(units, activation, **options)


def test_a_learning_rate_that_was_too_small_is_found_and_one_too_large() -> None:
    given = retrainer(dense(), rate=1e-5)
    trials = learning_rate_trials(continuation_trial(given), given)
    assert [item.factor for item in trials] == [1, 10, 100]
    assert trials[2].loss_after < trials[1].loss_after < trials[0].loss_after
    slower = slower_trials(retrainer(dense(), rate=30.0))
    assert slower[-1].changed.after.has_learnt()
    assert not any(item.changed.after.has_learnt() for item in slower[:-1])


def test_inputs_of_another_size_are_learnt_from_once_they_are_standardised() -> None:
    found = scaled_trials(retrainer(dense(8, "tanh"), scale=1e-3))
    assert found.changed.after.balanced_accuracy > found.control.after.balanced_accuracy + 0.05


@pytest.mark.parametrize(
    ("question", "layers"),
    [
        (rectified_trials, [*(dense(8, "sigmoid") for _ in range(9))]),
        (redrawn_trials, [dense(8, "relu", kernel_initializer="zeros")]),
        (unfrozen_trials, [dense(8, "tanh", kernel_initializer="zeros", trainable=False)]),
        (unregularised_trials, [dense(8), keras.layers.Dropout(0.97), keras.layers.ActivityRegularization(l2=0.0)]),
    ],
    ids=["hidden sigmoids", "weights of nothing", "a frozen layer", "dropout"],
)
def test_what_kept_a_network_from_learning_is_mended(question: Any, layers: list[Any]) -> None:
    found = question(retrainer(*layers))
    assert found.changed.after.skill > found.control.after.skill + 0.05


def test_a_wider_network_is_trained_beside_the_logged_one() -> None:
    found = wider_trials(retrainer(dense(1)))
    assert found.changed.after.balanced_accuracy >= found.control.after.balanced_accuracy - 0.05
    assert found.changed.change == "trained anew, narrowest layers widened"


def test_each_training_is_made_once_and_none_beyond_the_budget() -> None:
    given = retrainer(dense())
    assert continuation_trial(given) is continuation_trial(given)
    given.budget.seconds = 0.0
    assert continuation_trial(given).factor == 1
    assert len(learning_rate_trials(continuation_trial(given), given)) == 1
    with pytest.raises(Missing, match="used up"):
        slower_trials(given)


def test_what_cannot_be_trained_says_why() -> None:
    frozen = retrainer(dense())
    frozen.network.model.trainable = False
    frozen.network = replace(frozen.network, reload=lambda: frozen.network.model)
    with pytest.raises(Missing, match="no weight of the model is trainable"):
        continuation_trial(frozen)
    unknown = retrainer(dense(), optimizer=None)
    with pytest.raises(Missing, match="optimizer is not known"):
        continuation_trial(unknown)
    other = retrainer(dense())
    other.trial = replace(other.trial, fit=replace(other.trial.fit, inputs=np.ones((200, 7), "float32")))
    with pytest.raises(Missing, match="the training failed: ValueError"):
        continuation_trial(other)
