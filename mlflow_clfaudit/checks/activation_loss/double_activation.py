from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged, lowest
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

SOFT = ("softmax", "sigmoid")


@check(
    severity=Severity.ERROR, explains=("stuck-loss", "uncalibrated-probabilities", "served-loss-gap", "baseline-wins")
)
def double_activation(
    head: Head,
    labels: Labels | None = None,
    history: History | None = None,
    *,
    above: float = 0.02,
    below: float = 0.02,
) -> Iterator[Finding]:
    """Probabilities are passed through a softmax or sigmoid a second time.

    ## Why it matters
    A softmax of values between 0 and 1 can favour one class by a factor e at most: the loss of ten classes cannot fall
    below 1.46, gradients are small, and training is slow. Keras on TensorFlow takes the logits behind the output and
    so repairs `from_logits=True` on a softmax head by itself.

    ## How it is detected
    Statically: an output that gives probabilities and a loss with from_logits=True, or one softmax or sigmoid right
    behind another. A logged loss below the floor ln(1 + (K - 1)/e), for two classes on one unit
    π·0.3133 + (1 - π)·0.6931, says that the logits were taken: then it is info.

    ## Proof
    The lowest logged loss beside that floor.

    ## Fix
    Leave out the activation, or from_logits=True.

    ## When it is legitimate
    Never needed. On TensorFlow it is harmless as long as nothing comes between the activation and the loss.
    """
    loss = head.loss
    if loss is None or not head.gives_probabilities or not loss.is_cross_entropy:
        return
    stacked = len(head.activations) > 1 and head.activations[-2] in SOFT and head.activation in SOFT
    if not (loss.from_logits or stacked):
        return
    floor = _floor(head, labels)
    least = lowest(*logged(history, head))
    harmless = head.keeps_logits and not stacked
    finding = Finding(
        f"The output layer applies {head.activation} to values that {head.activations[-2]} has already squeezed."
        if stacked
        else f"The output layer applies {head.activation}, and the loss applies it again (from_logits=True).",
        fix=f"leave out the {head.activations[-2]}" if stacked else "from_logits=False, or no activation",
        severity=Severity.INFO if harmless else Severity.WARN,
        variant="stacked" if stacked else "from-logits",
        evidence={
            "activation": head.activation,
            "from_logits": loss.from_logits,
            "logits_taken": head.keeps_logits,
            "floor": floor,
            "lowest_loss": least,
        },
    )
    said = finding.message.rstrip(".")
    if floor is None or least is None or loss.options.get("label_smoothing"):
        yield finding
    elif least < floor * (1.0 - below):
        yield replace(
            finding,
            severity=Severity.INFO,
            message=f"{said}; the loss of {least:.3g} is below {floor:.3g}: the logits were taken, no harm was done.",
            proof=Proof(Grade.A, f"the loss is below the floor of {floor:.4g}", "loss", least),
        )
    elif least <= floor * (1.0 + above):
        yield replace(
            finding,
            severity=Severity.ERROR,
            message=f"{said}: the loss cannot fall below {floor:.3g} and has come to {least:.3g}.",
            proof=Proof(Grade.A, f"the loss rests on its floor of {floor:.4g}", "loss", least),
        )
    else:
        yield finding


def _floor(head: Head, labels: Labels | None) -> float | None:
    """The lowest mean loss that inputs between 0 and 1 allow; None where it is not known."""
    assert head.loss is not None  # noqa: S101 - the check fires on a known loss only
    if head.loss.name not in ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"):
        return None
    if head.loss.is_categorical:
        return math.log1p((head.units - 1) / math.e) if head.units is not None and head.units > 1 else None
    given = None if labels is None else labels.whole or labels.train
    if given is None or head.units != 1 or given.form not in ("integer", "boolean") or given.has_missing:
        return None
    share = float(np.mean(given.codes == 1))
    return share * math.log1p(math.exp(-1.0)) + (1.0 - share) * math.log(2.0)
