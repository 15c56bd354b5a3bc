"""What one fit() was really given, copied while it is still at hand: labels in full, a bounded part of the inputs.

Nothing here imports a framework, reads a pipeline a second time or changes an argument; what can only be had by
iterating over the user's data is left out and said to be so.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlflow_clfaudit.at_hand import keras_splits, sklearn_splits
from mlflow_clfaudit.classifying import framework_of, is_classifier
from mlflow_clfaudit.errors import first_line
from mlflow_clfaudit.sampling import Limits, chosen_inputs
from mlflow_clfaudit.storage import as_numbers, write_classes, write_inputs, write_labels

MANIFEST = "manifest.json"
MAX_LABEL_BYTES = 512 * 2**20
FIT_ARGUMENTS = (
    "epochs",
    "batch_size",
    "validation_split",
    "shuffle",
    "initial_epoch",
    "steps_per_epoch",
    "validation_steps",
    "validation_freq",
)
CALLBACK_ARGUMENTS = (
    "monitor",
    "mode",
    "patience",
    "min_delta",
    "restore_best_weights",
    "start_from_epoch",
    "factor",
    "min_lr",
    "cooldown",
    "save_best_only",
)


@dataclass(frozen=True)
class Capture:
    """What one fit() was given. Arrays are copies by split; `rows` tells which rows of a split its inputs are."""

    framework: str
    model: str
    arguments: Mapping[str, Any]
    labels: Mapping[tuple[str, str], np.ndarray] = field(default_factory=dict)
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    classes: Sequence[Any] | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A digest of the labels and inputs: a fit() in a loop over the same data gives the same."""
        found = hashlib.blake2b(digest_size=8)
        for group in (self.labels, self.inputs):
            for key, values in sorted(group.items()):
                found.update(str(key).encode())
                _hash(found, values)
        return found.hexdigest()


