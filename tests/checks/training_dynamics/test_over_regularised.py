from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.over_regularised import over_regularised
from mlflow_clfaudit.evidence.spec import Layer
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import FLAT, GOOD, SLIGHT, TRUTH, findings, make_contrast, make_served, make_spec, proof_of, surer

SERVED = make_served(FLAT, TRUTH)
DROPOUT = Layer("dropout", "Dropout", {"rate": 0.9})


def penalty(size: float) -> Layer:
    return Layer("hidden", "Dense", {"units": 8, "kernel_regularizer": {"class_name": "L2", "config": {"l2": size}}})


def judged(*layers: Layer, **given: Any) -> tuple[Finding, ...]:
    return findings(over_regularised, **{"spec": make_spec(layers=layers), "served": SERVED, **given})


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (DROPOUT, "dropout 0.9 in dropout"),
        (Layer("drop", "SpatialDropout1D", {"rate": 0.5}), "dropout 0.5 in drop"),
        (Layer("lstm", "LSTM", {"units": 8, "recurrent_dropout": 0.8}), "dropout 0.8 in lstm"),
        (penalty(1.0), "l2 1 in hidden"),
    ],
)
def test_what_may_hold_it_back_is_an_info_until_proven(layer: Layer, said: str) -> None:
    (finding,) = judged(layer)
    assert finding.message == f"The network is held back by {said}."
    assert finding.level is Severity.INFO
    assert finding.unproven


@pytest.mark.parametrize(("changed", "level"), [(GOOD, Severity.ERROR), (SLIGHT, Severity.WARN)])
def test_training_without_lifts_it(changed: np.ndarray, level: Severity) -> None:
    (finding,) = judged(DROPOUT, penalty(1.0), unregularised_trials=make_contrast(SERVED, FLAT, changed))
    assert finding.level is level
    assert (
        "dropout 0.9 in dropout, l2 1 in hidden: 5 epochs more without lift balanced accuracy 0.50" in finding.message
    )
    assert (proof_of(finding).grade, proof_of(finding).before) == (Grade.B, 0.5)


def test_a_warning_where_only_the_probabilities_say_more_without() -> None:
    unsure = make_served(surer(0.6), TRUTH)
    trials = make_contrast(unsure, surer(0.65), surer(0.8))
    (finding,) = judged(DROPOUT, served=unsure, unregularised_trials=trials)
    assert finding.level is Severity.WARN
    assert "5 epochs more without lift U 0.20 → 0.48; with, 0.29" in finding.message
    assert (proof_of(finding).grade, proof_of(finding).metric) == (Grade.B, "U")
    assert judged(DROPOUT, served=unsure, unregularised_trials=make_contrast(unsure, surer(0.95), surer(0.95))) == ()


@pytest.mark.parametrize("both", [FLAT, GOOD], ids=["neither helps", "it was only stopped early"])
def test_quiet_when_training_with_does_as_well(both: np.ndarray) -> None:
    assert judged(DROPOUT, unregularised_trials=make_contrast(SERVED, both, both)) == ()


@pytest.mark.parametrize(
    "layer",
    [
        Layer("dropout", "Dropout", {"rate": 0.4}),
        Layer("hidden", "Dense", {"units": 8, "kernel_regularizer": None}),
        Layer("conv", "Conv2D", {"dilation_rate": [2, 2]}),
        penalty(0.0),
    ],
    ids=["a usual dropout", "none", "another rate", "a penalty of zero"],
)
def test_quiet(layer: Layer) -> None:
    assert judged(layer) == ()


def test_quiet_where_the_training_rows_are_known() -> None:
    assert judged(DROPOUT, served_train=make_served(GOOD, TRUTH, held_out=False)) == ()
