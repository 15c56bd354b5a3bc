"""What of fit()'s arguments lies in memory as arrays, found without iterating over anything that is the user's.

Pipelines are looked into only where they stand over arrays or a folder and their steps leave the rows what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from mlflow_clfaudit.errors import first_line
from mlflow_clfaudit.storage import as_array

# Steps of a tf.data pipeline that leave the set of its rows as it is.
TRANSPARENT = ("Batch", "ParallelBatch", "Shuffle", "Prefetch", "Cache", "Repeat", "Options", "Model")
# Those behind which a number of elements is no longer a number of known rows.
REORDERING = ("Batch", "ParallelBatch", "Shuffle", "Repeat")
FROM_FILES = "inputs that are read from files are not kept"


@dataclass
class Data:
    """Rows that are at hand as arrays, before any of them is copied. `inputs` is an array, a table or a dict of arrays.

    `labels` maps the name of an output, "" where there is one only, to its labels (N,) or (N, C).
    """

    inputs: Any = None
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    weights: np.ndarray | None = None
    classes: Sequence[Any] | None = None
    problems: list[str] = field(default_factory=list)


def keras_splits(model: Any, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Data]]:
    """The splits that the arguments of a Keras model's fit() name; those of validation_split are still in train."""
    names = list(getattr(model, "output_names", None) or [])
    x, y = arguments.get("x"), arguments.get("y")
    yield "train", _at_hand(x, y, arguments.get("sample_weight"), names)
    held_out = arguments.get("validation_data")
    if isinstance(held_out, tuple | list) and len(held_out) in (2, 3):
        yield "validation", _at_hand(held_out[0], held_out[1], held_out[2] if len(held_out) == 3 else None, names)
    elif held_out is not None:
        yield "validation", _at_hand(held_out, None, None, names)


def sklearn_splits(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Data]]:
    """The training rows and, of gradient boosting, the last evaluation set of fit() as scikit-learn knows it."""
    x = arguments.get("X", arguments.get("x"))
    yield "train", _at_hand(x, arguments.get("y", arguments.get("Y")), arguments.get("sample_weight"), [])
    held_out = arguments.get("eval_set")
    if isinstance(held_out, list) and held_out and isinstance(held_out[-1], tuple | list) and len(held_out[-1]) == 2:
        yield "validation", _at_hand(held_out[-1][0], held_out[-1][1], None, [])


def _at_hand(x: Any, y: Any, weights: Any, outputs: Sequence[str]) -> Data:
    """The rows where they are arrays, or a pipeline over arrays that can be looked into without running it."""
    if y is None:
        found = _of_pipeline(x, outputs)
        if found is not None:
            return found
        return Data(problems=[f"{type(x).__name__} is read by fit() only: its labels are not counted"])
    data = Data(weights=_or_none(weights))
    try:
        data.labels = _by_output(y, outputs)
    except (TypeError, ValueError) as error:
        data.problems.append(f"labels of {type(y).__name__} are not kept: {first_line(error, 160)}")
    try:
        data.inputs = _plain_inputs(x)
    except (TypeError, ValueError) as error:
        data.problems.append(f"inputs of {type(x).__name__} are not kept: {first_line(error, 160)}")
    return data


def _by_output(y: Any, outputs: Sequence[str]) -> dict[str, np.ndarray]:
    """Labels by output; a dict or a list of arrays has one entry an output."""
    if isinstance(y, Mapping):
        found = {str(name): as_array(values) for name, values in y.items()}
        return found if len(found) > 1 else dict.fromkeys([""], next(iter(found.values())))
    if isinstance(y, list | tuple) and len(outputs) > 1 and len(y) == len(outputs):
        return {name: as_array(values) for name, values in zip(outputs, y, strict=True)}
    if isinstance(y, list | tuple) and len(y) == 1 and np.ndim(y[0]) > 0 and hasattr(y[0], "shape"):
        return {"": as_array(y[0])}
    return {"": as_array(y)}


