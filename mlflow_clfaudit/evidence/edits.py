"""What a counterfactual may change about a copy of the model or its rows: inputs, initial weights, architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.served import Trial
from mlflow_clfaudit.evidence.spec import Head, Spec

# Layers that read numbers as names of things: scaling such numbers would make other names of them.
LOOKUPS = {
    "Embedding",
    "StringLookup",
    "IntegerLookup",
    "Hashing",
    "CategoryEncoding",
    "Discretization",
    "TextVectorization",
    "HashedCrossing",
}
SQUASHING = ("sigmoid", "tanh", "hard_sigmoid", "softsign", "hard_tanh")
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "Bidirectional", "RNN", "ConvLSTM2D", "TimeDistributed")
WIDENING = 4


def standardised(trial: Trial, spec: Spec) -> Trial:
    """The same rows with every input column at mean 0 and deviation 1, as the training rows measure them.

    Images and sequences are scaled by channel. Inputs that are looked up (ids, words) stay as they are.

    Raises:
        Missing: no input is a quantity.
    """
    fit, judge = trial.fit.inputs, trial.judge.inputs
    if fit is None or judge is None:
        raise Missing("the inputs were not kept")
    kept = looked_up(spec)
    if not isinstance(fit, dict):
        if kept or np.asarray(fit).dtype.kind not in "fiu":
            raise Missing("the inputs are ids, not quantities: they have no scale")
        return Trial(replace(trial.fit, inputs=_scaled(fit, fit)), replace(trial.judge, inputs=_scaled(judge, fit)))
    names = [name for name, array in fit.items() if name not in kept and array.dtype.kind in "fiu"]
    if not names:
        raise Missing("the inputs are ids, not quantities: they have no scale")
    return Trial(
        replace(trial.fit, inputs=fit | {name: _scaled(fit[name], fit[name]) for name in names}),
        replace(trial.judge, inputs=judge | {name: _scaled(judge[name], fit[name]) for name in names}),
    )


def looked_up(spec: Spec) -> set[str]:
    """The names of the input layers whose values are looked up rather than computed with."""
    by_name = {layer.name: layer for layer in spec.layers}
    found: set[str] = set()
    waiting = [layer for layer in spec.layers if layer.kind in LOOKUPS]
    seen: set[str] = set()
    while waiting:
        layer = waiting.pop()
        if layer.name in seen:
            continue
        seen.add(layer.name)
        if not layer.reads:
            found.add(layer.name)
        waiting += [by_name[name] for name in layer.reads if name in by_name]
    return found


def _scaled(array: Any, reference: Any) -> np.ndarray:
    reference = np.asarray(reference, dtype=np.float64)
    axes = tuple(range(reference.ndim - 1)) if reference.ndim > 2 else 0
    deviation = reference.std(axis=axes)
    scaled = (np.asarray(array) - reference.mean(axis=axes)) / np.where(deviation > 0, deviation, 1.0)
    return np.asarray(scaled, dtype=np.float32)


def begin(model: Any, values: Sequence[np.ndarray]) -> None:
    """Set what training decides (trainable weights, and the batch statistics beside them) to `values`.

    What is fixed (frozen layers, adapted normalisation, vocabularies) stays. `values` go with `model.variables`.
    """
    trained = {id(variable) for variable in model.trainable_variables}
    folders = {variable.path.rpartition("/")[0] for variable in model.trainable_variables}
    for variable, value in zip(model.variables, values, strict=True):
        statistic = variable.name in ("moving_mean", "moving_variance")
        if id(variable) in trained or (statistic and variable.path.rpartition("/")[0] in folders):
            variable.assign(value)


def glorot(values: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """Glorot-uniform draws for kernels, zeros for biases and ones for scales that are constant, per variable."""
    drawn = np.random.default_rng(seed)
    return [_drawn(value, drawn) for value in values]


def _drawn(value: np.ndarray, drawn: np.random.Generator) -> np.ndarray:
    if value.ndim < 2:
        return value
    receptive = int(np.prod(value.shape[:-2]))
    limit = np.sqrt(6.0 / (receptive * (value.shape[-2] + value.shape[-1])))
    return drawn.uniform(-limit, limit, value.shape).astype(value.dtype)


def _relu(keras: Any, model: Any, head: Head) -> Any:
    """Hidden sigmoids and tanhs swapped for relu with He's initialisation."""
    swapped = 0

    def changed(config: dict[str, Any], layer: Any) -> dict[str, Any]:
        nonlocal swapped
        if config.get("activation") not in SQUASHING or layer.__class__.__name__ in RECURRENT:
            return config
        swapped += 1
        return config | {"activation": "relu"} | ({"kernel_initializer": "he_uniform"} if "units" in config else {})

    edited = _cloned(keras, model, head, changed)
    if not swapped:
        raise Missing("the model has no hidden sigmoid or tanh")
    return edited


