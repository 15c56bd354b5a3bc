"""Networks of PyTorch, exported or pickled, as models whose rows can be judged.

An exported graph is run only where every operator is one of PyTorch's own arithmetic and nothing in its archive is a
pickle; a pickled module only where that was allowed.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.answers import head_of
from mlflow_clfaudit.evidence.criterion import Criterion, kept_by
from mlflow_clfaudit.evidence.inputs import Rows, take
from mlflow_clfaudit.evidence.network import TRUST, Network, not_trained_on
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.evidence.torch_graph import MODES, TorchGraph, must_be_harmless
from mlflow_clfaudit.evidence.torch_running import Exported, Module, eager, measured_anew, normalising
from mlflow_clfaudit.types import Tier

MAX_PROBED_ROWS = 512


@provides(where="torch_file")
def head(torch_file: Path, torch_graph: TorchGraph | None = None, pickled_head: Head | None = None) -> Head:
    """The head as the exported graph describes it; of a pickled module what its answers tell, if any."""
    found = torch_graph.head if torch_graph is not None else pickled_head
    if found is not None:
        return found
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
                must_be_harmless(torch_file)
            program = torch.export.load(torch_file)
            network = Exported(torch, program, torch_graph, {**program.state_dict, **program.constants})
            return Module(
                network.run,
                torch_graph.head,
                normalising=torch_graph.normalising,
                measured_anew=network.measured_anew,
            )
        if not trusted:
            raise Missing("the model is a pickle, which is not run", TRUST)
        model = importlib.import_module("mlflow.pytorch").load_model(str(torch_file.parent.parent))
        return Module(
            eager(torch, model),
            Head(layer=type(model).__name__, kind="Module", opaque=("its own code",), backend="torch"),
            criterion=kept_by(torch, model),
            normalising=len(normalising(model)),
            measured_anew=partial(measured_anew, torch, model),
        )
    except Missing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        raise Missing(f"the model does not load: {first_line(error)}") from None


@provides(tier=Tier.FORWARD, where="torch_file")
def network(
    torch_module: Module,
    head: Head,
    evaluation_rows: Rows,
    torch_graph: TorchGraph | None = None,
    pickled_head: Head | None = None,
) -> Network:
    """The network as a model whose rows can be judged: what its outputs are is told by its graph or found out."""
    known = torch_graph.head if torch_graph is not None else pickled_head
    if known is not None and head.activations != known.activations:
        raise Missing("the activation of a network of PyTorch is not exchanged")

    features, logits, outputs = some_outputs(torch_module, evaluation_rows)
    found, log = _found(torch_module.head, outputs)
    taps = features is not None and logits is not None and logits.ndim == 2 and logits.shape == outputs.shape
    model = replace(torch_module, head=found, log=log, taps=taps)
    return Network(
        model=model,
        tapped=model if taps else None,
        reload=not_trained_on("networks of PyTorch are not trained on"),
        backend="PyTorch",
        device="CPU",
        head=found,
    )


@provides(tier=Tier.FORWARD)
def pickled_head(torch_pickle: Path, torch_module: Module, evaluation_rows: Rows) -> Head:
    """What a pickled module ends in, found out from what it answers to some rows."""
    del torch_pickle
    found, log = _found(torch_module.head, some_outputs(torch_module, evaluation_rows)[2])
    return replace(found, activations=("log_softmax",)) if log else found


@provides(tier=Tier.FORWARD)
def kept_criterion(torch_pickle: Path, torch_module: Module) -> Criterion:
    """The loss among the attributes of a pickled module."""
    if torch_module.criterion is None:
        raise Missing(f"the module in {torch_pickle.name} keeps no loss that is known, or several")
    return torch_module.criterion


def some_outputs(module: Module, rows: Rows) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Features, logits and outputs (N, C) of the first rows."""
    some = take(rows.inputs, slice(0, MAX_PROBED_ROWS))
    try:
        features, logits, outputs = module.run(some, module.training)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        text = first_line(error, 160)
        raise Missing(
            f"the logged inputs do not fit the model: {text}", "log the inputs exactly as the model takes them"
        ) from None
    outputs = outputs[:, None] if outputs.ndim == 1 else outputs
    if outputs.ndim != 2:
        raise Missing(f"outputs of shape {outputs.shape} (one decision per position) are not judged")
    return features, logits, outputs


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
