"""How networks of PyTorch are run, their last layer tapped: a graph operator by operator, a module as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlflow_clfaudit.evidence.criterion import Criterion
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.evidence.torch_graph import MODES, TorchGraph

Runner = Callable[[Any, Mapping[str, bool]], tuple[np.ndarray | None, np.ndarray | None, np.ndarray]]


@dataclass(frozen=True)
class Module:
    """A loaded network of PyTorch. `run(inputs, training)` gives features, logits (either may be None) and outputs.

    `training` says of each kind of operator (batch_norm, dropout) whether it is in training mode; as logged where it
    says nothing. `log` says that the outputs are the logarithms of probabilities, which are served as probabilities.
    `criterion` is the loss that a module keeps.
    """

    run: Runner
    head: Head
    taps: bool = False
    log: bool = False
    training: Mapping[str, bool] = field(default_factory=dict)
    criterion: Criterion | None = None

    def predict_on_batch(self, inputs: Any) -> Any:
        """The outputs (N, C), or with `taps` features (N, D), logits (N, C) and outputs (N, C)."""
        features, logits, outputs = self.run(inputs, self.training)
        outputs = np.exp(outputs) if self.log else outputs
        outputs = outputs[:, None] if outputs.ndim == 1 else outputs
        return [features, logits, outputs] if self.taps else outputs


def exported(torch: Any, program: Any, graph: TorchGraph) -> Runner:
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


def eager(torch: Any, model: Any) -> Runner:
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
