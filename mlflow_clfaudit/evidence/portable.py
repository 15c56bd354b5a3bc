"""Models in ONNX and in any other flavor that MLflow can call: what their answers are is found out.

An ONNX file is a graph of known operators, run by ONNX Runtime. A pyfunc is the author's own code, and is run only
where that was allowed.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.answers import classes_of, read_outputs
from mlflow_clfaudit.evidence.inputs import Rows, take
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.network import TRUST, Network, not_trained_on
from mlflow_clfaudit.evidence.spec import ESTIMATORS, Head
from mlflow_clfaudit.types import Tier

# Flavors whose own modules read them.
READ = (*ESTIMATORS, "keras", "tensorflow", "pytorch", "transformers", "onnx")
# Flavors whose answers are no classes of rows.
OTHER = ("langchain", "openai", "llama_index", "dspy", "prophet", "pmdarima", "statsmodels", "sentence_transformers")
PROBED_ROWS = 256
# What outputs that hold the answers are called, the most telling first.
PROBABILITIES = ("probabilities", "probability", "output_probability", "proba", "logits", "scores")


@dataclass(frozen=True)
class Function:
    """A model as a function from rows to values (N,) or (N, C), and what library runs it."""

    library: str
    answer: Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class Answering:
    """A function whose answers are outputs of `head`, by the classes `known` (K,) in the order of their codes.

    `log` says that they are logarithms of probabilities, which are served as probabilities.
    """

    function: Function
    head: Head
    known: np.ndarray
    log: bool = False

    def predict_on_batch(self, inputs: Any) -> np.ndarray:
        """The outputs (N, C) of rows."""
        values = self.function.answer(inputs)
        if self.head.bare:
            found = read_outputs(values, self.known, max(len(self.known), 2))
            if found is None or not found[0].bare:
                raise ValueError("the model answers some rows with classes and others not")
            return found[1]
        outputs = np.asarray(values, dtype=np.float64)
        outputs = outputs[:, None] if outputs.ndim == 1 else outputs
        return np.exp(outputs) if self.log else outputs


@provides()
def portable_flavor(flavors: Mapping[str, Any]) -> str:
    """onnx, or pyfunc for a model that no other module reads."""
    if "onnx" in flavors:
        return "onnx"
    if any(name in flavors for name in READ):
        raise Missing("the logged model is read in its own flavor")
    named = next((name for name in OTHER if name in flavors), None)
    if named is not None:
        raise Missing(f"a {named} model does not classify rows")
    if "python_function" not in flavors:
        raise Missing("the logged model can be called by no flavor that is known here")
    return "pyfunc"


@provides(where="portable_flavor")
def head(portable_flavor: str) -> Head:
    """Nothing is known of the outputs before the model has answered."""
    return Head(layer=portable_flavor, kind="Module", opaque=("a graph that is not read",))


@provides(tier=Tier.FORWARD)
def function(
    portable_flavor: str, model_folder: Path, flavors: Mapping[str, Any], allow_unsafe: bool | None = None
) -> Function:
    """The logged model as a function."""
    try:
        if portable_flavor == "onnx":
            return _of_onnx(model_folder / str(flavors["onnx"].get("data", "model.onnx")))
        allowed = os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() not in ("false", "0")
        if not (allow_unsafe and allowed):
            raise Missing("a pyfunc is the author's own code, which is not run", TRUST)
        model = importlib.import_module("mlflow.pyfunc").load_model(str(model_folder))
        return Function("pyfunc", lambda inputs: _values(model.predict(_as_given(model, inputs))))
    except Missing:
        raise
    except ImportError as error:
        raise Missing(f"the model does not load: {error}", f"pip install {portable_flavor}runtime") from None
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        text = first_line(error)
        raise Missing(f"the model does not load: {text}") from None


def _of_onnx(path: Path) -> Function:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # The bytes alone: weights in files beside it could be any file of this machine.
    session = runtime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()
    names = [item.name for item in session.get_outputs()]
    chosen = next((name for name in PROBABILITIES if name in names), names[0] if len(names) == 1 else names[-1])

    def answer(inputs: Any) -> np.ndarray:
        arrays = list(inputs.values()) if isinstance(inputs, dict) else inputs if isinstance(inputs, list) else [inputs]
        if len(arrays) == 1 and len(wanted) > 1 and arrays[0].ndim == 2:
            arrays = [arrays[0][:, [column]] for column in range(arrays[0].shape[1])]
        given = {item.name: _cast(item.type, array) for item, array in zip(wanted, arrays, strict=True)}
        return _values(session.run([chosen], given)[0])

    return Function("ONNX Runtime", answer)


def _cast(kind: str, array: np.ndarray) -> np.ndarray:
    """An array as a tensor of the type that the graph asks for."""
    dtypes = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
    return np.ascontiguousarray(array, dtype=dtypes.get(kind))


def _as_given(model: Any, inputs: Any) -> Any:
    """Rows as the model's signature names their columns; as they are without one."""
    schema = model.metadata.get_input_schema()
    array = np.asarray(inputs)
    if schema is None or schema.is_tensor_spec() or array.ndim != 2:
        return array
    import pandas as pd

    names = schema.input_names()
    frame = pd.DataFrame(array, columns=names if len(names) == array.shape[1] else None)
    return frame.astype(dict(zip(names, (item.to_pandas() for item in schema.input_types()), strict=True)))


def _values(given: Any) -> np.ndarray:
    """Answers as one array (N,) or (N, C): of a table its columns, of rows of {class: probability} their values."""
    if isinstance(given, list) and given and isinstance(given[0], dict):
        return np.array([list(row.values()) for row in given], dtype=np.float64)
    if isinstance(given, dict):
        given = next((given[name] for name in PROBABILITIES if name in given), next(iter(given.values())))
    found = np.asarray(given)
    return found.astype(str) if found.dtype == object else found


@provides(tier=Tier.FORWARD, where="portable_flavor")
def network(function: Function, evaluation_rows: Rows, labels: Labels, head: Head) -> Network:
    """The model with what its answers are found to be."""
    known = classes_of(labels)
    some = take(evaluation_rows.inputs, slice(0, PROBED_ROWS))
    try:
        values = function.answer(some)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        text = first_line(error, 160)
        raise Missing(
            f"the logged inputs do not fit the model: {text}", "log the inputs exactly as the model takes them"
        ) from None
    answered = read_outputs(values, known, max(len(known), 2), name="logits" if head.layer == "onnx" else "")
    if answered is None:
        raise Missing(f"answers of shape {values.shape} and dtype {values.dtype} are not judged")
    found, outputs = answered
    if found.units == 1 and found.activation == "linear" and found.cut is None:
        raise Missing("the model answers with one number a row, and nothing says where class 1 begins")
    is_log = found.activation == "softmax" and float(np.asarray(values, dtype=np.float64).max()) <= 1e-6
    model = Answering(function, found, known, log=is_log)

    return Network(
        model=model,
        tapped=None,
        reload=not_trained_on("only networks of Keras are trained on"),
        backend=function.library,
        device="CPU",
        classes=known,
        decide=(lambda inputs: np.argmax(model.predict_on_batch(inputs), axis=1)) if found.bare else None,
        head=replace(found, layer=head.layer, kind="Module", units=outputs.shape[1]),
    )
