"""What is captured of Keras models and of the pipelines that feed them, in real Keras and TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_clfaudit.capture import Capture, arguments_of, capture, learning_rate_of
from mlflow_clfaudit.sampling import Limits

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.arange(40) % 2


@pytest.fixture(scope="module", autouse=True)
def _tensorflow() -> None:
    pytest.importorskip("tensorflow")


def compiled(
    loss: Any = "binary_crossentropy", units: int = 1, activation: str = "sigmoid", metrics: Any = None, **options: Any
) -> Any:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation=activation)])
    model.compile(options.pop("optimizer", "sgd"), loss, metrics=metrics)
    return model


def of(model: Any, *args: Any, **kwargs: Any) -> Capture | None:
    return capture(model, arguments_of(model, args, kwargs), Limits(), learning_rate=learning_rate_of(model))


def captured(*args: Any, **kwargs: Any) -> Capture:
    found = of(compiled(), *args, **kwargs)
    assert found is not None
    return found


def test_positional_arguments_have_their_names_and_defaults_are_those_that_keras_uses() -> None:
    import keras

    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
    found = captured(X, Y, 8, 5, "auto", [stop], 0.25, class_weight={0: 1.0, 1: 3.0})
    assert found.arguments == {
        "batch_size": 8,
        "shuffle": True,
        "epochs": 5,
        "validation_split": 0.25,
        "class_weight": {"0": 1.0, "1": 3.0},
        "sample_weight": False,
        "callbacks": [
            {
                "class": "EarlyStopping",
                "monitor": "val_loss",
                "mode": "auto",
                "patience": 3,
                "min_delta": 0,
                "restore_best_weights": True,
                "start_from_epoch": 0,
            }
        ],
        "optimizer": "SGD",
        "learning_rate": pytest.approx(0.01),
    }
    assert len(found.labels["train", ""]) == 40
    assert len(found.inputs["train"]) == 30
    assert len(found.inputs["validation"]) == 10


def test_a_schedule_has_the_rate_that_it_starts_at() -> None:
    import keras

    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9)
    assert learning_rate_of(compiled(optimizer=keras.optimizers.Adam(schedule))) == pytest.approx(0.5)
    assert learning_rate_of(keras.Sequential([keras.layers.Dense(1)])) is None


def test_validation_data_with_weights() -> None:
    found = captured(X, Y, validation_data=(X[:4], Y[:4], np.ones(4)))
    np.testing.assert_array_equal(found.labels["validation", ""], Y[:4])
    np.testing.assert_array_equal(found.weights["validation"], np.ones(4))


@pytest.mark.parametrize("container", ["frame", "tensor", "list", "dict"])
def test_inputs_of_every_container(container: str) -> None:
    import tensorflow as tf

    given = {"frame": pd.DataFrame(X), "tensor": tf.constant(X), "list": [X, X], "dict": {"a": X, "b": X}}[container]
    inputs = captured(given, tf.constant(Y)).inputs["train"]
    parts = list(inputs.values()) if isinstance(inputs, dict) else [np.asarray(inputs)]
    assert len(parts) == (2 if container in ("list", "dict") else 1)
    for part in parts:
        np.testing.assert_array_equal(part, X)


def test_labels_of_several_outputs_are_kept_by_their_name() -> None:
    import keras

    inputs = keras.Input((3,))
    outputs = [keras.layers.Dense(1, activation="sigmoid", name=name)(inputs) for name in ("rain", "wind")]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "binary_crossentropy")
    for y in ([Y, 1 - Y], {"rain": Y, "wind": 1 - Y}):
        found = of(model, X, y)
        assert found is not None
        assert set(found.labels) == {("train", "rain"), ("train", "wind")}


@pytest.mark.parametrize("classes", [2, 12, 150])
def test_one_loss_for_class_numbers_means_a_classifier_whatever_the_labels(classes: int) -> None:
    model = compiled("sparse_categorical_crossentropy", units=classes, activation="softmax")
    assert of(model, X, np.arange(40) % classes) is not None
    assert of(model, X, (np.arange(40) % classes) / 255) is not None


@pytest.mark.parametrize(
    ("loss", "y", "metrics"),
    [
        ("mse", Y, None),
        ("mse", np.eye(4)[np.arange(40) % 4], None),
        ("mse", np.arange(40) % 3, ["accuracy"]),
        ("hinge", 2 * Y - 1, None),
        ("binary_crossentropy", Y * 0.9 + 0.05, None),
        ("binary_crossentropy", np.array([1, 2] * 20), None),
    ],
    ids=["mse on two classes", "mse on one-hot", "mse with accuracy", "hinge", "smoothed", "one and two"],
)
def test_classes_under_other_losses_are_classes_all_the_same(loss: str, y: np.ndarray, metrics: Any) -> None:
    assert of(compiled(loss, metrics=metrics), X, y) is not None


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("mse", np.random.default_rng(0).normal(size=40)),
        ("mae", np.arange(40)),
        ("binary_crossentropy", np.random.default_rng(0).random((40, 3))),
        ("mse", X),
    ],
    ids=["regression", "counts", "autoencoder under cross-entropy", "autoencoder"],
)
def test_what_is_no_classifier_is_left_alone(loss: str, y: np.ndarray) -> None:
    units = y.shape[1] if y.ndim == 2 else 1
    assert of(compiled(loss, units=units, activation="linear"), X, y) is None


def pipelines() -> dict[str, Any]:
    import tensorflow as tf

    source = tf.data.Dataset.from_tensor_slices((X, Y))
    return {
        "batched": source.batch(8),
        "shuffled": source.shuffle(40, seed=1).batch(8).prefetch(2),
        "parallel": source.cache().batch(8, num_parallel_calls=2).repeat(2),
        "named": tf.data.Dataset.from_tensor_slices(({"b": X, "a": X}, Y)).batch(8),
        "weighted": tf.data.Dataset.from_tensor_slices((X, Y, np.ones(40))).batch(8),
        "cut": source.skip(10).take(20).shuffle(20).batch(4),
    }


@pytest.mark.parametrize("name", ["batched", "shuffled", "parallel", "named", "weighted", "cut"])
def test_pipelines_over_arrays_are_looked_into(name: str) -> None:
    found = captured(pipelines()[name], validation_data=pipelines()[name])
    rows = slice(10, 30) if name == "cut" else slice(None)
    for split in ("train", "validation"):
        np.testing.assert_array_equal(found.labels[split, ""], Y[rows])
        inputs = found.inputs[split]
        np.testing.assert_array_equal(inputs["a"] if name == "named" else inputs, X[rows])
    assert ("train" in found.weights) == (name == "weighted")
    assert not {"batch_size", "shuffle"} & set(found.arguments)
    assert found.notes == ()


def test_pipelines_that_compute_their_rows_are_neither_run_nor_guessed() -> None:
    import tensorflow as tf

    ran: list[int] = []

    def rows() -> Any:
        ran.append(1)
        yield X[0], Y[0]

    source = tf.data.Dataset.from_tensor_slices((X, Y))
    generated = tf.data.Dataset.from_generator(
        rows, output_signature=(tf.TensorSpec((3,), tf.float32), tf.TensorSpec((), tf.int64))
    )
    for given in (
        source.map(lambda x, y: (x, 1 - y)).batch(4),
        source.filter(lambda _, y: y > 0),
        source.batch(4).take(2),
        source.shuffle(40).take(20),
        generated.batch(1),
        rows(),
    ):
        found = captured(given)
        assert found.labels == {}
        assert "is read by fit() only: its labels are not counted" in found.notes[0]
    assert ran == []


def test_images_in_folders_tell_their_labels(tmp_path: Path) -> None:
    import keras

    for number, name in enumerate(("cat", "dog", "dog")):
        (tmp_path / name).mkdir(exist_ok=True)
        keras.utils.save_img(tmp_path / name / f"{number}.png", np.zeros((4, 4, 3)))
    options = {"image_size": (4, 4), "shuffle": False, "verbose": False}
    by_code = keras.utils.image_dataset_from_directory(tmp_path, **options)
    one_hot = keras.utils.image_dataset_from_directory(tmp_path, label_mode="categorical", **options)
    found = captured(by_code.prefetch(1), validation_data=one_hot)
    assert found.labels["train", ""].tolist() == [0, 1, 1]
    assert found.labels["validation", ""].tolist() == [[1, 0], [0, 1], [0, 1]]
    assert found.classes == ["cat", "dog"]
    assert "train: inputs that are read from files are not kept" in found.notes


def test_the_iterators_of_image_generators_tell_their_labels() -> None:
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    iterator = ImageDataGenerator(rotation_range=20).flow(np.zeros((6, 4, 4, 3)), np.arange(6) % 2)
    found = captured(iterator)
    assert found.labels["train", ""].tolist() == [0, 1, 0, 1, 0, 1]
    assert found.inputs == {}
