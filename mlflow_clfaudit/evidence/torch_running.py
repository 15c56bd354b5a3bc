"""How networks of PyTorch are run, their last layer tapped: a graph operator by operator, a module as it is."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mlflow_clfaudit.evidence.criterion import Criterion
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.evidence.torch_graph import MODES, TorchGraph

# The place of the momentum among the arguments of the operator batch_norm.
MOMENTUM = 6

Runner = Callable[[Any, Mapping[str, bool]], tuple[np.ndarray | None, np.ndarray | None, np.ndarray]]


@dataclass(frozen=True)
class Module:
    """A loaded network of PyTorch. `run(inputs, training)` gives features, logits (either may be None) and outputs.

    `training` says of each kind of operator (batch_norm, dropout) whether it is in training mode; as logged where it
    says nothing. `log` says that the outputs are the logarithms of probabilities, which are served as probabilities.
    `criterion` is the loss that a module keeps. `normalising` layers normalise by saved statistics; `measured_anew` is
    how the network runs with those of other batches.
    """

    run: Runner
    head: Head
    taps: bool = False
    log: bool = False
    training: Mapping[str, bool] = field(default_factory=dict)
    criterion: Criterion | None = None
    normalising: int = 0
    measured_anew: Callable[[Iterable[Any]], Runner] | None = None

    def predict_on_batch(self, inputs: Any) -> Any:
        """The outputs (N, C), or with `taps` features (N, D), logits (N, C) and outputs (N, C)."""
        features, logits, outputs = self.run(inputs, self.training)
        outputs = np.exp(outputs) if self.log else outputs
        outputs = outputs[:, None] if outputs.ndim == 1 else outputs
        return [features, logits, outputs] if self.taps else outputs


@dataclass(frozen=True)
class Exported:
    """An exported program, run operator by operator with these values of its parameters and buffers."""

    torch: Any
    program: Any
    graph: TorchGraph
    values: Mapping[str, Any]

    def run(self, inputs: Any, training: Mapping[str, bool]) -> Any:
        """Features, logits and outputs; nothing that a training mode would change is kept."""
        return self._passed(inputs, self._copied() if training else self.values, training)

    def measured_anew(self, batches: Iterable[Any]) -> Runner:
        """The same program with the plain means over these batches as its running statistics."""
        values = self._copied()
        for place, inputs in enumerate(batches):
            self._passed(inputs, values, {"batch_norm": True}, momentum=1 / (place + 1))
        return replace(self, values=values).run

    def _copied(self) -> dict[str, Any]:
        return {name: value.clone() for name, value in self.values.items()}

    def _passed(
        self,
        inputs: Any,
        values: Mapping[str, Any],
        training: Mapping[str, bool],
        momentum: float | None = None,
    ) -> Any:
        reader = _reader(self.torch, self.program, self.graph)(training, momentum)
        given = _tensors(self.torch, inputs, self.graph.inputs)
        kinds = self.program.graph_signature.input_specs
        with self.torch.no_grad():
            reader.run(*(next(given) if spec.target is None else values[spec.target] for spec in kinds))
        names = (self.graph.features, self.graph.logits, self.graph.output)
        parts = [reader.kept.get(name) if name else None for name in names]
        return tuple(None if part is None else np.asarray(part.detach().cpu()) for part in parts)


def _reader(torch: Any, program: Any, graph: TorchGraph) -> Any:
    class Reader(torch.fx.Interpreter):  # type: ignore[misc]
        """Runs the graph, keeps what the last layer reads and gives, and sets training flags and momentum."""

        def __init__(self, training: Mapping[str, bool], momentum: float | None) -> None:
            super().__init__(program.graph_module)
            self.training = training
            self.momentum = momentum
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
            if name == "batch_norm" and self.momentum is not None:
                args = (*args[:MOMENTUM], self.momentum, *args[MOMENTUM + 1 :])
            return super().call_function(target, args, kwargs)

    return Reader


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

        hook = linear[-1].register_forward_hook(keep) if linear else contextlib.nullcontext()
        model.eval()
        by_batch = training.get("batch_norm", False)
        for layer in normalising(model):
            # Without tracking, a pass in training mode leaves the saved statistics as they are.
            layer.training, layer.track_running_stats = by_batch, not by_batch
        with hook, torch.no_grad():
            passed = model(*_given(torch, inputs))
        model.eval()
        if isinstance(passed, dict):
            passed = passed.get("logits", next(iter(passed.values())))
        passed = passed[0] if isinstance(passed, tuple | list) else passed
        parts = [*kept, passed]
        return tuple(None if part is None else np.asarray(part.detach().cpu()) for part in parts)

    return run


def normalising(model: Any) -> list[Any]:
    """The layers of a module that normalise by saved statistics of batches and can learn others."""
    return [
        layer
        for layer in model.modules()
        if "BatchNorm" in type(layer).__name__
        and hasattr(layer, "reset_running_stats")
        and getattr(layer, "running_mean", None) is not None
    ]


def measured_anew(torch: Any, model: Any, batches: Iterable[Any]) -> Runner:
    """How a copy of the module runs whose running statistics are the plain means over these batches."""
    other = copy.deepcopy(model).eval()
    for layer in normalising(other):
        layer.reset_running_stats()
        layer.momentum = None
        layer.training = layer.track_running_stats = True
    with torch.no_grad():
        for inputs in batches:
            other(*_given(torch, inputs))
    return eager(torch, other)


def _given(torch: Any, inputs: Any) -> list[Any]:
    arrays = list(inputs.values()) if isinstance(inputs, dict) else inputs if isinstance(inputs, list) else [inputs]
    tensors = [torch.as_tensor(np.ascontiguousarray(array)) for array in arrays]
    return [item.to(torch.float32) if item.is_floating_point() else item for item in tensors]
