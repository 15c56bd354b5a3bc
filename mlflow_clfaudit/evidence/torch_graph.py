"""The exported graph of a network of PyTorch (pt2), read as data: its head, its inputs, what is in training mode.

A pt2 archive names the operators of a graph in JSON. None of it is run here.
"""

from __future__ import annotations

import importlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.archives import DAMAGED, read_member
from mlflow_clfaudit.evidence.network import TRUST
from mlflow_clfaudit.evidence.spec import Head

MAX_GRAPH_BYTES = 64 * 2**20
# Operators that compute from tensors alone. Those that open files or print are left out.
HARMLESS = re.compile(r"torch\.ops\.(aten|prims)\.[A-Za-z_0-9]+\.[A-Za-z_0-9]+|_operator\.[a-z]+|math\.[a-z]+")
HARMFUL = re.compile(r"torch\.ops\.aten\.(from_file|save|load|print|_print)\b")
SYMBOLS = re.compile(
    r"[su]\d+|Symbol|Integer|Rational|Add|Mul|Pow|Max|Min|Mod|FloorDiv|CeilDiv|Eq|Ne|Ge|Gt|Le|Lt|True|False"
    r"|positive|nonnegative|integer"
)
# Operators that only change the shape or the type of what they are given.
PASSING = {"view", "reshape", "squeeze", "unsqueeze", "flatten", "clone", "contiguous", "to", "_to_copy", "alias"}
ACTIVATIONS = {
    "softmax": "softmax",
    "_softmax": "softmax",
    "log_softmax": "log_softmax",
    "_log_softmax": "log_softmax",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "tanh": "tanh",
    "softplus": "softplus",
}
WEIGHTED = {"linear", "addmm", "mm", "matmul", "bmm", "convolution", "conv2d", "conv1d"}
# The places of the training flags among an operator's arguments.
MODES = {"batch_norm": (5, "training"), "dropout": (2, "train"), "feature_dropout": (2, "train")}


@dataclass(frozen=True)
class TorchGraph:
    """What the JSON of an exported program says: the head, the names of its tensors, and what is in training mode.

    `features` and `logits` name what the last weighted layer reads and gives, where the graph ends in one. `inputs`
    are the names of the user's inputs with their dtypes, `trained` the operators that were exported in training mode,
    `normalising` how many of them normalise by saved statistics of batches.
    """

    head: Head
    inputs: Mapping[str, str]
    features: str | None = None
    logits: str | None = None
    output: str = ""
    trained: tuple[str, ...] = ()
    normalising: int = 0


@provides()
def torch_file(model_folder: Path, flavors: Mapping[str, Any]) -> Path:
    """The file of a network that was logged in the flavor pytorch."""
    settings = flavors.get("pytorch")
    if settings is None:
        raise Missing("the logged model is not one of PyTorch")
    folder = model_folder / str(settings.get("model_data", "data"))
    found = next((path for name in ("model.pt2", "model.pth") if (path := folder / name).is_file()), None)
    if found is None or not found.resolve().is_relative_to(model_folder.resolve()):
        raise Missing("the logged model has no file of PyTorch's")
    return found


@provides()
def torch_pickle(torch_file: Path) -> Path:
    """The file of a network that is a pickled module."""
    if torch_file.suffix == ".pt2":
        raise Missing("the network is an exported graph")
    return torch_file


@provides()
def torch_graph(torch_file: Path) -> TorchGraph:
    """The exported graph, read as JSON."""
    if torch_file.suffix != ".pt2":
        raise Missing(
            "the model is a pickle, which is not read", 'mlflow.pytorch.log_model(…, serialization_format="pt2")'
        )
    try:
        return _graph(_content(torch_file))
    except (*DAMAGED, TypeError, AttributeError, RecursionError, IndexError) as error:
        raise Missing(f"the model file cannot be read: {type(error).__name__}") from None


def _content(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("models/model.json")]
        if len(names) != 1:
            raise Missing("the archive holds not one model")
        return json.loads(read_member(archive, names[0], MAX_GRAPH_BYTES))


