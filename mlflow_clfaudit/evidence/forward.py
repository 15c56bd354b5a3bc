"""Reloads the logged model and passes the rows through it once: served outputs, head logits, penultimate features."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing, OutOfMemory
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.inputs import Rows, count, take
from mlflow_clfaudit.evidence.labels import LabelSet
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.types import Tier

BATCH_VALUES = 2**22
# More than that are computed anew for the rows of a trial only.
MAX_FEATURE_BYTES = 2**28
SAMPLE_ROWS = 6_000
# In the order of preference, with what a short training is best compiled with: XLA takes longer than the training.
COMPILE_OPTIONS: Mapping[str, Mapping[str, Any]] = {"tensorflow": {"jit_compile": False}, "jax": {}, "torch": {}}


REGISTER = "register its custom objects, or log it with them"
PICKLED_OBJECTS = ("custom_objects.cloudpickle", "global_custom_objects.cloudpickle")


@dataclass(frozen=True)
class Network:
    """A loaded model; one of Keras with its head tapped.

    `tapped` maps inputs to (features, logits, output); None for a model without a graph, which gives outputs only.
    `reload()` returns a fresh, uncompiled copy for counterfactuals. An estimator names its `classes` (K,) in the order
    of its outputs, decides rows by itself in `decide` (inputs → class indices (N,)), and its `head` says what its
    outputs are; all three are None for Keras.
    """

    model: Any
    tapped: Any
    reload: Callable[[], Any]
    backend: str
    device: str
    classes: np.ndarray | None = None
    decide: Callable[[Any], np.ndarray] | None = None
    head: Head | None = None


@dataclass(frozen=True)
class Served:
    """What the model says about rows, beside what is true of them.

    `outputs` (N, C) are what predict() returns, `logits` (N, C) the head before any activation, `features` (N, D)
    what the head reads, `truth` (N,) int64 the class index of each row. `inputs` are the rows themselves. `answers`
    (N,) int64 are the class indices that a model decided for by itself.
    """

    split: str
    held_out: bool
    head: Head
    outputs: np.ndarray
    truth: np.ndarray
    classes: int
    logits: np.ndarray | None = None
    features: np.ndarray | None = None
    inputs: Any = None
    total: int = 0
    answers: np.ndarray | None = None

    @property
    def rows(self) -> int:
        return len(self.truth)

    @property
    def width(self) -> int:
        return int(self.outputs.shape[1])

    @cached_property
    def decision(self) -> np.ndarray:
        """The class that the served output stands for: argmax, or the head's own threshold for a single unit."""
        if self.answers is not None:
            return self.answers
        return self.decide(self.outputs, self.head.threshold)

    def decide(self, outputs: np.ndarray, threshold: float) -> np.ndarray:
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > threshold).astype(np.int64)
        return np.asarray(np.argmax(outputs, axis=1), dtype=np.int64)

    @property
    def tells_classes(self) -> bool:
        """Whether the outputs can stand for every class: a unit for each, or one unit for two."""
        return self.width >= self.classes or (self.width == 1 and self.classes == 2)

    @cached_property
    def accuracy(self) -> float:
        return float(np.mean(self.decision == self.truth))

    @cached_property
    def balanced_accuracy(self) -> float:
        return measures.balanced_accuracy(self.truth, self.decision)

    @cached_property
    def shares(self) -> np.ndarray:
        """The share of each class among the rows, (K,)."""
        return np.asarray(np.bincount(self.truth, minlength=self.classes) / max(self.rows, 1))

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """The outputs as class probabilities (N, K) on the scale that the loss assumes, or None where they are none."""
        outputs = self.outputs.astype(np.float64)
        if self.head.bare:
            return None
        if self.head.link is not None:
            outputs = measures.sigmoid(outputs) if self.head.link == "sigmoid" else measures.softmax(outputs)
        elif not self.head.gives_probabilities:
            loss = self.head.loss
            if loss is None or not loss.is_cross_entropy:
                return None
            if loss.from_logits:
                outputs = measures.sigmoid(outputs) if self.width == 1 or loss.is_binary else measures.softmax(outputs)
        if self.width == 1:
            positive = np.clip(outputs[:, 0], 0.0, 1.0)
            return np.column_stack([1 - positive, positive])
        totals = np.clip(outputs, 0.0, None).sum(axis=1, keepdims=True)
        return np.asarray(np.clip(outputs, 0.0, None) / np.where(totals > 0, totals, 1.0))

    @cached_property
    def scores(self) -> np.ndarray | None:
        """The binary score of class 1, (N,), or None for more classes and for answers without scores."""
        if self.head.bare:
            return None
        if self.width == 1 and self.classes == 2:
            return self.outputs[:, 0]
        if self.width != 2 or self.classes != 2:
            return None
        # Of two logits, the second alone ranks nothing.
        return self.outputs[:, 1] if self.head.link is None or self.probabilities is None else self.probabilities[:, 1]

    @cached_property
    def area_under_curve(self) -> float | None:
        return measures.area_under_curve(self.truth, self.scores) if self.scores is not None else None

    @cached_property
    def information(self) -> float | None:
        """U of the served probabilities; see `measures.information_ratio`."""
        if self.probabilities is None or self.probabilities.shape[1] < self.classes:
            return None
        squared = self.head.loss is not None and self.head.loss.is_regression
        return measures.information_ratio(self.truth, self.probabilities, squared=squared)

    @property
    def skill(self) -> float:
        """U, or where the outputs are no probabilities the balanced accuracy above chance: 0 none, 1 all."""
        if self.information is not None:
            return self.information
        chance = 1.0 / max(len(np.unique(self.truth)), 2)
        return (self.balanced_accuracy - chance) / (1.0 - chance)

    def has_learnt(self, *, information: float = 0.5, right: float = 0.9) -> bool:
        """Whether the model knows its task: U of .5 and more, or nine rows in ten of every class decided rightly."""
        return self.skill >= information or self.balanced_accuracy >= right

    @property
    def where(self) -> str:
        """The rows in words: 970 held-out rows, or 653 training rows."""
        return f"{self.rows:,} {'held-out' if self.held_out else 'training'} rows".replace(",", " ")

    def take(self, chosen: np.ndarray) -> Served:
        """The same about some of the rows."""
        return replace(
            self,
            outputs=self.outputs[chosen],
            truth=self.truth[chosen],
            logits=None if self.logits is None else self.logits[chosen],
            features=None if self.features is None else self.features[chosen],
            inputs=None if self.inputs is None else take(self.inputs, chosen),
            answers=None if self.answers is None else self.answers[chosen],
        )


