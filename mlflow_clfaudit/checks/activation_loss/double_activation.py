from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.criterion import Criterion
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import binary_crossentropy_of_logits, logged, lowest
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

SOFT = ("softmax", "sigmoid")


@check(
    severity=Severity.ERROR,
    explains=("stuck-loss", "uncalibrated-probabilities", "served-loss-gap", "baseline-wins", "under-trained"),
)
def double_activation(
    head: Head,
    labels: Labels | None = None,
    history: History | None = None,
    criterion: Criterion | None = None,
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
    π·0.3133 + (1 - π)·0.6931, says that the logits were taken: then it is info. PyTorch does not save the loss: there,
    a logged loss that never falls below the floor and is that of the served outputs passed through once more. A loss
    among the module's attributes (`self.loss = nn.CrossEntropyLoss()`) or the run's params (`loss`, `criterion`) is
    taken into account, its class weights and label smoothing too; alone it is info.

    ## Proof
    The lowest logged loss beside that floor; or a logged loss that is that of the served outputs passed through the
    activation once more (for Keras to four digits), and not that of the outputs themselves.

    ## Fix
    Leave out the activation, or from_logits=True.

    ```diff
    - model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))  # after a softmax
    + model.compile("adam", keras.losses.CategoricalCrossentropy())
    ```

    ## When it is legitimate
    Never needed. On TensorFlow it is harmless as long as nothing comes between the activation and the loss.
    """
    loss = head.loss
    if loss is None and head.kind == "Module":
        yield from _of_criterion(head, labels, history, criterion, below)
        return
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


def _of_criterion(
    head: Head, labels: Labels | None, history: History | None, criterion: Criterion | None, below: float
) -> Iterator[Finding]:
    """A network of PyTorch: its loss is not saved, but a softmax behind its softmax cannot fall below the floor."""
    floor = _floor(head, labels, criterion) if head.gives_probabilities else None
    if floor is None or (criterion is not None and criterion.applies != head.activation):
        return
    least = lowest(*logged(history, head))
    if least is not None and least < floor * (1.0 - below):
        return
    if criterion is None and (least is None or least > 2.0 * floor):
        return
    name = "CrossEntropyLoss" if head.activation == "softmax" else "BCEWithLogitsLoss"
    again = f"the loss, a {name} ({criterion.where}), applies it again" if criterion is not None else ""
    if least is None:
        message = f"The network ends in a {head.activation}, and {again} unless it is given something else."
    elif criterion is not None:
        message = (
            f"The network ends in a {head.activation}, and {again}: no logged loss is below {floor:.3g}, its floor."
        )
    else:
        message = (
            f"The network ends in a {head.activation}, and no logged loss is below {floor:.3g}, the floor of {name}, "
            "which applies it again."
        )
    yield Finding(
        message,
        fix=f"return logits from forward(): {name} applies the {head.activation}",
        severity=Severity.INFO,
        variant="criterion",
        evidence={
            "activation": head.activation,
            "floor": floor,
            "lowest_loss": least,
            "criterion": None if criterion is None else criterion.name,
        },
    )


@double_activation.proof
def loss_of_what_is_served(
    finding: Finding,
    served: Served | None = None,
    history: History | None = None,
    served_train: Served | None = None,
    criterion: Criterion | None = None,
    *,
    tolerance: float = 0.03,
    apart: float = 0.15,
    exact: float = 1e-4,
) -> Finding | None:
    inferred = finding.variant == "criterion"
    if not inferred and not _may_be_read_from_the_loss(finding, served):
        return finding
    if served is None:
        raise Missing("the served outputs, which would tell it, are not at hand")
    curves = (
        (served if served.held_out else None, None if history is None else history.validation_loss),
        (served_train, None if history is None else history.loss),
    )
    for rows, curve in curves:
        if rows is None or curve is None or rows.probabilities is None or not np.all(np.isfinite(rows.outputs)):
            continue
        twice, once = _twice(rows, criterion), measures.cross_entropy(rows.truth, rows.probabilities)
        # The saved weights are those of the last epochs, or of the best one.
        logged_losses = [*curve[-3:].tolist(), float(np.min(curve))]
        nearest = min(logged_losses, key=lambda value: abs(value - twice))
        # The loss of PyTorch is inferred, so it must be much worse for it; that of Keras is known, and met exactly.
        within, beyond = (tolerance, apart) if inferred else (exact, 2 * exact)
        differs = twice - once > beyond * twice if inferred else abs(nearest - once) > beyond * twice
        if abs(nearest - twice) <= within * twice and differs:
            return replace(
                finding,
                message=f"{finding.message[:-1]}: the served outputs have a loss of {once:.3g}, passed through it "
                f"again {twice:.3g}, and {nearest:.3g} was logged.",
                severity=Severity.ERROR,
                proof=Proof(
                    Grade.A, f"the logged loss is that of a second {rows.head.activation}", "loss", once, twice
                ),
            )
    if not inferred:
        return finding
    if criterion is not None:
        raise Missing("no logged loss is that of the served outputs passed through it again")
    return None


def _may_be_read_from_the_loss(finding: Finding, served: Served | None) -> bool:
    """Whether a suspicion about Keras's loss can be settled by the logged losses."""
    if finding.variant != "from-logits" or finding.proof is not None or served is None or served.head.loss is None:
        return False
    return not finding.evidence["logits_taken"] and not served.head.loss.options.get("label_smoothing")


def _twice(served: Served, criterion: Criterion | None) -> float:
    """The mean loss of the outputs taken for logits: cross-entropy, with the weights and the smoothing of the loss."""
    weight = None if criterion is None else criterion.weight
    if served.width == 1:
        targets = served.truth[:, None].astype(np.float64)
        if weight is None:
            return binary_crossentropy_of_logits(targets, served.outputs)
        wide = served.outputs.astype(np.float64)
        positive = targets * np.logaddexp(0.0, -wide) * weight[1]
        return float(np.mean(positive + (1.0 - targets) * np.logaddexp(0.0, wide) * weight[0]))
    wide = served.outputs.astype(np.float64)
    each = np.logaddexp.reduce(wide, axis=1, keepdims=True) - wide
    smoothing = 0.0 if criterion is None else criterion.smoothing
    weights = np.ones(served.width) if weight is None else weight
    own = weights[served.truth] * each[np.arange(served.rows), served.truth]
    losses = (1.0 - smoothing) * own + smoothing * np.mean(each * weights, axis=1)
    return float(losses.sum() / weights[served.truth].sum())


def _floor(head: Head, labels: Labels | None, criterion: Criterion | None = None) -> float | None:
    """The lowest mean loss that inputs between 0 and 1 allow; None where it is not known."""
    plain = ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")
    if head.loss is not None and head.loss.name not in plain:
        return None
    if head.loss.is_categorical if head.loss is not None else head.activation == "softmax":
        if head.units is None or head.units < 2:
            return None
        # Smoothed targets cost what they leave of the one class, 1 on the scale of the outputs.
        smoothing = 0.0 if criterion is None else criterion.smoothing
        return math.log1p((head.units - 1) / math.e) + smoothing * (1.0 - 1.0 / head.units)
    given = None if labels is None else labels.whole or labels.train
    if given is None or head.units != 1 or given.form not in ("integer", "boolean") or given.has_missing:
        return None
    share = float(np.mean(given.codes == 1))
    first, second = (1.0, 1.0) if criterion is None or criterion.weight is None else criterion.weight.tolist()
    return share * math.log1p(math.exp(-1.0)) * second + (1.0 - share) * math.log(2.0) * first
