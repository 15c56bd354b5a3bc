"""The loss that training was steered by beside the loss of what the model serves: they differ where Keras takes the
logits behind an activation that does not belong to the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.compiled import Compiled
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import binary_crossentropy
from mlflow_clfaudit.types import Tier


@dataclass(frozen=True)
class ServedLoss:
    """`evaluated` is the compiled loss as fit() saw it, `predicted` the same formula applied to predict()'s outputs."""

    evaluated: float
    predicted: float
    rows: int

    @property
    def gap(self) -> float:
        return abs(self.evaluated - self.predicted)


@provides(tier=Tier.FORWARD)
def served_loss(compiled: Compiled, served: Served, evaluation_rows: Rows, head: Head) -> ServedLoss:
    """Both losses on the evaluation rows, the regularisation left out."""
    loss = head.loss
    if loss is None or loss.name not in (
        "binary_crossentropy",
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
    ):
        raise Missing("the loss of served outputs is computed for plain cross-entropies only")
    if loss.from_logits or loss.options.get("label_smoothing") or served.rows != evaluation_rows.count:
        raise Missing("the loss of served outputs is computed for probabilities of all rows only")
    if served.truth.max() >= max(served.width, 2) or (served.width == 1 and not loss.is_binary):
        raise Missing("labels without a unit")
    one_hot = served.truth[:, None].astype(np.float64) if served.width == 1 else np.eye(served.width)[served.truth]
    sparse = loss.is_sparse or served.width == 1
    labels = served.truth if sparse else one_hot.astype(np.float32)
    found = compiled.evaluate(evaluation_rows.inputs, labels)
    if "loss" not in found:
        raise Missing("the model does not say its loss")
    if loss.is_binary:
        predicted = binary_crossentropy(one_hot, served.outputs)
    else:
        totals = served.outputs.sum(axis=1, keepdims=True)
        shares = np.divide(served.outputs, totals, out=np.zeros_like(served.outputs), where=totals > 0)
        predicted = measures.cross_entropy(served.truth, shares)
    try:
        penalty = float(sum(float(value) for value in getattr(compiled.model, "losses", ())))
    except TypeError:
        raise Missing("a penalty on activations is part of the loss") from None
    if not np.isfinite(found["loss"]) or not np.isfinite(predicted):
        raise Missing("the loss is not finite")
    return ServedLoss(found["loss"] - penalty, predicted, served.rows)