@dataclass(frozen=True)
class Trial:
    """The rows that probes and refits learn from and the rows that they are judged on, never the same."""

    fit: Served
    judge: Served


@provides(tier=Tier.FORWARD)
def network(
    keras_file: Path, spec: Spec, head: Head, device: str, model_folder: Path, allow_unsafe: bool | None = None
) -> Network:
    """The logged model, loaded without its compile arguments; in Keras's safe mode unless more was allowed."""
    keras = import_keras(spec.backend, device)

    def reload() -> Any:
        return _with_head(keras, keras.saving.load_model(keras_file, compile=False, **options), spec, head)

    try:
        options = load_options(model_folder, allow_unsafe)
        model = reload()
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        _must_fit(error)
        text = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        brings_code = "safe_mode" in text or "untrusted" in text or "Lambda" in text
        remedy = "--allow-unsafe, where you trust the model" if brings_code else REGISTER
        raise Missing(f"the model does not load: {text}", remedy) from None
    return Network(model, _tap(keras, model, head), reload, keras.backend.backend(), device_name(keras))


@provides(tier=Tier.FORWARD)
def served(network: Network, evaluation_rows: Rows, head: Head) -> Served:
    """What the model says about the evaluation rows."""
    return serve(network, evaluation_rows, head)


@provides(tier=Tier.FORWARD)
def served_train(network: Network, training_rows: Rows, evaluation_rows: Rows, head: Head, served: Served) -> Served:
    """What the model says about the training rows: all of them, or a stratified sample of a large set."""
    if evaluation_rows.split == training_rows.split:
        return served
    return serve(network, training_rows, head, limit=4 * SAMPLE_ROWS)


