from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN, explains=("served-loss-gap", "outputs-not-probabilities", "uncalibrated-probabilities"))
def sigmoid_multiclass(head: Head, labels: Labels | None = None) -> Iterator[Finding]:
    """Several sigmoid units are trained with a loss that wants one distribution over the classes.

    ## Why it matters
    Categorical cross-entropy compares rows that sum to 1. Keras on TensorFlow takes the logits and trains the units as
    a softmax, but predict() gives sigmoids: the decision is the same, the probabilities are not. On other backends the
    sigmoids are divided by their sum, which is another objective.

    ## How it is detected
    Statically: a sigmoid over several units under categorical or sparse categorical cross-entropy.

    ## Proof
    Cross-entropy per row of the served outputs, divided by their sum, against softmax of the same logits (paired
    Wilcoxon test).

    ## Fix
    `activation="softmax"`; on TensorFlow the trained weights stay valid.

    ```diff
    - model.add(keras.layers.Dense(3, activation="sigmoid"))
    + model.add(keras.layers.Dense(3, activation="softmax"))
    ```

    ## When it is legitimate
    Several labels a row: then the loss is wrong, which is softmax-multilabel.
    """
    loss = head.loss
    if loss is None or head.activation != "sigmoid" or head.opaque or head.units is None or head.units < 2:
        return
    if not loss.is_categorical or "focal" in loss.name:
        return
    given = None if labels is None else labels.train or labels.validation
    if given is not None and given.form == "multi-hot":
        return
    yield Finding(
        f"{head.units} sigmoid units are trained with {loss.label}, which wants one distribution a row.",
        fix='activation="softmax"',
        evidence={"units": head.units, "loss": loss.name, "logits_taken": head.keeps_logits},
    )


@sigmoid_multiclass.proof
def softmax_of_the_same_logits(finding: Finding, served: Served, *, significance: float = 0.01) -> Finding:
    sums = served.outputs.sum(axis=1)
    spread = {"row_sum_min": float(sums.min()), "row_sum_max": float(sums.max())}
    finding = replace(finding, evidence={**finding.evidence, **spread})
    if served.logits is None or served.probabilities is None or served.truth.max() >= served.width:
        return replace(finding, unproven="the logits behind the sigmoids are not known")
    rows = np.arange(served.rows)
    before = -np.log(np.clip(served.probabilities[rows, served.truth], measures.TINY, 1.0))
    after = -np.log(np.clip(measures.softmax(served.logits)[rows, served.truth], measures.TINY, 1.0))
    p_value = (
        float(scipy.stats.wilcoxon(before, after, alternative="greater").pvalue) if np.any(before != after) else 1.0
    )
    if p_value >= significance or after.mean() >= before.mean():
        return replace(finding, unproven="softmax of the same logits gives no better probabilities on these rows")
    return replace(
        finding,
        message=f"{finding.message.rstrip('.')}: served rows sum to {sums.min():.2f} to {sums.max():.2f}.",
        proof=Proof(
            Grade.B,
            "softmax of the same logits",
            metric="cross-entropy",
            before=float(before.mean()),
            after=float(after.mean()),
            n=served.rows,
            p_value=p_value,
        ),
    )
