from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.ERROR,
    explains=("outputs-not-probabilities", "served-loss-gap", "uncalibrated-probabilities", "not-reproduced"),
)
def softmax_on_wrong_axis(head: Head) -> Iterator[Finding]:
    """The softmax runs over the rows of a batch, not over the classes of a row.

    ## Why it matters
    Each column sums to 1 over the batch, so what a row is given depends on the rows that happen to be beside it, and
    no row is a distribution over the classes.

    ## How it is detected
    Statically: a Softmax layer on one row of units whose axis is not the last one.

    ## Proof
    Softmax over the last axis of the same logits, on the same rows.

    ## Fix
    `layers.Softmax(axis=-1)`

    ```diff
    - model.add(keras.layers.Softmax(axis=0))
    + model.add(keras.layers.Softmax(axis=-1))
    ```

    ## When it is legitimate
    Outputs with positions or pixels, where another axis holds the classes.
    """
    if head.activation == "softmax" and head.rank == 2 and head.softmax_axis not in (-1, 1):
        yield Finding(
            f"The softmax runs over axis {head.softmax_axis}, the rows of a batch: no row is a distribution over its "
            f"{head.units} classes.",
            fix="layers.Softmax(axis=-1)",
            evidence={"axis": head.softmax_axis, "units": head.units},
        )


@softmax_on_wrong_axis.proof
def softmax_over_the_classes(finding: Finding, served: Served, *, significance: float = 0.01) -> Finding:
    sums = served.outputs.sum(axis=1)
    rows = replace(
        finding, evidence={**finding.evidence, "row_sum_min": float(sums.min()), "row_sum_max": float(sums.max())}
    )
    if bool(np.all(np.abs(sums - 1.0) < 1e-3)):
        return replace(rows, severity=Severity.WARN, unproven="the served rows sum to 1 all the same")
    exact = Proof(
        Grade.A, "rows of the served outputs do not sum to 1", "sum of a row", float(sums.mean()), n=served.rows
    )
    if served.logits is None or served.width < 2:
        return replace(rows, proof=exact)
    after = np.argmax(served.logits, axis=1)
    p_value = measures.accuracy_p_value(served.truth, served.decision, after)
    if p_value >= significance:
        return replace(rows, proof=exact)
    return replace(
        rows,
        proof=Proof(
            Grade.B,
            "softmax over the classes of the same logits",
            metric="balanced accuracy",
            before=served.balanced_accuracy,
            after=measures.balanced_accuracy(served.truth, after),
            n=served.rows,
            p_value=p_value,
        ),
    )