@provides(tier=Tier.FORWARD)
def trial(network: Network, served: Served, served_train: Served | None = None) -> Trial:
    """Rows to learn from and rows to be judged on: the training and the held-out rows, or a 70/30 cut of one set."""
    cut = _cut(served, served_train)
    return Trial(_with_features(network, cut.fit), _with_features(network, cut.judge))


def _with_features(network: Network, served: Served) -> Served:
    if served.features is not None or network.tapped is None or served.inputs is None:
        return served
    return replace(served, features=forward(network, served.inputs)[0])


def _cut(served: Served, served_train: Served | None) -> Trial:
    if served_train is not None and served.held_out and _enough(served_train) and _enough(served):
        return Trial(_sample(served_train), _sample(served))
    one = served_train if served_train is not None and _enough(served_train) else served
    if not _enough(one):
        raise Missing("too few rows of a second class to judge on", "log rows of every class")
    one = _sample(one, 2 * SAMPLE_ROWS)
    from sklearn.model_selection import train_test_split

    rows = np.flatnonzero(np.bincount(one.truth)[one.truth] >= 2)
    try:
        fit_rows, judge_rows = train_test_split(rows, test_size=0.3, stratify=one.truth[rows], random_state=0)
    except ValueError:
        raise Missing("too few rows for so many classes to judge on", "log held-out rows") from None
    return Trial(one.take(fit_rows), one.take(judge_rows))


def serve(network: Network, rows: Rows, head: Head, *, limit: int | None = None) -> Served:
    """Pass rows through the model once. Features and inputs are kept only of a sample that probes can use."""
    if rows.labels.form in ("multi-hot", "matrix", "continuous"):
        raise Missing(f"{rows.labels.form} labels are not judged row by row")
    inputs, labels = _learnt_from(rows, head)
    if network.classes is not None:
        truth, classes = known_indices(labels, network.classes)
    else:
        truth, classes = class_indices(labels, _width(network, head))
    if limit is not None and len(truth) > limit:
        chosen = stratified(truth, limit)
        inputs, truth = take(inputs, chosen), truth[chosen]
    features, logits, outputs = forward(network, inputs)
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if outputs.ndim != 2:
        raise Missing(f"outputs of shape {outputs.shape} (one decision per position) are not judged")
    return Served(
        split=rows.split,
        held_out=rows.held_out,
        head=network.head or head,
        outputs=outputs,
        truth=truth,
        classes=max(classes, outputs.shape[1], 2),
        logits=logits,
        features=features,
        inputs=inputs,
        total=rows.count,
        answers=network.decide(inputs) if network.decide is not None else None,
    )


def _learnt_from(rows: Rows, head: Head) -> tuple[Any, LabelSet]:
    """The inputs and labels of the rows that the loss counts: those of its `ignore_class` are nobody's mistake."""
    ignored = head.loss.options.get("ignore_class") if head.loss is not None else None
    labels = rows.labels
    if ignored is None or labels.codes.dtype.kind not in "iu":
        return rows.inputs, labels
    labels = replace(labels, scale=None if labels.scale is None else labels.scale[labels.scale != ignored])
    if ignored not in labels.classes:
        return rows.inputs, labels
    kept = np.flatnonzero(labels.codes != ignored)
    return take(rows.inputs, kept), replace(labels, values=labels.values[kept])


def class_indices(labels: LabelSet, width: int | None) -> tuple[np.ndarray, int]:
    """Labels as class indices (N,) int64 and the number of classes.

    Labels that are unit numbers already stay; others (text, 1 and 2 for one unit, -1 and 1) are numbered in the order
    of the classes of all splits.
    """
    known = labels.classes if labels.scale is None else labels.scale
    units = 2 if width in (None, 1) else width
    if labels.codes.dtype.kind in "iu" and len(known) and known[0] >= 0 and known[-1] < units:
        return labels.codes.astype(np.int64), max(int(known[-1]) + 1, 2)
    truth, classes = labels.units
    return truth, max(classes, 2)


