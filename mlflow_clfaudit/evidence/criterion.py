"""The loss that a network of PyTorch was trained with, as far as the run or the module says: it is not saved itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.class_indices import known_indices
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.weighting import ClassWeighting

LOSS_PARAMS = ("loss", "loss_fn", "loss_function", "loss_func", "criterion")
# The losses that are known, and what each of them applies to the outputs that it is given.
APPLIED = {"CrossEntropyLoss": "softmax", "BCEWithLogitsLoss": "sigmoid", "NLLLoss": None, "BCELoss": None}
FUNCTIONS = {
    "cross_entropy": "CrossEntropyLoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "nll_loss": "NLLLoss",
    "binary_cross_entropy": "BCELoss",
}


@dataclass(frozen=True)
class Criterion:
    """A loss of PyTorch by the name of its class; `where` says what names it.

    `weight` (K,) are its class weights, of one unit those of class 0 and class 1; `smoothing` its label smoothing.
    """

    name: str
    where: str
    weight: np.ndarray | None = None
    smoothing: float = 0.0

    @property
    def applies(self) -> str | None:
        """The activation that it applies to what it is given, None where it takes probabilities or their logarithms."""
        return APPLIED[self.name]


def kept_by(torch: Any, module: Any) -> Criterion | None:
    """The loss among the attributes of a module; None where it keeps none that is known, or several."""
    found = {(item.name, item.smoothing, str(item.weight)): item for item in _kept(torch, module)}
    return next(iter(found.values())) if len(found) == 1 else None


def _kept(torch: Any, module: Any) -> Iterator[Criterion]:
    for path, item in module.named_modules():
        kind = type(item).__name__
        if type(item) is not getattr(torch.nn, kind, None) or kind not in APPLIED or item.reduction != "mean":
            continue
        weight, positive = item.weight, getattr(item, "pos_weight", None)
        if kind.startswith("BCE"):
            if weight is not None or (positive is not None and positive.numel() != 1):
                continue
            known = None if positive is None else np.array([1.0, float(positive)])
        else:
            known = None if weight is None else np.asarray(weight.detach().cpu(), dtype=np.float64)
        yield Criterion(kind, f"self.{path}", known, float(getattr(item, "label_smoothing", 0.0)))
    for name, value in vars(module).items():
        called = getattr(value, "__name__", "")
        if called in FUNCTIONS and value is getattr(torch.nn.functional, called):
            yield Criterion(FUNCTIONS[called], f"self.{name}")


@provides()
def criterion(run: Run, kept_criterion: Criterion | None = None) -> Criterion:
    """The loss that the module keeps or that the run's params name."""
    if kept_criterion is not None:
        return kept_criterion
    for key in LOSS_PARAMS:
        said = re.sub(r"^(torch)?(nn)?(functional)?", "", re.sub(r"[^a-z]", "", run.params.get(key, "").lower()))
        for name in (*APPLIED, *FUNCTIONS):
            if said == re.sub(r"[^a-z]", "", name.lower()):
                return Criterion(FUNCTIONS.get(name, name), f"the param {key}")
    raise Missing("nothing says which loss of PyTorch the network was trained with", 'mlflow.log_param("loss", …)')


@provides(where="torch_file")
def class_weighting(torch_file: Path, train_labels: LabelSet, criterion: Criterion | None = None) -> ClassWeighting:
    """The class weights of the loss that the module keeps."""
    if criterion is None:
        raise Missing(f"neither the run nor {torch_file.name} tells the loss, nor its class weights")
    if criterion.weight is None:
        raise Missing(f"{criterion.where} names no class weights of the {criterion.name}")
    codes, classes = known_indices(train_labels, np.arange(len(criterion.weight)))
    if classes != len(criterion.weight):
        raise Missing("the loss weighs other classes than those of the labels")
    declared: dict[object, float] = dict(enumerate(criterion.weight.tolist()))
    counts = np.bincount(codes, minlength=classes)
    return ClassWeighting(declared, np.arange(classes), counts, criterion.weight, library="PyTorch")
