"""Heads, losses and metrics as the saved file tells them, against models that Keras really built and saved."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.keras_config import parse
from mlflow_clfaudit.evidence.spec import Head, Spec, spec

FLAVORS = {"keras": {"keras_backend": "tensorflow"}}


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


def sequential(keras: Any, *layers: Any, loss: Any, metrics: Any = None, shape: tuple[int, ...] = (4,)) -> Any:
    model = keras.Sequential([keras.Input(shape), *layers])
    model.compile("adam", loss, metrics=metrics)
    return model


def functional(keras: Any, build: Callable[[Any], Any], loss: Any, metrics: Any = None) -> Any:
    inputs = keras.Input((4,), name="rows")
    model = keras.Model(inputs, build(inputs))
    model.compile("adam", loss, metrics=metrics)
    return model


def saved(model: Any, folder: Path) -> Spec:
    """The model's spec, read from the file that it is saved to."""
    path = folder / "model.keras"
    model.save(path)
    return spec(path, FLAVORS)


def only_head(model: Any, folder: Path) -> Head:
    (head,) = saved(model, folder).heads
    return head


BCE, CCE, SCCE = "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"
D: Callable[..., Any] = lambda keras, *a, **k: keras.layers.Dense(*a, **k)  # noqa: E731


def nested(keras: Any, *layers: Any, name: str) -> Any:
    return keras.Sequential([keras.Input((4,)), *layers], name=name)