def _plain_inputs(x: Any) -> Any:
    if isinstance(x, pd.DataFrame):
        return x
    if isinstance(x, Mapping):
        return {str(name): as_array(part) for name, part in x.items()}
    if isinstance(x, list | tuple) and x and hasattr(x[0], "shape") and len(x[0].shape) > 0:
        return {f"input_{number}": as_array(part) for number, part in enumerate(x)}
    if hasattr(x, "toarray"):
        raise TypeError("sparse matrices are not kept")
    return as_array(x)


def _of_pipeline(x: Any, outputs: Sequence[str]) -> Data | None:
    """The arrays behind a pipeline: tf.data over tensors or a folder, Keras's array and folder iterators."""
    if hasattr(x, "element_spec"):
        return _of_tensorflow(x, outputs)
    if hasattr(x, "class_indices") and hasattr(x, "classes"):
        names = sorted(x.class_indices, key=x.class_indices.get)
        return Data(labels={"": as_array(x.classes)}, classes=names, problems=[FROM_FILES])
    if isinstance(getattr(x, "x", None), np.ndarray) and isinstance(getattr(x, "y", None), np.ndarray):
        return Data(labels={"": x.y}, problems=["inputs that are augmented while they are read are not kept"])
    arrays = getattr(getattr(x, "dataset", None), "tensors", None)
    if isinstance(arrays, tuple) and len(arrays) == 2:
        return _at_hand(*arrays, None, outputs)
    return None


def _of_tensorflow(dataset: Any, outputs: Sequence[str]) -> Data | None:
    """The rows of a tf.data pipeline over tensors, through steps that leave its rows what they are; else None.

    The attributes are TensorFlow's private ones: whatever they are not as expected is no evidence.
    """
    cuts: list[tuple[str, int]] = []
    node = dataset
    while True:
        if hasattr(node, "file_paths") and hasattr(node, "class_names"):
            return _of_folder(node) if not cuts else None
        kind = type(node).__name__.strip("_").removesuffix("Dataset")
        if kind in ("TensorSlice", "Tensor") and hasattr(node, "_tensors"):
            break
        if kind in ("Take", "Skip"):
            cuts.append((kind, int(node._count)))
        elif kind not in TRANSPARENT or (cuts and kind in REORDERING):
            # Rows that are cut from batches, or from an order that changes, cannot be told.
            return None
        node = getattr(node, "_input_dataset", None)
        if node is None:
            return None
    if kind == "Tensor":
        return None
    structure = node.element_spec
    tensors = [as_array(tensor) for tensor in node._tensors]
    for step, number in reversed(cuts):
        place = number if number >= 0 else len(tensors[0])
        tensors = [tensor[:place] if step == "Take" else tensor[place:] for tensor in tensors]
    if not isinstance(structure, tuple) or len(structure) not in (2, 3):
        return None
    parts = [_packed(part, tensors) for part in structure]
    return _at_hand(parts[0], parts[1], parts[2] if len(parts) == 3 else None, outputs)


def _packed(spec: Any, tensors: list[Any]) -> Any:
    """The next tensors in the structure of `spec`, which lists the entries of a dict by their sorted names."""
    if isinstance(spec, Mapping):
        return {name: _packed(spec[name], tensors) for name in sorted(spec)}
    if isinstance(spec, tuple | list):
        return [_packed(part, tensors) for part in spec]
    return tensors.pop(0)


def _of_folder(node: Any) -> Data | None:
    """Labels of keras.utils.image_dataset_from_directory and its like: the folder that each file lies in."""
    names = list(node.class_names)
    places = {name: place for place, name in enumerate(names)}
    parents = [PurePath(path).parent.name for path in node.file_paths]
    spec = node.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2 or not set(parents) <= set(places):
        return None
    codes = np.array([places[name] for name in parents], dtype=np.int64)
    width = spec[1].shape[-1] if len(spec[1].shape) == 2 else 1
    labels = np.eye(len(names), dtype=np.float32)[codes] if width == len(names) and width > 1 else codes
    return Data(labels={"": labels}, classes=names, problems=[FROM_FILES])


def _or_none(weights: Any) -> np.ndarray | None:
    try:
        return None if weights is None or isinstance(weights, Mapping) else as_array(weights)
    except (TypeError, ValueError):
        return None
