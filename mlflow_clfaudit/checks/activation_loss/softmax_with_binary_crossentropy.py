from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit.evidence.served_loss import ServedLoss
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN, explains=("served-loss-gap", "metric-misresolved", "uncalibrated-probabilities"))
def softmax_with_binary_crossentropy(head: Head) -> Iterator[Finding]:
    """A softmax over several units is trained with binary cross-entropy, which judges every unit by itself.

    ## Why it matters
    Binary cross-entropy treats each column as a yes-or-no question. Keras on TensorFlow takes the logits and trains
    independent sigmoids, then serves their softmax. In Keras up to 2.3.1 "accuracy" became the share of right columns,
    which a guesser of ten classes has at 0.9.

    ## How it is detected
    Statically: softmax over two units or more under binary cross-entropy. With two units the decision is the same:
    info. With more it is a warning, unless the served probabilities are as good by that loss as the trained ones.

    ## Proof
    The compiled loss against the same loss of the served outputs.

    ## Fix
    `loss="categorical_crossentropy"`

    ```diff
    - model.compile("adam", "binary_crossentropy")
    + model.compile("adam", "categorical_crossentropy")
    ```

    ## When it is legitimate
    One class against the rest on purpose; two units, where only the numbers differ.
    """
    loss = head.loss
    if loss is None or not loss.is_binary or head.activation != "softmax" or head.opaque:
        return
    if head.units is None or head.units < 2 or head.softmax_size == 1:
        return
    yield Finding(
        f"Softmax over {head.units} units is trained with {loss.label}, which judges every unit by itself.",
        fix='loss="categorical_crossentropy"',
        severity=Severity.INFO if head.units == 2 else None,
        evidence={"units": head.units, "loss": loss.name, "logits_taken": head.keeps_logits},
    )


@softmax_with_binary_crossentropy.proof
def loss_of_what_is_served(finding: Finding, served_loss: ServedLoss) -> Finding:
    harmless = served_loss.predicted <= served_loss.evaluated
    return replace(
        finding,
        severity=Severity.INFO if harmless else finding.severity,
        proof=Proof(
            Grade.A,
            "the compiled loss against the same loss of the served outputs",
            metric="loss",
            before=served_loss.evaluated,
            after=served_loss.predicted,
            n=served_loss.rows,
        ),
    )