def _graph(content: Any) -> TorchGraph:
    module = content["graph_module"]
    graph, signature = module["graph"], module["signature"]
    made = {
        item["as_tensor"]["name"]: node for node in graph["nodes"] for item in node["outputs"] if "as_tensor" in item
    }
    (last,) = [item["user_output"]["arg"] for item in signature["output_specs"] if "user_output" in item]
    output = last["as_tensor"]["name"]
    tensors = graph["tensor_values"]
    inputs = {}
    for item in signature["input_specs"]:
        if "user_input" in item:
            name = item["user_input"]["arg"]["as_tensor"]["name"]
            inputs[name] = str(tensors[name]["dtype"])
    sizes = [size.get("as_int") for size in tensors[output]["sizes"]]
    units = sizes[-1] if len(sizes) == 2 else (1 if len(sizes) == 1 else None)
    activations: list[str] = []
    name, axis = output, -1
    while name in made:
        node = made[name]
        operator = _operator(node)
        if operator in ACTIVATIONS:
            activations.insert(0, ACTIVATIONS[operator])
            if operator.endswith("softmax"):
                axis = next((arg["arg"]["as_int"] for arg in node["inputs"] if arg["name"] == "dim"), -1)
        elif operator not in PASSING:
            break
        name = node["inputs"][0]["arg"]["as_tensor"]["name"]
    weighted = name in made and _operator(made[name]) in WEIGHTED
    place = 1 if weighted and _operator(made[name]) == "addmm" else 0
    features = made[name]["inputs"][place]["arg"].get("as_tensor", {}).get("name") if weighted else None
    trained = tuple(
        operator
        for node in graph["nodes"]
        if (operator := _operator(node)) in MODES
        and any(arg["name"] == MODES[operator][1] and arg["arg"].get("as_bool") is True for arg in node["inputs"])
    )
    soft = bool(activations) and activations[-1] == "softmax"
    return TorchGraph(
        head=Head(
            layer=name,
            kind="Module",
            units=units,
            activations=tuple(activations),
            opaque=() if weighted else ("layers that are not read",),
            softmax_size=_softmax_size(sizes, axis) if soft else None,
            softmax_axis=axis,
            rank=len(sizes),
            backend="torch",
        ),
        inputs=inputs,
        features=features,
        logits=name if weighted else None,
        output=output,
        trained=trained,
        normalising=sum(_operator(node) == "batch_norm" for node in graph["nodes"]) - trained.count("batch_norm"),
    )


def _operator(node: Mapping[str, Any]) -> str:
    """The name of a node's operator: softmax of torch.ops.aten.softmax.int."""
    parts = str(node["target"]).split(".")
    return parts[3] if len(parts) > 3 else parts[-1]


def _softmax_size(sizes: list[int | None], axis: int) -> int | None:
    """The size of the axis that a softmax normalises over; None where it depends on the rows."""
    return sizes[axis] if -len(sizes) <= axis < len(sizes) else None


def must_be_harmless(path: Path) -> None:
    """Missing for an archive that names other operators than arithmetic, holds code in text, or holds a pickle."""
    for key, value in _members(_content(path)):
        said = str(value)
        if key == "target" and (not HARMLESS.fullmatch(said) or HARMFUL.match(said)):
            raise Missing(f"the model calls {said[:80]}, which is no arithmetic", TRUST)
        # Sizes are expressions that are evaluated.
        if key == "expr_str" and not all(map(SYMBOLS.fullmatch, re.findall(r"[^\W\d]\w*", said))):
            raise Missing("the model's sizes are no plain expressions", TRUST)
    # MLflow before 3.16 does not look.
    validate = getattr(importlib.import_module("mlflow.pytorch"), "_validate_pt2_archive_is_pickle_free", None)
    if validate is None:
        raise Missing("this MLflow does not say whether the model's archive holds a pickle", TRUST)
    try:
        validate(str(path))
    except importlib.import_module("mlflow.exceptions").MlflowException:
        raise Missing("the model's archive holds a pickle, which is not run", TRUST) from None


def _members(content: Any) -> Iterator[tuple[str, Any]]:
    """Every name in the JSON with its value, at any depth."""
    waiting = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
