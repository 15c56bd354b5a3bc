from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.symmetric_initialisation import symmetric_initialisation
from mlflow_clfaudit.evidence.spec import Layer
from mlflow_clfaudit.evidence.weights import Weights
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import FLAT, GOOD, TRUTH, findings, make_contrast, make_head, make_served, make_spec, proof_of, surer

SERVED = make_served(FLAT, TRUTH)
DRAWN = np.random.default_rng(0).normal(size=(10, 8))
COPIES = np.tile(DRAWN[:, :1], (1, 8))


def judged(kernel: Any, layer: Layer | None = None, **given: Any) -> tuple[Finding, ...]:
    layer = layer or Layer("hidden", "Dense", {"units": 8})
    spec = make_spec(layers=(layer, Layer("head", "Dense", {"units": 1})))
    weights = Weights({f"{layer.name}/vars/0": np.asarray(kernel), "head/vars/0": np.ones((8, 2))})
    return findings(
        symmetric_initialisation, **{"weights": weights, "spec": spec, "head": make_head(), "served": SERVED, **given}
    )


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (COPIES, "has 100% columns that equal another"),
        (np.concatenate([COPIES[:, :5], DRAWN[:, 5:]], axis=1), "has 62% columns that equal another"),
        (np.zeros((10, 8)), "is 0 throughout"),
        (np.full((3, 3, 4, 8), 0.5), "is 0.5 throughout"),
    ],
)
def test_units_that_are_copies(kernel: np.ndarray, said: str) -> None:
    (finding,) = judged(kernel)
    assert finding.level is Severity.BLOCKER
    assert finding.message == f"The kernel of hidden {said}: its 8 units are copies of each other."
    assert proof_of(finding).grade is Grade.A


def test_glorot_learns_in_the_same_time() -> None:
    (finding,) = judged(COPIES, redrawn_trials=make_contrast(SERVED, FLAT, GOOD))
    proof = proof_of(finding)
    assert "From Glorot's draw, 5 epochs reach balanced accuracy 1.00" in finding.message
    assert (proof.grade, proof.before, proof.after) == (Grade.A, 0.5, 1.0)


def test_the_equality_stands_where_glorot_is_no_better() -> None:
    (finding,) = judged(COPIES, redrawn_trials=make_contrast(SERVED, FLAT, FLAT))
    assert (proof_of(finding).grade, proof_of(finding).before) == (Grade.A, None)


def test_info_when_the_net_learnt_all_the_same() -> None:
    (finding,) = judged(COPIES, served=make_served(GOOD, TRUTH))
    assert finding.level is Severity.INFO


PRUNED = DRAWN * (np.arange(8) < 3)


@pytest.mark.parametrize(
    ("kernel", "layer"),
    [
        (DRAWN, None),
        (PRUNED, None),
        (np.concatenate([COPIES[:, :3], DRAWN[:, 3:]], axis=1), None),
        (COPIES, Layer("hidden", "Dense", {"trainable": False})),
        (COPIES, Layer("table", "Embedding")),
        (np.full((10, 1), 0.5), None),
        (np.full((10, 8), np.nan), None),
    ],
    ids=["drawn", "pruned", "three copies of eight", "frozen", "an embedding", "one unit", "not a number"],
)
def test_quiet(kernel: np.ndarray, layer: Layer | None) -> None:
    assert judged(kernel, layer) == ()


def test_a_column_that_exploded_does_not_make_the_others_alike() -> None:
    assert judged(DRAWN * np.where(np.arange(8) == 3, 1e12, 1.0)) == ()


DRIVEN = Layer("hidden", "Dense", {"units": 8, "kernel_initializer": {"class_name": "Ones", "config": {}}})


def test_units_that_dropout_drove_apart_are_reported_where_glorot_learns() -> None:
    (finding,) = judged(DRAWN, DRIVEN, redrawn_trials=make_contrast(SERVED, FLAT, GOOD))
    assert finding.level is Severity.ERROR
    assert "began as copies of each other (Ones)" in finding.message
    assert (proof_of(finding).grade, proof_of(finding).after) == (Grade.B, 1.0)


def test_a_warning_where_only_the_probabilities_say_more_from_glorot() -> None:
    unsure = make_served(surer(0.6), TRUTH)
    trials = make_contrast(unsure, surer(0.6), surer(0.8))
    (finding,) = judged(DRAWN, DRIVEN, served=unsure, redrawn_trials=trials)
    assert finding.level is Severity.WARN
    assert "From Glorot's draw, 5 epochs reach U 0.48; from the logged one 0.20" in finding.message
    assert (proof_of(finding).grade, proof_of(finding).metric) == (Grade.B, "U")


def test_quiet_about_them_where_it_does_not() -> None:
    assert judged(DRAWN, DRIVEN, redrawn_trials=make_contrast(SERVED, FLAT, FLAT)) == ()
    assert judged(DRAWN, DRIVEN, redrawn_trials=make_contrast(SERVED, GOOD, GOOD)) == ()
    assert judged(DRAWN, DRIVEN, served=make_served(GOOD, TRUTH)) == ()