def arguments_of(model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `type(model).fit(model, *args, **kwargs)` by name, positional ones too, defaults left out."""
    try:
        bound = inspect.signature(type(model).fit).bind_partial(model, *args, **kwargs)
    except (TypeError, ValueError):
        return dict(kwargs)
    named = dict(bound.arguments)
    named.pop(next(iter(named), ""), None)
    for extra in (name for name, item in bound.signature.parameters.items() if item.kind is item.VAR_KEYWORD):
        named |= named.pop(extra, {})
    return named


def learning_rate_of(model: Any) -> float | None:
    """The learning rate that a Keras model's optimizer stands at, or None."""
    try:
        return float(np.asarray(model.optimizer.learning_rate))
    except Exception:  # noqa: BLE001 - not compiled, or an optimizer of the user's own
        return None


def capture(
    model: Any,
    arguments: Mapping[str, Any],
    limits: Limits,
    *,
    learning_rate: float | None = None,
) -> Capture | None:
    """Copy what a fit() with these arguments was given; None where it trained no classifier.

    `learning_rate` is the optimizer's before the fit.
    """
    framework = framework_of(model)
    if framework is None:
        return None
    splits = dict(keras_splits(model, arguments) if framework == "keras" else sklearn_splits(arguments))
    if not is_classifier(model, framework, splits):
        return None
    notes = [f"{split}: {problem}" for split, data in splits.items() for problem in data.problems]
    labels: dict[tuple[str, str], np.ndarray] = {}
    for split, data in splits.items():
        for output, values in data.labels.items():
            if values.ndim > 2 or values.nbytes > MAX_LABEL_BYTES:
                notes.append(f"{split}: labels of shape {values.shape} are not kept")
            else:
                labels[split, output] = np.array(values)
    inputs, rows = chosen_inputs(splits, arguments, limits, notes)
    return Capture(
        framework=framework,
        model=type(model).__name__,
        arguments=_described(model, framework, arguments, learning_rate),
        labels=labels,
        weights={split: np.array(data.weights) for split, data in splits.items() if data.weights is not None},
        inputs=inputs,
        rows=rows,
        classes=next((data.classes for data in splits.values() if data.classes is not None), None),
        notes=tuple(notes),
    )


def write(folder: Path, captured: Capture, *, version: str) -> dict[str, Any]:
    """Write the files of a capture; the manifest that describes them, which is to be stored after them."""
    notes = list(captured.notes)
    splits: dict[str, dict[str, Any]] = {}
    for (split, output), values in captured.labels.items():
        about = re.sub(r"[^A-Za-z0-9.-]", "_", output)
        name = f"labels_{about}_{split}.parquet" if output else f"labels_{split}.parquet"
        weights = captured.weights.get(split)
        if weights is not None and weights.shape != values.shape[:1]:
            weights = None
        try:
            write_labels(folder / name, values, weights=weights)
        except (TypeError, ValueError) as error:
            notes.append(f"{split}: {error}")
            continue
        splits.setdefault(split, {}).update(rows=len(values))
        splits[split].setdefault("labels", []).append(name)
    for split, values in captured.inputs.items():
        try:
            path = write_inputs(folder, split, values, captured.rows.get(split))
        except Exception as error:  # noqa: BLE001 - tables of anything are written by their own library
            notes.append(f"{split}: inputs of {type(values).__name__} are not kept: {first_line(error, 160)}")
            continue
        splits.setdefault(split, {}).update(inputs=path.name, sampled=split in captured.rows)
    if captured.classes is not None:
        write_classes(folder, captured.classes)
    return {
        "schema": 1,
        "version": version,
        "framework": captured.framework,
        "model": captured.model,
        "fits": 1,
        "arguments": captured.arguments,
        "splits": splits,
        "notes": notes,
        "digest": captured.digest,
    }


def again(manifest: Mapping[str, Any], captured: Capture) -> dict[str, Any]:
    """The manifest after one more fit() on the same data."""
    notes = list(dict.fromkeys([*manifest["notes"], *captured.notes]))
    return {**manifest, "fits": manifest["fits"] + 1, "arguments": captured.arguments, "notes": notes}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write the manifest, which means that the files it names are there."""
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, indent=1, default=str), encoding="utf-8")
    return path


def _described(model: Any, framework: str, arguments: Mapping[str, Any], learning_rate: float | None) -> dict[str, Any]:
    """The arguments that are no data, as JSON, with what they do not say about the optimizer."""
    found = {name: _plain(arguments[name]) for name in FIT_ARGUMENTS if name in arguments}
    if framework == "keras":
        found = {"epochs": 1, "validation_split": 0.0} | found
        if arguments.get("y") is not None:
            found = {"batch_size": 32, "shuffle": True} | {
                key: value for key, value in found.items() if value is not None
            }
        else:
            # A pipeline has its own batches and order, whatever fit() was told.
            found = {key: value for key, value in found.items() if key not in ("batch_size", "shuffle")}
    weights = arguments.get("class_weight")
    if framework == "sklearn":
        weights = model.get_params(deep=False).get("class_weight") if weights is None else weights
    if isinstance(weights, Mapping):
        found["class_weight"] = {str(name): float(weight) for name, weight in weights.items()}
    elif isinstance(weights, str):
        found["class_weight"] = weights
    found["sample_weight"] = arguments.get("sample_weight") is not None
    if framework == "keras":
        found["callbacks"] = [_callback(item) for item in _listed(arguments.get("callbacks")) if not _is_mlflows(item)]
        optimizer = getattr(model, "optimizer", None)
        found |= {"optimizer": type(optimizer).__name__} if optimizer is not None else {}
        found |= {"learning_rate": learning_rate} if learning_rate is not None else {}
    return found


def _callback(item: Any) -> dict[str, Any]:
    settings = {name: _plain(getattr(item, name)) for name in CALLBACK_ARGUMENTS if hasattr(item, name)}
    return {"class": type(item).__name__, **settings}


def _is_mlflows(callback: Any) -> bool:
    return type(callback).__module__.partition(".")[0] == "mlflow"


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    if isinstance(callbacks, list | tuple):
        return list(callbacks)
    return list(getattr(callbacks, "callbacks", None) or [callbacks])


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, bool | int | float | str | None) else str(value)[:200]


def _hash(digest: Any, values: Any) -> None:
    if isinstance(values, dict):
        for name, part in sorted(values.items()):
            digest.update(str(name).encode())
            _hash(digest, part)
    elif isinstance(values, pd.DataFrame):
        digest.update(str(list(values.columns)).encode())
        numbers = as_numbers(values)
        columns = (values.iloc[:, place].values for place in range(values.shape[1])) if numbers is None else [numbers]
        for column in columns:
            _hash(digest, column)
    elif isinstance(values, np.ndarray) and values.dtype.kind != "O":
        # A checksum: a cryptographic hash of a sample takes longer than copying it.
        checksum = zlib.crc32(values.ravel(order="K").view(np.uint8).data)
        digest.update(f"{values.dtype}{values.shape}{checksum} ".encode())
    else:
        digest.update(pd.util.hash_array(values.ravel()).tobytes())