def known_indices(labels: LabelSet, known: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels as places in the classes (K,) that a model names, (N,) int64, and the number of classes.

    Labels of as many other classes, such as text for a model that was fitted on codes, are numbered in their order;
    classes beyond those of the model, which it has never seen, are one more.
    """
    classes = labels.classes
    every = classes if labels.scale is None or not np.all(np.isin(classes, labels.scale)) else labels.scale
    if not np.isin(names_of(every), names_of(known)).all() and len(every) == len(known):
        return labels.units
    places = {name: place for place, name in enumerate(names_of(known).tolist())}
    of_class = np.array([places.get(name, len(known)) for name in names_of(classes).tolist()], dtype=np.int64)
    if len(of_class) and of_class.min() == len(known):
        return class_indices(labels, len(known))
    truth = of_class[labels.index]
    return truth, max(len(known), int(truth.max(initial=0)) + 1)


def names_of(classes: np.ndarray) -> np.ndarray:
    """Classes as text (K,), the same for 1, 1.0 and True."""
    if classes.dtype.kind in "fb" and np.all(classes == np.round(classes.astype(np.float64))):
        classes = classes.astype(np.int64)
    return np.asarray(classes.astype(str))


def forward(network: Network, inputs: Any) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Features (N, D), logits (N, C) and outputs of every row, in large batches. Too many features are None.

    Batch by batch, for `model.predict` spends twice as long on its own pipeline; a batch that the memory does not hold
    is tried again at half its size.
    """
    model = network.tapped or network.model
    parts: list[list[np.ndarray]] = []
    start, rows, batch = 0, count(inputs), _batch_size(inputs)
    while start < rows:
        chunk = take(inputs, slice(start, start + batch))
        try:
            passed = model.predict_on_batch(as_model_input(model, chunk))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
            if _exhausted(error) and batch > 1:
                batch //= 2
                continue
            _must_fit(error)
            text = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
            raise Missing(
                f"the logged inputs do not fit the model: {text}", "log the inputs exactly as fit() was given them"
            ) from None
        start += batch
        parts.append([np.asarray(part) for part in passed] if network.tapped else [np.asarray(_only(passed))])
        if network.tapped and parts[-1][0].nbytes * rows > MAX_FEATURE_BYTES * len(parts[-1][0]):
            parts[-1][0] = parts[-1][0][:0]
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    if not network.tapped:
        return None, None, joined[0]
    features, logits, outputs = joined
    if logits.ndim == 3 and outputs.ndim == 2 and logits.shape[0] == outputs.shape[0]:
        logits = logits.reshape(len(logits), -1)
    return features.reshape(len(features), -1) if len(features) == len(outputs) else None, logits, outputs


def _must_fit(error: Exception) -> None:
    """Raise OutOfMemory where that is what the error says: it tells nothing about the model, so nothing is judged."""
    if _exhausted(error):
        raise OutOfMemory("the memory does not suffice to run the model; try --tier static") from None


def _exhausted(error: Exception) -> bool:
    """Whether TensorFlow, JAX or torch says that memory, the host's or the device's, is used up."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")
        or "RESOURCE_EXHAUSTED" in str(error)
    )


def stratified(truth: np.ndarray, limit: int, *, seed: int = 0) -> np.ndarray:
    """Row numbers of a sample of at most about `limit` rows that keeps the class shares and every class."""
    random = np.random.default_rng(seed)
    share = min(limit / len(truth), 1.0)
    chosen = [
        random.choice(rows, max(min(len(rows), 5), int(len(rows) * share)), replace=False)
        for rows in (np.flatnonzero(truth == code) for code in np.unique(truth))
    ]
    return np.sort(np.concatenate(chosen))


def import_keras(backend: str | None, device: str) -> Any:
    """Import Keras on the backend of the run where it is installed, else on one that is; quiet, on the device asked."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device == "cpu":
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if "KERAS_BACKEND" not in os.environ:
        installed = [name for name in (backend, *COMPILE_OPTIONS) if name and importlib.util.find_spec(name)]
        if not installed:
            raise Missing("no Keras backend is installed here", 'pip install "mlflow-clfaudit[tensorflow]"')
        os.environ["KERAS_BACKEND"] = installed[0]
    try:
        with _quiet_first_import():
            import keras
    except ImportError as error:
        raise Missing(f"Keras cannot be imported: {error}", 'pip install "mlflow-clfaudit[tensorflow]"') from None
    if device == "gpu" and "GPU" not in device_name(keras):
        raise Missing("no GPU is visible to Keras", "--device auto")
    return keras


def load_options(model_folder: Path, allow_unsafe: bool | None) -> dict[str, Any]:
    """How Keras may load the model: without code of its own, or with its Lambdas and its pickled custom objects.

    MLflow's own MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false forbids both, whatever else was allowed.
    """
    if not allow_unsafe or os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() in ("false", "0"):
        return {"safe_mode": True}
    import pickle

    objects: dict[str, Any] = {}
    for name in PICKLED_OBJECTS:
        path = model_folder / "data" / name
        if path.is_file():
            with path.open("rb") as file:
                objects |= pickle.load(file)  # noqa: S301 - --allow-unsafe asked for it
    return {"safe_mode": False, "custom_objects": objects}


@contextlib.contextmanager
def _quiet_first_import() -> Iterator[None]:
    """Keep what TensorFlow's C++ prints while it loads off the terminal; it heeds no log level then."""
    if "keras" in sys.modules:
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _with_head(keras: Any, model: Any, spec: Spec, head: Head) -> Any:
    """The model with the activation that `head` names, where a virtual repair differs from the file."""
    saved = next((item for item in spec.heads if item.name == head.name), head)
    if saved.activations == head.activations:
        return model
    owner = model
    for name in head.name.split("/"):
        owner = owner.get_layer(name)
    if getattr(owner, "activation", None) is None:
        raise Missing(f"the activation of {head.name} cannot be exchanged in place")
    owner.activation = keras.activations.get(head.activation)
    return model


def _tap(keras: Any, model: Any, head: Head) -> Any:
    """A model from the same inputs to (features, logits, output), or None where the model has no graph."""
    try:
        features, logits = _head_tensors(keras, model, head.layer.split("/"))
        return keras.Model(model.inputs, [features, logits, _outputs(model)[output_position(model, head)]])
    except (ValueError, AttributeError, TypeError, KeyError, StopIteration):
        return None


def _head_tensors(keras: Any, model: Any, path: list[str]) -> Any:
    """What the head reads and what it computes before its activation, in the graph of `model`, at any nesting."""
    layer = model.get_layer(path[0])
    if len(path) > 1:
        inside = keras.Model(layer.inputs, _head_tensors(keras, layer, path[1:]))
        return inside(_read_by(model, layer))
    features = _read_by(model, layer)
    return [features, features if not layer.weights else _linear(layer)(features)]


def _read_by(model: Any, layer: Any) -> Any:
    """The tensor that the layer reads inside this model; a Sequential model built twice has it in two graphs."""
    graph = getattr(model, "_functional", None) or model
    nodes = (node for level in graph._nodes_by_depth.values() for node in level)
    node = next(node for node in nodes if node.operation is layer)
    (tensor,) = node.input_tensors
    return tensor


def _linear(layer: Any) -> Any:
    """A copy of the layer with the same weights and no activation."""
    config = layer.get_config()
    if config.get("activation") in (None, "linear"):
        return layer
    copy = layer.__class__.from_config({**config, "activation": "linear", "name": f"{layer.name}_logits"})
    copy.build(layer.input.shape)
    copy.set_weights(layer.get_weights())
    return copy


def _outputs(model: Any) -> list[Any]:
    return list(model.outputs)


def with_one_output(keras: Any, model: Any, head: Head) -> Any:
    """The model from a list of inputs to the head's output alone; a Sequential model is that already."""
    if isinstance(model, keras.Sequential):
        return model
    return keras.Model(model.inputs, model.outputs[output_position(model, head)])


def output_position(model: Any, head: Head) -> int:
    """The position of the head's output among the model's."""
    names = list(getattr(model, "output_names", []))
    last = head.name.split("/")[0]
    return names.index(last) if last in names else 0


def _width(network: Network, head: Head) -> int | None:
    shape = getattr(network.tapped, "output_shape", None)
    return shape[2][-1] if shape else head.units


def as_model_input(model: Any, inputs: Any) -> Any:
    """Inputs in the structure that the model takes: an array, or a list in the order of its input tensors."""
    if not isinstance(inputs, dict):
        return np.asarray(inputs)
    wanted = list(getattr(model, "inputs", None) or [])
    keys = [_match(tensor.name, inputs) for tensor in wanted]
    if None in keys or len(set(keys)) < len(keys):
        keys = list(inputs)
    arrays = [np.asarray(inputs[key]) for key in keys]
    return arrays[0] if len(arrays) == 1 else arrays


def _match(name: str, arrays: Mapping[str, Any]) -> Any:
    if name in arrays:
        return name
    return next((key for key in arrays if key.endswith(f"_{name}") or key.startswith(f"{name}_")), None)


def _only(passed: Any) -> Any:
    if isinstance(passed, dict):
        passed = list(passed.values())
    return passed[0] if isinstance(passed, list | tuple) else passed


def _batch_size(inputs: Any) -> int:
    first = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    values = int(np.prod(first.shape[1:])) or 1
    return int(np.clip(BATCH_VALUES // values, 32, 32_768))


def _enough(served: Served, *, rows: int = 4) -> bool:
    counts = np.bincount(served.truth)
    return bool(np.sum(counts >= rows) >= 2)


def _sample(served: Served, limit: int = SAMPLE_ROWS) -> Served:
    return served if served.rows <= limit else served.take(stratified(served.truth, limit))


def device_name(keras: Any) -> str:
    try:
        listed = keras.distribution.list_devices("gpu")
    except (ImportError, AttributeError, RuntimeError, ValueError):
        listed = []
    return f"GPU ({len(listed)})" if listed else "CPU"


@dataclass(frozen=True)
class Compiled:
    """The logged model with the loss and the metrics that it was compiled with."""

    model: Any
    device: str

    @property
    def width(self) -> int | None:
        """The number of units of the only output, None for a model of several."""
        shape = getattr(self.model, "output_shape", None)
        return shape[-1] if isinstance(shape, tuple) and shape and isinstance(shape[-1], int) else None

    def evaluate(self, inputs: Any, labels: np.ndarray) -> Mapping[str, float]:
        """The compiled loss and metrics by name, as fit() computes them on validation rows.

        Raises:
            Missing: the rows are not what the model and its loss take.
        """
        if labels.dtype.kind not in "fiub":
            raise Missing("the loss takes numbers, and the labels were logged as text")
        values = labels.astype(np.float32) if labels.dtype.kind == "b" else labels
        batch = max(_batch_size(inputs), 32)
        try:
            found = self.model.evaluate(
                as_model_input(self.model, inputs), values, batch_size=batch, verbose=0, return_dict=True
            )
        except Exception as error:  # noqa: BLE001 - whatever the loss raises about its labels
            text = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
            raise Missing(f"the compiled loss does not take the logged rows: {text}") from None
        return {name: float(value) for name, value in found.items() if np.ndim(value) == 0}


@provides(tier=Tier.FORWARD)
def compiled(
    keras_file: Path, spec: Spec, device: str, model_folder: Path, allow_unsafe: bool | None = None
) -> Compiled:
    """The logged model loaded with its compile arguments; Missing where it has none or they are the user's own."""
    if not spec.compiled or any(item.loss is None for item in spec.heads):
        raise Missing("the model was saved without its loss", "model.compile(loss=…) before logging the model")
    keras = import_keras(spec.backend, device)
    try:
        with warnings.catch_warnings():
            # An optimizer that cannot take its saved state says so; nothing is trained here.
            warnings.simplefilter("ignore")
            model = keras.saving.load_model(keras_file, compile=True, **load_options(model_folder, allow_unsafe))
    except Exception as error:  # noqa: BLE001 - whatever a stranger's loss or metric raises
        text = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise Missing(f"the model does not load with its loss and metrics: {text}") from None
    return Compiled(model, device_name(keras))