# name → (a function of keras that builds a model, and what its only head must be)
HEADS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "fused": (
        lambda k: sequential(k, D(k, 3, activation="softmax"), loss=SCCE),
        {"units": 3, "activations": ("softmax",), "softmax_size": 3, "after": (), "opaque": ()},
    ),
    "Activation layer on one unit": (
        lambda k: sequential(k, D(k, 1), k.layers.Activation("softmax"), loss=BCE),
        {"units": 1, "activations": ("softmax",), "softmax_size": 1},
    ),
    "Softmax layer over the batch": (
        lambda k: sequential(k, D(k, 3), k.layers.Softmax(axis=0), loss=SCCE),
        {"units": 3, "softmax_axis": 0, "activations": ("softmax",)},
    ),
    "dropout before the activation": (
        lambda k: sequential(k, D(k, 3), k.layers.Dropout(0.1), k.layers.Activation("softmax"), loss=CCE),
        {"units": 3, "activations": ("softmax",), "after": ()},
    ),
    "reshape behind": (
        lambda k: sequential(k, D(k, 1, activation="softmax"), k.layers.Reshape((1,)), loss=BCE),
        {"units": 1, "activations": ("softmax",), "opaque": (), "softmax_size": 1},
    ),
    "rescaling behind": (
        lambda k: sequential(k, D(k, 1, activation="sigmoid"), k.layers.Rescaling(2.0, -1.0), loss="hinge"),
        {"units": 1, "activations": ("sigmoid",)},
    ),
    "rescaling by 1 behind": (
        lambda k: sequential(k, D(k, 3, activation="softmax"), k.layers.Rescaling(1.0), loss=CCE),
        {"units": 3, "activations": ("softmax",), "opaque": ()},
    ),
    "temperature before": (
        lambda k: functional(k, lambda x: k.ops.softmax(D(k, 3)(x) / 2.0), CCE),
        {"units": 3, "activations": ("softmax",), "opaque": (), "softmax_size": 3},
    ),
    "relu layer before softmax": (
        lambda k: sequential(k, D(k, 3), k.layers.ReLU(), k.layers.Softmax(), loss=CCE),
        {"units": 3, "activations": ("relu", "softmax")},
    ),
    "normalisation between": (
        lambda k: sequential(k, D(k, 3), k.layers.BatchNormalization(), k.layers.Softmax(), loss=CCE),
        {"units": 3, "kind": "BatchNormalization", "activations": ("softmax",), "softmax_size": 3},
    ),
    "ops.sigmoid": (
        lambda k: functional(k, lambda x: k.ops.sigmoid(D(k, 1)(x)), BCE),
        {"units": 1, "activations": ("sigmoid",)},
    ),
    "function from keras.activations": (
        lambda k: functional(k, lambda x: k.activations.relu(D(k, 1)(x)), BCE),
        {"units": 1, "activations": ("relu",)},
    ),
    "arithmetic behind": (
        lambda k: functional(k, lambda x: D(k, 1, activation="sigmoid")(x) * 2.0 - 1.0, "mse"),
        {"units": 1, "activations": ("sigmoid",)},
    ),
    "squeezed": (
        lambda k: functional(k, lambda x: k.ops.squeeze(D(k, 1, activation="sigmoid")(x), -1), BCE),
        {"units": 1, "activations": ("sigmoid",), "rank": 1},
    ),
    "sum of two layers": (
        lambda k: functional(k, lambda x: k.layers.Softmax()(k.layers.Add()([D(k, 3)(x), D(k, 3)(x)])), CCE),
        {"units": 3, "activations": ("softmax",), "opaque": (), "softmax_size": 3},
    ),
    "nested Sequential": (
        lambda k: sequential(k, nested(k, D(k, 8), D(k, 3), name="inner"), k.layers.Softmax(), loss=CCE),
        {"units": 3, "activations": ("softmax",)},
    ),
    "nested twice": (
        lambda k: sequential(
            k, nested(k, nested(k, D(k, 1, activation="softmax", name="h"), name="low"), name="mid"), loss=BCE
        ),
        {"layer": "mid/low/h", "units": 1, "softmax_size": 1},
    ),
    "LSTM": (
        lambda k: sequential(k, k.layers.LSTM(1), loss=BCE, shape=(8, 1)),
        {"units": 1, "activations": ("tanh",), "rank": 2, "opaque": ()},
    ),
    "time-distributed": (
        lambda k: sequential(k, k.layers.TimeDistributed(D(k, 3, activation="softmax")), loss=SCCE, shape=(5, 4)),
        {"units": 3, "activations": ("softmax",), "rank": 3},
    ),
    "pooled convolution": (
        lambda k: sequential(k, k.layers.Conv2D(3, 1), k.layers.GlobalAveragePooling2D(), loss=SCCE, shape=(8, 8, 1)),
        {"units": 3, "activations": (), "opaque": (), "rank": 2},
    ),
    "flattened convolution": (
        lambda k: sequential(
            k, k.layers.Conv2D(3, 8), k.layers.Flatten(), k.layers.Softmax(), loss=SCCE, shape=(8, 8, 1)
        ),
        {"units": 3, "softmax_size": 3, "rank": 2},
    ),
    "EinsumDense": (
        lambda k: sequential(k, k.layers.EinsumDense("ab,bc->ac", 3, bias_axes="c", activation="softmax"), loss=CCE),
        {"units": 3, "activations": ("softmax",)},
    ),
    "mixed precision": (
        lambda k: sequential(k, D(k, 1, activation="sigmoid", dtype="mixed_bfloat16"), loss=BCE),
        {"dtype": "bfloat16"},
    ),
    "float32 head under mixed precision": (
        lambda k: sequential(
            k, D(k, 3, dtype="mixed_float16"), k.layers.Activation("softmax", dtype="float32"), loss=CCE
        ),
        {"dtype": "float32", "activations": ("softmax",)},
    ),
}
# What nobody but its author can tell: these heads are opaque.
OPAQUE: dict[str, Callable[[Any], Any]] = {
    "average of two": lambda k: functional(
        k, lambda x: k.layers.Average()([D(k, 3, activation="softmax")(x), D(k, 3, activation="softmax")(x)]), CCE
    ),
    "clip": lambda k: functional(k, lambda x: k.ops.clip(D(k, 1)(x), 1e-3, 0.999), BCE),
    "tanh brought to 0 and 1": lambda k: functional(k, lambda x: (k.ops.tanh(D(k, 1)(x)) + 1) / 2, BCE),
    "concatenation": lambda k: functional(
        k, lambda x: k.layers.Concatenate()([D(k, 1)(x), D(k, 1, activation="sigmoid")(x)]), CCE
    ),
    "Lambda": lambda k: sequential(k, D(k, 1), k.layers.Lambda(lambda x: x * 2), loss=BCE),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_heads(name: str, keras: Any, tmp_path: Path) -> None:
    build, expected = HEADS[name]
    model = build(keras)
    head = only_head(model, tmp_path)
    assert {field: getattr(head, field) for field in expected} == expected
    assert head.units == (model.output_shape[-1] if head.rank > 1 else 1)
    assert head.rank == len(model.output_shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPAQUE)
def test_opaque_heads_are_neither_linear_nor_probabilities(name: str, keras: Any, tmp_path: Path) -> None:
    head = only_head(OPAQUE[name](keras), tmp_path)
    assert head.opaque
    assert not head.is_linear
    assert not head.gives_probabilities


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, (_, expected) in HEADS.items()
        if expected.get("activations", ("?",))[-1:] in (("sigmoid",), ("softmax",)) and expected.get("rank", 2) == 2
    ]
    + ["mixed precision"],
)
def test_keeps_logits_is_what_keras_on_tensorflow_does(name: str, keras: Any, tmp_path: Path) -> None:
    """Logits of 200 on the wrong side cost 200 where they are taken, and at most 16.1 where probabilities are."""
    model = HEADS[name][0](keras)
    if not isinstance(model.loss, str) or "crossentropy" not in model.loss:
        pytest.skip("not a cross-entropy")
    head = only_head(model, tmp_path)
    if keras.backend.backend() != "tensorflow" or (head.units == 1 and head.activation == "softmax"):
        pytest.skip("one unit has no wrong side")
    if head.softmax_axis == 0 or head.kind == "BatchNormalization" or head.activations[0] == "relu":
        pytest.skip("the logits cannot be set from outside")
    weights = [np.zeros_like(weight) for weight in model.get_weights()]
    weights[-1] = np.full_like(weights[-1], -400.0) if head.units == 1 else weights[-1]
    if (head.units or 1) > 1:
        weights[-1][0] = 400.0
    model.set_weights(weights)
    shape = (16, *model.input_shape[1:])
    truth = np.ones(16, dtype="int32") if model.loss != CCE else np.eye(head.units)[np.ones(16, dtype=int)]
    loss = model.evaluate(np.zeros(shape, dtype="float32"), truth, verbose=0)
    loss = loss[0] if isinstance(loss, list) else loss
    assert head.keeps_logits == (loss > 50), loss


