"""Every kind of repair on a small network of its own: what it does to the weights, the outputs and the script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.weighting import ClassWeighting
from mlflow_clfaudit.measures import balanced_accuracy
from mlflow_clfaudit.registry import all_checks
from mlflow_clfaudit.repair.measured import compare
from mlflow_clfaudit.repair.patient import Patient, Wards, served_by
from mlflow_clfaudit.repair.registry import Treated, all_repairs, repairs_of
from mlflow_clfaudit.repair.script import script_of, unified_diff
from mlflow_clfaudit.types import Finding
from tests.kit import make_fit
from tests.runs import make_run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:[\\s\\S]*softmax over axis:UserWarning")]

Build = Callable[[Any], list[Any]]


def blobs(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points (rows, 2) around as many corners as there are classes, which overlap a little."""
    random = np.random.default_rng(seed)
    y = np.tile(np.arange(classes), rows // classes + 1)[:rows]
    centres = np.array([[-1, -1], [1, 1], [-1, 1], [1, -1]])[y]
    return (centres + random.normal(0, 0.6, (rows, 2))).astype("float32"), y


def patient(
    tmp_path: Path,
    model: Any,
    check: str,
    *,
    classes: int = 2,
    truth: Callable[[np.ndarray], Any] | None = None,
    **given: Any,
) -> Patient:
    """The model, saved and read back, with rows to learn from, to tune on and to judge on."""
    model.save(tmp_path / "model.keras")
    evidence = Evidence(
        {
            "allow_unsafe": False,
            "device": "cpu",
            "fit": make_fit(epochs=30, batch_size=32, optimizer="adam", learning_rate=0.01),
            "flavors": {"keras": {}},
            "keras_file": tmp_path / "model.keras",
            "model_folder": tmp_path,
            "output": 0,
            "run": make_run(),
            **given,
        }
    )
    network, head = evidence.get("network"), evidence.get("head")
    parts = []
    for seed, rows in ((1, 300), (2, 200), (3, 200)):
        x, y = blobs(rows, classes, seed)
        known = truth(y) if truth is not None else y
        shape = (rows, model.output_shape[-1])
        bare = Served("validation", True, head, np.zeros(shape), np.asarray(known), classes, inputs=x)
        parts.append(served_by(network, head, bare))
    finding = Finding("", check=check, evidence=given.get("about", {}))
    return Patient(finding, evidence, Wards(*parts, told="rows of the test"), seconds=20.0)


def trained(head: tuple[int, str | None], loss: Any, *, classes: int = 2, epochs: int = 15, **fit: Any) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    x, y = blobs(300, classes)
    layers = [keras.Input((2,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(head[0], head[1])]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(x, fit.pop("y", y), epochs=epochs, verbose=0, **fit)
    return model


def cautious() -> Any:
    """A network whose scores separate the classes well, but lie below .5 for most rows of class 1."""
    model = trained((1, "sigmoid"), "binary_crossentropy")
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias - 5])
    return model


def treat(given: Patient, place: int = 0) -> tuple[Treated, Served, str]:
    """What the repair of the patient's finding makes of it: how it answers the judged rows, and the patch."""
    repair = repairs_of(given.finding.check)[place]
    treated = repair.function(given)
    file = given.evidence.get("keras_file").with_name("mended.keras")
    treated.model.save(file)
    evidence = given.evidence.replaced(keras_file=file)
    after = served_by(evidence.get("network"), evidence.get("head"), given.rows.judge)
    before = script_of(given.spec, given.fit)
    return treated, after, unified_diff(before, treated.patch(before, evidence.get("spec")))


def test_every_repair_is_of_a_check_that_exists() -> None:
    named = {check for repair in all_repairs() for check in repair.checks}
    assert named <= set(all_checks())
    assert len(named) >= 20


def test_softmax_on_one_unit_becomes_a_sigmoid(tmp_path: Path) -> None:
    given = patient(tmp_path, trained((1, "softmax"), "binary_crossentropy"), "softmax-on-one-unit")
    treated, after, patch = treat(given)
    assert given.rows.judge.balanced_accuracy == 0.5
    assert after.balanced_accuracy > 0.85
    assert treated.did == "sigmoid in place of softmax, on the same weights"
    assert '-        keras.layers.Dense(1, activation="softmax"),' in patch
    assert '+        keras.layers.Dense(1, activation="sigmoid"),' in patch


@pytest.mark.long
def test_a_softmax_layer_of_its_own_becomes_a_sigmoid(tmp_path: Path) -> None:
    import keras

    logits = trained((1, "linear"), keras.losses.BinaryCrossentropy(from_logits=True))
    model = keras.Sequential([keras.Input((2,)), *logits.layers, keras.layers.Softmax()])
    model.compile(loss="binary_crossentropy")
    _, after, _ = treat(patient(tmp_path, model, "softmax-on-one-unit"))
    assert after.balanced_accuracy > 0.85


@pytest.mark.long
def test_sigmoids_of_several_classes_become_a_softmax(tmp_path: Path) -> None:
    model = trained((3, "sigmoid"), "sparse_categorical_crossentropy", classes=3)
    given = patient(tmp_path, model, "sigmoid-multiclass", classes=3)
    _, after, _ = treat(given)
    np.testing.assert_allclose(after.outputs.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(after.decision, given.rows.judge.decision)


def test_the_threshold_is_set_in_a_model_of_decisions_beside_one_of_scores(tmp_path: Path) -> None:
    x, _ = blobs(300, 2)
    model = cautious()
    given = patient(tmp_path, model, "threshold-off")
    treated, after, patch = treat(given)
    decided = treated.model.predict(x, verbose=0)
    assert set(np.unique(decided)) == {0.0, 1.0}
    assert decided.shape == (300, 1)
    assert treated.scores is not None
    np.testing.assert_allclose(treated.scores.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    assert balanced_accuracy(after.truth, after.decision) > given.rows.judge.balanced_accuracy + 0.05
    assert "+decision = (model.predict(X)[:, 0] > 0." in patch


@pytest.mark.long
def test_the_threshold_of_a_stated_recall_is_lower(tmp_path: Path) -> None:
    from mlflow_clfaudit.evidence.decisions import Goal

    given = patient(tmp_path, cautious(), "threshold-off", goal=Goal(recall=0.99))
    _, after, _ = treat(given)
    assert np.mean(after.decision[after.truth == 1]) > np.mean(given.rows.judge.decision[after.truth == 1])


def test_the_order_of_the_labels_is_restored(tmp_path: Path) -> None:
    model = trained((3, "softmax"), "sparse_categorical_crossentropy", classes=3)
    order = np.array([2, 0, 1])
    given = patient(tmp_path, model, "permuted-labels", classes=3, truth=lambda y: order[y])
    treated, after, patch = treat(given)
    assert given.rows.judge.accuracy < 0.2
    assert after.accuracy > 0.85
    assert "3 output columns exchanged" in treated.did
    assert "+probabilities = model.predict(X)[:, [1, 2, 0]]" in patch


@pytest.mark.long
def test_one_turned_score_is_turned_back(tmp_path: Path) -> None:
    model = trained((1, "sigmoid"), "binary_crossentropy")
    given = patient(tmp_path, model, "inverted-positive-class", truth=lambda y: 1 - y)
    _, after, _ = treat(given)
    np.testing.assert_allclose(after.outputs, 1 - given.rows.judge.outputs, atol=1e-5)


@pytest.mark.long
def test_a_right_order_is_left(tmp_path: Path) -> None:
    given = patient(tmp_path, trained((1, "sigmoid"), "binary_crossentropy"), "permuted-labels")
    with pytest.raises(Missing, match="have their own numbers"):
        treat(given)


@pytest.mark.long
@pytest.mark.parametrize(
    ("units", "activation", "loss"),
    [(1, "sigmoid", "binary_crossentropy"), (3, "softmax", "sparse_categorical_crossentropy")],
)
def test_probabilities_are_recalibrated_without_changing_the_order(
    tmp_path: Path, units: int, activation: str, loss: str
) -> None:
    classes = max(units, 2)
    model = trained((units, activation), loss, classes=classes, epochs=40)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 8, bias * 8])
    given = patient(tmp_path, model, "uncalibrated-probabilities", classes=classes)
    _, after, _ = treat(given)
    found = compare(given.rows.judge, after)
    assert found.gain["log loss"].low > 0
    assert found.gain["balanced accuracy"].low > -0.05


@pytest.mark.long
def test_class_weights_are_divided_out_of_the_odds(tmp_path: Path) -> None:
    weights = {0: 1.0, 1: 20.0}
    model = trained((1, "sigmoid"), "binary_crossentropy", class_weight=weights, epochs=30)
    weighting = ClassWeighting(weights, np.array([0, 1]), np.array([150, 150]), np.array([1.0, 20.0]))
    given = patient(tmp_path, model, "class-weight-overcorrected", class_weighting=weighting)
    _, after, _ = treat(given)
    before = given.rows.judge.outputs[:, 0].astype(float)
    clear = (before > 1e-4) & (before < 1 - 1e-4)
    odds = (after.outputs[:, 0] / (1 - after.outputs[:, 0]))[clear]
    np.testing.assert_allclose(odds, (before / (1 - before))[clear] / 20.0, rtol=1e-2)
    assert compare(given.rows.judge, after).gain["log loss"].low > 0


@pytest.mark.long
def test_batch_statistics_are_measured_anew(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    x, y = blobs(300, 2)
    layers = keras.layers
    stack = [keras.Input((2,)), layers.Dense(8), layers.BatchNormalization(), layers.Activation("relu")]
    model = keras.Sequential([*stack, layers.Dropout(0.3), layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(x, y, epochs=15, verbose=0)
    gamma, beta, mean, variance = model.layers[1].get_weights()
    model.layers[1].set_weights([gamma, beta, mean + 5, variance * 50])
    given = patient(tmp_path, model, "batchnorm-gap")
    treated, after, patch = treat(given)
    assert after.balanced_accuracy > given.rows.judge.balanced_accuracy + 0.1
    np.testing.assert_allclose(treated.model.layers[1].get_weights()[2], mean, atol=0.3)
    assert "+        keras.layers.BatchNormalization(momentum=0.9)," in patch


def test_a_head_is_fitted_anew_in_its_own_weights(tmp_path: Path) -> None:
    model = trained((1, "linear"), "binary_crossentropy", epochs=1)
    given = patient(tmp_path, model, "logits-in-probability-loss")
    treated, after, _ = treat(given, place=1)
    assert after.balanced_accuracy > 0.85
    assert after.outputs.min() >= 0.0
    assert after.outputs.max() <= 1.0
    hidden = [layer.get_weights() for layer in (model.layers[0], treated.model.layers[0])]
    np.testing.assert_array_equal(hidden[0][0], hidden[1][0])


@pytest.mark.long
def test_one_unit_for_three_classes_gives_way_to_three(tmp_path: Path) -> None:
    model = trained((1, "sigmoid"), "binary_crossentropy", classes=3, epochs=3)
    given = patient(tmp_path, model, "multiclass-on-one-unit", classes=3)
    treated, after, patch = treat(given)
    assert treated.model.output_shape == (None, 3)
    assert after.balanced_accuracy > 0.8
    assert '+    loss="sparse_categorical_crossentropy",' in patch


def test_training_goes_on_at_the_proven_learning_rate(tmp_path: Path) -> None:
    model = trained((1, "sigmoid"), "binary_crossentropy", epochs=1)
    model.layers[-1].set_weights([np.zeros((8, 1)), np.zeros(1)])
    trials = [
        {"change": f"learning rate ×{factor}", "balanced_accuracy": score, "information": score}
        for factor, score in ((1, 0.5), (10, 0.9), (100, 0.8))
    ]
    given = patient(tmp_path, model, "under-trained", about={"learning_rate_trials": trials})
    told: list[str] = []
    treated, after, patch = treat(replace(given, telling=told.append))
    assert "learning rate of 0.1 (×10)" in treated.did
    assert after.balanced_accuracy > 0.85
    assert len(treated.curves["loss"]) == len(treated.curves["val_loss"]) == len(told)
    assert told[0].startswith("epoch 1 of 90: loss ")
    assert treated.curves["loss"][-1] < treated.curves["loss"][0]
    assert "+    optimizer=keras.optimizers.Adam(0.1)," in patch


@pytest.mark.long
def test_a_training_stops_when_its_time_is_up(tmp_path: Path) -> None:
    given = patient(tmp_path, trained((1, "sigmoid"), "binary_crossentropy", epochs=1), "under-trained")
    with pytest.raises(Missing, match="the time for refits is used up"):
        treat(replace(given, seconds=0.0))
    treated, _, _ = treat(replace(given, seconds=1e-6))
    assert len(treated.curves["loss"]) == 1


@pytest.mark.long
def test_the_same_seed_trains_the_same_weights(tmp_path: Path) -> None:
    given = patient(tmp_path, trained((1, "sigmoid"), "binary_crossentropy", epochs=1), "under-trained")
    once, again, other = (treat(replace(given, seed=seed))[1].outputs for seed in (1, 1, 2))
    np.testing.assert_allclose(once, again, atol=1e-6)
    assert not np.allclose(once, other, atol=1e-6)


@pytest.mark.long
def test_a_normalization_layer_is_adapted_prepended_and_saved(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    given = patient(tmp_path, model, "unscaled-inputs")
    parts = {}
    for name in ("learn", "tune", "judge"):
        rows = getattr(given.rows, name)
        parts[name] = replace(rows, inputs=rows.inputs * 1000 + 5000)
    treated, after, patch = treat(replace(given, rows=Wards(**parts, told="")))
    assert after.balanced_accuracy > 0.85
    assert treated.model.layers[0].__class__.__name__ == "Normalization"
    np.testing.assert_allclose(treated.model.layers[0].mean, [[5000, 5000]], atol=300)
    assert "+normalization.adapt(X_train)" in patch
    assert "+        normalization," in patch


def begun(*layers: Any, normalised: bool = False) -> Any:
    """A compiled network of two classes that was never trained, behind an adapted Normalization layer or not."""
    import keras

    keras.utils.set_random_seed(0)
    first = keras.layers.Normalization()
    first.adapt(blobs(300, 2)[0] * 1000 + 5000)
    model = keras.Sequential([keras.Input((2,)), *([first] if normalised else []), *layers])
    model.add(keras.layers.Dense(1, "sigmoid"))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return model


@pytest.mark.long
def test_an_edited_network_is_trained_on_what_its_normalization_gives(tmp_path: Path) -> None:
    from keras.layers import Dense

    model = begun(Dense(8, "sigmoid"), Dense(8, "sigmoid"), normalised=True)
    given = patient(tmp_path, model, "vanishing-gradient")
    parts = {name: getattr(given.rows, name) for name in ("learn", "tune", "judge")}
    wide = {name: replace(rows, inputs=rows.inputs * 1000 + 5000) for name, rows in parts.items()}
    treated, after, patch = treat(replace(given, rows=Wards(**wide, told="")))
    assert after.balanced_accuracy > 0.85
    assert treated.did.startswith("trained anew with relu")
    assert '+        keras.layers.Dense(8, activation="relu"' in patch


@pytest.mark.long
def test_the_best_of_the_slower_learning_rates_is_kept(tmp_path: Path) -> None:
    from keras.layers import Dense

    trials = [{"change": f"trained anew at learning rate ×{factor}"} for factor in (1, 0.1, 0.01)]
    given = patient(
        tmp_path,
        begun(Dense(8, "relu")),
        "learning-rate-too-high",
        about={"trials": trials},
        fit=make_fit(epochs=10, batch_size=32, optimizer="adam", learning_rate=1.0),
    )
    treated, after, patch = treat(given)
    assert after.balanced_accuracy > 0.85
    assert treated.learning_rate in (0.1, 0.01)
    assert f"+    optimizer=keras.optimizers.Adam({treated.learning_rate:g})," in patch
    with pytest.raises(Missing, match="no slower training"):
        treat(replace(given, finding=replace(given.finding, evidence={})))


@pytest.mark.long
@pytest.mark.parametrize(
    ("check", "did"),
    [
        ("poor-initialisation", "trained anew from Glorot's weights"),
        ("clipped-output", "trained anew under sigmoid"),
        ("binary-labels-not-01", "every layer trained on under the new last one"),
    ],
)
def test_trainings_begin_where_the_fault_leaves_them(tmp_path: Path, check: str, did: str) -> None:
    from keras.layers import Dense

    model = begun(Dense(8, "relu", kernel_initializer="ones"))
    treated, after, _ = treat(patient(tmp_path, model, check), -1)
    assert treated.did.startswith(did)
    assert after.balanced_accuracy > 0.85
