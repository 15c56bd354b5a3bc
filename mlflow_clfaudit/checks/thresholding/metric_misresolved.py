from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.resolved import misresolved, of_labels, values
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN, explains=("loss-accuracy-divergence",))
def metric_misresolved(head: Head, labels: Labels | None = None) -> Iterator[Finding]:
    """A compiled metric computes something else than its name says, because of the shape of outputs and labels.

    ## Why it matters
    The number in the table is not the quality that its column is called after, and it may be a constant.

    ## How it is detected
    A table of metric, head and label form: `F1Score()` and `CategoricalAccuracy()` on one column, `Precision()`,
    `Recall()` and `AUC()` on two columns with one-hot labels, `BinaryAccuracy()` on one-hot labels of a softmax, top-k
    with k of all classes, "accuracy" on rows with several labels.

    ## Proof
    The metric as it is computed and as it is meant, on the same outputs; the first is what the run logged.

    ## Fix
    By row of the table: `threshold=0.5`, `class_id=1`, `metrics=["accuracy"]`, a smaller k.

    ```diff
    - model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.F1Score()])
    + model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.F1Score(threshold=0.5)])
    ```

    ## When it is legitimate
    Averages over the columns that are wanted. Where both values agree it is information only, unless the logged curve
    is one constant.

    ## Measured
    Keras 3.15: `F1Score()` on one column is 2π/(1+π) for a share π of class 1 whatever the net says.
    """
    form = None
    if labels is not None:
        given = labels.train or labels.validation or labels.test
        form = given.form if given is not None else None
    for item in misresolved(head, form):
        yield Finding(
            f"The compiled metric {item.metric.name} on {head.units} output column{'s' if head.units != 1 else ''} is "
            f"{item.computes}.",
            fix=item.use,
            evidence={
                "metric": item.metric.name,
                "logged_as": str(item.metric.options.get("name", item.metric.name)),
                "units": head.units,
                "labels": form,
            },
        )


@metric_misresolved.proof
def as_computed_and_as_meant(
    finding: Finding,
    served: Served | None = None,
    served_labels: tuple[Served, ...] | None = None,
    history: History | None = None,
    *,
    apart: float = 0.02,
    serious: float = 0.1,
    tolerance: float = 0.005,
) -> Finding:
    name = finding.evidence["metric"]
    if served is None and served_labels is not None:
        served, found = served_labels[0], of_labels(served_labels)
    elif served is not None:
        found = values(name, served)
    else:
        raise Missing("the model and held-out rows to judge it on are not known")
    if not found:
        return finding
    computed, meant = found["computed"], found["meant"]
    curve = (
        history.validation.get(finding.evidence["logged_as"])
        if history is not None and served.split == "validation"
        else None
    )
    logged = float(curve[-1]) if curve is not None and len(curve) else None
    constant = curve is not None and len(curve) > 1 and float(np.ptp(curve)) <= tolerance
    few_errors = abs(computed - meant) >= apart / 2 and not 0.5 < (1 - computed) / max(1 - meant, 1e-9) < 2
    if abs(computed - meant) < apart and not constant and not few_errors:
        severity = Severity.INFO
    else:
        severity = Severity.ERROR if abs(computed - meant) >= serious else Severity.WARN
    same = logged is not None and abs(logged - computed) <= tolerance
    if logged is not None and not same and abs(logged - meant) <= tolerance:
        severity = Severity.INFO
    return replace(
        finding,
        message=f"{finding.message} It is {computed:.4f} on {served.where}, where the metric of that name is "
        f"{meant:.4f}.",
        severity=severity,
        evidence={**finding.evidence, "computed": computed, "meant": meant, "logged": logged},
        proof=Proof(
            Grade.A,
            "the logged value, recomputed" if same else "both computed on the same outputs",
            metric=name,
            before=computed,
            after=meant,
            n=served.rows,
        ),
    )