def squared_difference(y: Any, p: Any) -> Any:
    return (y - p) ** 2


LOSSES: dict[str, tuple[Callable[[Any], Any], tuple[str, bool, bool]]] = {
    "alias": (lambda _: "bce", ("binary_crossentropy", False, True)),
    "class name": (lambda _: "CategoricalCrossentropy", ("categorical_crossentropy", False, True)),
    "object": (
        lambda k: k.losses.SparseCategoricalCrossentropy(from_logits=True),
        ("sparse_categorical_crossentropy", True, True),
    ),
    "function": (lambda k: k.losses.mean_squared_error, ("mean_squared_error", False, True)),
    "focal": (lambda k: k.losses.BinaryFocalCrossentropy(), ("binary_focal_crossentropy", False, True)),
    "KLD object": (lambda k: k.losses.KLDivergence(), ("kl_divergence", False, True)),
    "KLD string": (lambda _: "kld", ("kl_divergence", False, True)),
    "hinge object": (lambda k: k.losses.CategoricalHinge(), ("categorical_hinge", False, True)),
    "function of the user's own": (lambda _: squared_difference, ("squared_difference", False, False)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, keras: Any, tmp_path: Path) -> None:
    build, (canonical, from_logits, known) = LOSSES[name]
    found = only_head(sequential(keras, D(keras, 3), loss=build(keras)), tmp_path).loss
    assert found is not None
    assert (found.name, found.from_logits, found.known) == (canonical, from_logits, known)


@pytest.mark.slow
def test_options_of_a_loss(keras: Any, tmp_path: Path) -> None:
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    found = only_head(sequential(keras, D(keras, 3), loss=loss), tmp_path).loss
    assert found is not None
    assert found.options["label_smoothing"] == pytest.approx(0.1)


@pytest.mark.slow
def test_losses_of_the_users_own_are_unknown_whatever_their_name(keras: Any, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("theirs")
    def binary_crossentropy(y: Any, p: Any) -> Any:
        return keras.losses.binary_crossentropy(y, keras.ops.sigmoid(p))

    @keras.saving.register_keras_serializable("theirs")
    class CategoricalCrossentropy(keras.losses.Loss):  # type: ignore[misc]
        def call(self, y: Any, p: Any) -> Any:
            return keras.ops.mean((y - p) ** 2, axis=-1)

    for loss in (binary_crossentropy, CategoricalCrossentropy()):
        found = only_head(sequential(keras, D(keras, 1), loss=loss), tmp_path).loss
        assert found is not None
        assert not found.known
        assert not found.is_cross_entropy


@pytest.mark.slow
def test_a_layer_and_an_activation_of_the_users_own_are_opaque(keras: Any, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("theirs")
    class Output(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return keras.ops.sigmoid(x)

    @keras.saving.register_keras_serializable("theirs")
    def squash(x: Any) -> Any:
        return keras.ops.sigmoid(x)

    own_layer = only_head(sequential(keras, D(keras, 1), Output(), loss=BCE), tmp_path)
    own_function = only_head(sequential(keras, D(keras, 1, activation=squash), loss=BCE), tmp_path)
    assert own_layer.opaque
    assert own_function.opaque


@pytest.mark.slow
def test_several_outputs_as_a_list(keras: Any, tmp_path: Path) -> None:
    model = functional(
        keras,
        lambda x: [
            D(keras, 1, activation="sigmoid", name="spam")(x),
            D(keras, 3, activation="softmax", name="kind")(x),
        ],
        {"kind": SCCE, "spam": BCE},
        {"kind": ["accuracy", "f1_score"]},
    )
    spam, kind = saved(model, tmp_path).heads
    assert (spam.name, spam.loss.name, spam.metrics) == ("spam", BCE, ())  # type: ignore[union-attr]
    assert (kind.name, kind.loss.name) == ("kind", SCCE)  # type: ignore[union-attr]
    assert [metric.name for metric in kind.metrics] == ["accuracy", "f1_score"]


@pytest.mark.slow
def test_several_outputs_as_a_dict_are_told_apart_by_their_keys(keras: Any, tmp_path: Path) -> None:
    model = functional(
        keras,
        lambda x: {"b": D(keras, 1, activation="sigmoid", name="x1")(x), "a": D(keras, 3, name="x2")(x)},
        {"a": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "b": BCE},
        {"a": ["accuracy"]},
    )
    heads = {head.key: head for head in saved(model, tmp_path).heads}
    assert set(heads) == {"a", "b"}
    assert (heads["a"].layer, heads["a"].loss.name, heads["a"].loss.from_logits) == ("x2", SCCE, True)  # type: ignore[union-attr]
    assert heads["b"].metrics == ()


@pytest.mark.slow
def test_a_flat_list_of_metrics_is_one_for_each_output(keras: Any, tmp_path: Path) -> None:
    model = functional(
        keras,
        lambda x: [D(keras, 1, activation="sigmoid", name="a")(x), D(keras, 1, activation="sigmoid", name="b")(x)],
        BCE,
        ["accuracy", "mse"],
    )
    assert [[metric.name for metric in head.metrics] for head in saved(model, tmp_path).heads] == [
        ["accuracy"],
        ["mse"],
    ]


@pytest.mark.slow
def test_metrics_by_object_keep_their_options(keras: Any, tmp_path: Path) -> None:
    metrics = [keras.metrics.BinaryAccuracy(threshold=0.0), "Accuracy", keras.metrics.AUC(from_logits=True)]
    found = only_head(sequential(keras, D(keras, 1), loss="hinge", metrics=metrics), tmp_path).metrics
    assert [(metric.name, metric.by_string) for metric in found] == [
        ("binary_accuracy", False),
        ("accuracy", True),
        ("auc", False),
    ]
    assert found[0].options["threshold"] == 0.0
    assert found[2].options["from_logits"] is True


@pytest.mark.slow
def test_a_subclassed_model_has_no_heads_and_the_head_is_missing_with_a_reason(keras: Any, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("theirs")
    class Net(keras.Model):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.out = keras.layers.Dense(1, activation="sigmoid")

        def call(self, x: Any) -> Any:
            return self.out(x)

    model = Net()
    model(np.zeros((1, 4), dtype="float32"))
    model.compile("adam", BCE)
    found = saved(model, tmp_path)
    assert found.heads == ()
    with pytest.raises(Missing, match="subclassed"):
        Evidence({"spec": found, "output": 0}).get("head")


def config(*layers: dict[str, Any], **compiled: Any) -> dict[str, Any]:
    """A Sequential config by hand."""
    return {"class_name": "Sequential", "config": {"layers": list(layers)}, "compile_config": compiled}


def layer(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **settings}}


def test_the_backend_decides_whether_logits_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        settings = config(layer("Dense", "out", units=3, activation="softmax"), loss=CCE)
        archive.writestr("config.json", json.dumps(settings))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.0"}))
    for backend, kept in (("tensorflow", True), ("jax", False), ("torch", False)):
        (head,) = spec(path, {"keras": {"keras_backend": backend}}).heads
        assert (head.backend, head.keeps_logits) == (backend, kept)


def broken(folder: Path) -> Iterator[tuple[str, Path]]:
    contents = {
        "no zip": b"not a zip",
        "no config": {},
        "a list": {"config.json": "[]", "metadata.json": "{}"},
        "no JSON": {"config.json": "{", "metadata.json": "{}"},
        "wrong types": {"config.json": '{"config": {"layers": [5]}}', "metadata.json": "{}"},
    }
    for name, content in contents.items():
        path = folder / f"{name}.keras"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                for member, text in content.items():
                    archive.writestr(member, text)
        yield name, path


def test_a_broken_file_is_missing_evidence_not_an_error(tmp_path: Path) -> None:
    for _, path in broken(tmp_path):
        with pytest.raises(Missing, match="cannot be read"):
            spec(path, FLAVORS)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"class_name": "Sequential"},
        {"class_name": "Sequential", "config": {"layers": []}},
        config(layer("Softmax", "out")),
        config(layer("Dense", "out", units="three")),
        config(layer("Reshape", "out", target_shape=[-1])),
        config(layer("Dense", "out", units=1), loss={"a": "bce"}, metrics=[[["accuracy"]]], optimizer=5),
    ],
)
def test_odd_configs_are_read_without_an_error(settings: dict[str, Any]) -> None:
    parse(settings)


def test_models_nested_without_end_are_refused() -> None:
    inner: dict[str, Any] = layer("Dense", "out", units=1)
    for depth in range(250):
        inner = {"class_name": "Sequential", "config": {"name": f"m{depth}", "layers": [inner]}}
    with pytest.raises(ValueError, match="too deeply"):
        parse(inner)
