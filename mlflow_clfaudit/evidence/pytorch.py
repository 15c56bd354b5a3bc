"""Networks of PyTorch: the exported graph read as data, and either form run on rows with its last layer tapped.

A pt2 archive names the operators of a graph in JSON. It is run only where every operator is one of PyTorch's own
arithmetic and nothing in it is a pickle; a pickled module only where that was allowed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.answers import head_of
from mlflow_clfaudit.evidence.archives import DAMAGED, read_member
from mlflow_clfaudit.evidence.inputs import Rows, take
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Tier

TRUST = "--allow-unsafe, where you trust the model"
MAX_GRAPH_BYTES = 64 * 2**20
MAX_PROBED_ROWS = 512
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
    are the names of the user's inputs with their dtypes, `trained` the operators that were exported in training mode.
    """

    head: Head
    inputs: Mapping[str, str]
    features: str | None = None
    logits: str | None = None
    output: str = ""
    trained: tuple[str, ...] = ()
    normalises: bool = False


@dataclass(frozen=True)
class Module:
    """A loaded network of PyTorch. `run(inputs, training)` gives features, logits (either may be None) and outputs.

    `training` says of each kind of operator (batch_norm, dropout) whether it is in training mode; as logged where it
    says nothing. `log` says that the outputs are the logarithms of probabilities, which are served as probabilities.
    """

    run: Callable[[Any, Mapping[str, bool]], tuple[np.ndarray | None, np.ndarray | None, np.ndarray]]
    head: Head
    taps: bool = False
    log: bool = False
    training: Mapping[str, bool] = field(default_factory=dict)

    def predict_on_batch(self, inputs: Any) -> Any:
        """The outputs (N, C), or with `taps` features (N, D), logits (N, C) and outputs (N, C)."""
        features, logits, outputs = self.run(inputs, self.training)
        outputs = np.exp(outputs) if self.log else outputs
        outputs = outputs[:, None] if outputs.ndim == 1 else outputs
        return [features, logits, outputs] if self.taps else outputs


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
        normalises=any(_operator(node) == "batch_norm" for node in graph["nodes"]),
    )


def _operator(node: Mapping[str, Any]) -> str:
    """The name of a node's operator: softmax of torch.ops.aten.softmax.int."""
    parts = str(node["target"]).split(".")
    return parts[3] if len(parts) > 3 else parts[-1]


def _softmax_size(sizes: list[int | None], axis: int) -> int | None:
    """The size of the axis that a softmax normalises over; None where it depends on the rows."""
    return sizes[axis] if -len(sizes) <= axis < len(sizes) else None


@provides(where="torch_file")
def head(torch_file: Path, torch_graph: TorchGraph | None = None) -> Head:
    """The head as the exported graph describes it; of a pickled module, which is its own code, its kind alone."""
    if torch_graph is not None:
        return torch_graph.head
    return Head(layer=torch_file.name, kind="Module", opaque=("its own code",), backend="torch")


@provides(tier=Tier.FORWARD)
def torch_module(torch_file: Path, torch_graph: TorchGraph | None = None, allow_unsafe: bool | None = None) -> Module:
    """The network, loaded from data alone, or from a pickle where that was allowed."""
    try:
        import torch
    except ImportError:
        raise Missing("PyTorch is not installed here", "pip install torch") from None
    allowed = os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() not in ("false", "0")
    trusted = bool(allow_unsafe) and allowed
    try:
        if torch_file.suffix == ".pt2" and torch_graph is not None:
            if not trusted:
                _must_be_harmless(torch_file)
            return Module(_exported(torch, torch.export.load(torch_file), torch_graph), torch_graph.head)
        if not trusted:
            raise Missing("the model is a pickle, which is not run", TRUST)
        model = importlib.import_module("mlflow.pytorch").load_model(str(torch_file.parent.parent))
        return Module(
            _eager(torch, model),
            Head(layer=type(model).__name__, kind="Module", opaque=("its own code",), backend="torch"),
        )
    except Missing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        text = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise Missing(f"the model does not load: {text}") from None


def _must_be_harmless(path: Path) -> None:
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


def _exported(torch: Any, program: Any, graph: TorchGraph) -> Callable[..., Any]:
    """How an exported program is run, its last layer read on the way."""
    values = {**program.state_dict, **program.constants}
    kinds = program.graph_signature.input_specs

    class Reader(torch.fx.Interpreter):  # type: ignore[misc]
        """Runs the graph, keeps what the last layer reads and gives, and sets the training flags."""

        def __init__(self, training: Mapping[str, bool]) -> None:
            super().__init__(program.graph_module)
            self.training = training
            self.kept: dict[str, Any] = {}

        def run_node(self, node: Any) -> Any:
            found = super().run_node(node)
            if node.name in (graph.features, graph.logits, graph.output):
                self.kept[node.name] = found
            return found

        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            name = str(target).removeprefix("aten.").partition(".")[0]
            if name in MODES and name in self.training:
                place, _ = MODES[name]
                args = (*args[:place], self.training[name], *args[place + 1 :])
            return super().call_function(target, args, kwargs)

    def run(inputs: Any, training: Mapping[str, bool]) -> Any:
        given = _tensors(torch, inputs, graph.inputs)
        reader = Reader(training)
        arguments = [
            next(given) if spec.target is None else values[spec.target].clone() if training else values[spec.target]
            for spec in kinds
        ]
        with torch.no_grad():
            reader.run(*arguments)
        parts = [reader.kept.get(name) if name else None for name in (graph.features, graph.logits, graph.output)]
        return tuple(None if part is None else np.asarray(part.detach().cpu()) for part in parts)

    return run