def _wider(keras: Any, model: Any, head: Head) -> Any:
    """The narrowest hidden layers four times as wide, and as wide as the head at least."""
    hidden = [layer for layer in model.layers if layer.name != head.layer.split("/")[-1]]
    widths = [getattr(layer, "units", getattr(layer, "filters", None)) for layer in hidden]
    narrowest = min((width for width in widths if isinstance(width, int)), default=None)
    if narrowest is None:
        raise Missing("the model has no hidden layer to widen")

    def changed(config: dict[str, Any], _: Any) -> dict[str, Any]:
        keys = [key for key in ("units", "filters") if config.get(key) == narrowest]
        return config | dict.fromkeys(keys, max(narrowest * WIDENING, head.units or 0))

    return _cloned(keras, model, head, changed)


def _unregularised(keras: Any, model: Any, head: Head) -> Any:
    """Dropout at 0 and no weight penalty, on the logged weights."""

    def changed(config: dict[str, Any], layer: Any) -> dict[str, Any]:
        penalties = {key: None for key in config if key.endswith("_regularizer")}
        rates = {key: 0.0 for key in ("rate", "dropout", "recurrent_dropout") if isinstance(config.get(key), float)}
        return config | penalties | (rates if "Dropout" in layer.__class__.__name__ or "units" in config else {})

    edited = _cloned(keras, model, head, changed, with_head=True)
    edited.set_weights(model.get_weights())
    return edited


def _unfrozen(_: Any, model: Any, __: Head) -> Any:
    """Every layer trainable, from the logged weights."""
    model.trainable = True
    for layer in model.layers:
        layer.trainable = True
    return model


EDITS: Mapping[str, Callable[[Any, Any, Head], Any]] = {
    "relu": _relu,
    "wider": _wider,
    "unregularised": _unregularised,
    "unfrozen": _unfrozen,
}


def _cloned(
    keras: Any,
    model: Any,
    head: Head,
    changed: Callable[[dict[str, Any], Any], dict[str, Any]],
    *,
    with_head: bool = False,
) -> Any:
    """A copy built from changed layer configs with newly drawn weights; what is not trained keeps its values."""
    spared = set() if with_head else {head.layer.split("/")[-1], head.name.split("/")[-1]}

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        return layer.__class__.from_config(config if layer.name in spared else changed(config, layer))

    try:
        edited = keras.models.clone_model(model, clone_function=copy, recursive=True)
        for old, new in zip(_layers(model), _layers(edited), strict=True):
            fixed = old.weights and not old.trainable_weights
            if fixed and [value.shape for value in old.weights] == [value.shape for value in new.weights]:
                new.set_weights(old.get_weights())
            if isinstance(new, keras.layers.Normalization):
                # It computes with constants that it made of its weights when it was built.
                new.finalize_state()
        return edited
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        raise Missing(f"the architecture cannot be edited so: {type(error).__name__}") from None


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a model and of the models in it."""
    for layer in model.layers:
        yield from _layers(layer) if getattr(layer, "layers", None) else [layer]
