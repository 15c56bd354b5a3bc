from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.served_loss import ServedLoss
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

PAIRS = {("sigmoid", True), ("softmax", False)}


@check(severity=Severity.SYMPTOM, unexplained=Severity.WARN)
def served_loss_gap(head: Head, served_loss: ServedLoss, *, tolerance: float = 1e-3) -> Iterator[Finding]:
    """The loss that was minimised is not the loss of what the model serves.

    ## Why it matters
    Keras on TensorFlow computes cross-entropy from the logits behind a softmax or sigmoid, whichever of them it is. A
    net may then learn perfectly while the numbers that it serves are other ones: its curves are not its own.

    ## How it is detected
    The compiled loss of the evaluation rows, as evaluate() gives it, against the same formula applied to predict()'s
    outputs; more than `tolerance` apart, relative to the larger of the loss and 1. Left out where activation and loss
    belong together, since there only clipping can tell them apart.

    ## Fix
    Make the activation of the output layer the one that the loss assumes: sigmoid for binary cross-entropy, softmax
    for categorical.

    ## When it is legitimate
    A custom loss with penalties of its own.
    """
    loss = head.loss
    if (
        loss is None
        or not head.gives_probabilities
        or ((head.activation, loss.is_binary) in PAIRS and head.softmax_size != 1)
    ):
        return
    if served_loss.gap <= tolerance * max(1.0, abs(served_loss.evaluated)):
        return
    yield Finding(
        f"fit() minimised a loss of {served_loss.evaluated:.4g} on these rows, but that of the served outputs is "
        f"{served_loss.predicted:.4g}.",
        fix="make the output activation the one that the loss assumes",
        evidence={"evaluated": served_loss.evaluated, "predicted": served_loss.predicted},
        proof=Proof(
            Grade.A,
            "evaluate() against the loss of predict()",
            metric="loss",
            before=served_loss.evaluated,
            after=served_loss.predicted,
            n=served_loss.rows,
        ),
    )