def _tensors(torch: Any, inputs: Any, wanted: Mapping[str, str]) -> Iterator[Any]:
    """The inputs as tensors of the dtypes that the graph was exported with."""
    integral = {"2", "3", "4", "5"}  # the schema's numbers of int8, int16, int32 and int64
    dtypes = {"2": torch.int8, "3": torch.int16, "4": torch.int32, "5": torch.int64, "8": torch.float64}
    arrays = list(inputs.values()) if isinstance(inputs, dict) else inputs if isinstance(inputs, list) else [inputs]
    for array, dtype in zip(arrays, wanted.values(), strict=True):
        tensor = torch.as_tensor(np.ascontiguousarray(array))
        yield tensor.to(dtypes.get(dtype, torch.float32)) if dtype in integral | {"8"} else tensor.to(torch.float32)


def _eager(torch: Any, model: Any) -> Callable[..., Any]:
    """How a module is run, its last linear layer read on the way."""
    model.eval()
    linear = [item for item in model.modules() if isinstance(item, torch.nn.Linear)]

    def run(inputs: Any, training: Mapping[str, bool]) -> Any:
        kept: list[Any] = [None, None]

        def keep(_: Any, read: Any, given: Any) -> None:
            kept[:] = [read[0], given]

        arrays = list(inputs.values()) if isinstance(inputs, dict) else inputs if isinstance(inputs, list) else [inputs]
        tensors = [torch.as_tensor(np.ascontiguousarray(array)) for array in arrays]
        tensors = [item.to(torch.float32) if item.is_floating_point() else item for item in tensors]
        hook = linear[-1].register_forward_hook(keep) if linear else contextlib.nullcontext()
        model.eval()
        for item in model.modules():
            if "BatchNorm" in type(item).__name__:
                item.train(training.get("batch_norm", False))
        with hook, torch.no_grad():
            passed = model(*tensors)
        model.eval()
        if isinstance(passed, dict):
            passed = passed.get("logits", next(iter(passed.values())))
        passed = passed[0] if isinstance(passed, tuple | list) else passed
        parts = [*kept, passed]
        return tuple(None if part is None else np.asarray(part.detach().cpu()) for part in parts)

    return run


@provides(tier=Tier.FORWARD, where="torch_file")
def network(torch_module: Module, head: Head, evaluation_rows: Rows, torch_graph: TorchGraph | None = None) -> Network:
    """The network as a model whose rows can be judged: what its outputs are is told by its graph or found out."""
    if torch_graph is not None and head.activations != torch_graph.head.activations:
        raise Missing("the activation of an exported network is not exchanged")

    def reload() -> Any:
        raise Missing("networks of PyTorch are not trained on")

    some = take(evaluation_rows.inputs, slice(0, MAX_PROBED_ROWS))
    try:
        features, logits, outputs = torch_module.run(some, torch_module.training)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        text = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise Missing(
            f"the logged inputs do not fit the model: {text}", "log the inputs exactly as the model takes them"
        ) from None
    outputs = outputs[:, None] if outputs.ndim == 1 else outputs
    if outputs.ndim != 2:
        raise Missing(f"outputs of shape {outputs.shape} (one decision per position) are not judged")
    found, log = _found(torch_module.head, outputs)
    taps = features is not None and logits is not None and logits.ndim == 2 and logits.shape == outputs.shape
    model = replace(torch_module, head=found, log=log, taps=taps)
    return Network(
        model=model, tapped=model if taps else None, reload=reload, backend="PyTorch", device="CPU", head=found
    )


def _found(known: Head, outputs: np.ndarray) -> tuple[Head, bool]:
    """The head of these outputs (N, C), and whether they are logarithms of probabilities."""
    wide = outputs.astype(np.float64)
    if not np.all(np.isfinite(wide)):
        return known, False
    if known.activation == "log_softmax" and not known.opaque:
        return replace(known, activations=("softmax",)), True
    if known.gives_probabilities:
        return known, False
    guessed, served = head_of(wide, is_logits=True)
    # A layer's weighted sum is no probability, wherever it happens to lie.
    if known.units is not None and known.is_linear and guessed.link is None:
        guessed = Head(units=outputs.shape[1], link="sigmoid" if outputs.shape[1] == 1 else "softmax")
        guessed = replace(guessed, cut=0.0 if outputs.shape[1] == 1 else None)
        served = wide
    log = served is not wide and bool(guessed.activations)
    return replace(
        known,
        units=outputs.shape[1],
        activations=guessed.activations,
        softmax_size=guessed.softmax_size,
        opaque=(),
        link=guessed.link,
        cut=guessed.cut,
    ), log


@dataclass(frozen=True)
class ServedModes:
    """The judged rows as the model was logged, a second time so, and in evaluation mode; `operators` are those in
    training mode, by how many there are."""

    served: Served
    again: np.ndarray
    evaluated: Served
    operators: Mapping[str, int]


@provides(tier=Tier.FORWARD)
def served_modes(torch_graph: TorchGraph, network: Network, served: Served) -> ServedModes:
    """What an exported network says with its operators in the mode that they were logged in and in evaluation mode."""
    if not torch_graph.trained:
        raise Missing("no operator of the exported network is in training mode")
    model = replace(network.model, taps=False)
    still = replace(model, training=dict.fromkeys(MODES, False))
    return ServedModes(
        served=served,
        again=np.asarray(model.predict_on_batch(served.inputs)),
        evaluated=replace(
            served, outputs=np.asarray(still.predict_on_batch(served.inputs)), logits=None, features=None
        ),
        operators={name: torch_graph.trained.count(name) for name in dict.fromkeys(torch_graph.trained)},
    )
