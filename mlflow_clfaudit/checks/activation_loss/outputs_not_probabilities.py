from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.boosters import Booster
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

# What native boosters answer with for an objective, and the objective that gives probabilities.
ANSWERS = {
    "multi:softmax": ("class numbers", "multi:softprob"),
    "binary:logitraw": ("log-odds", "binary:logistic"),
    "binary:hinge": ("class numbers", "binary:logistic"),
}
NEEDS_PROBABILITIES = ("auc", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")


@check(severity=Severity.INFO)
def outputs_not_probabilities(
    head: Head, served: Served, booster: Booster | None = None, *, tolerance: float = 1e-3
) -> Iterator[Finding]:
    """What the model serves are scores, but they are read as probabilities.

    ## Why it matters
    A log loss, a calibration curve, an AUC with 200 thresholds between 0 and 1 and the threshold .5 mean something for
    probabilities only.

    ## How it is detected
    Served outputs outside of 0 to 1, or rows over several classes that do not sum to 1, under a cross-entropy with
    from_logits=False or a compiled metric that takes probabilities. Information where the loss alone says so, a
    warning where a metric was computed from them. An objective of boosted trees that answers with class numbers or
    log-odds is information.

    ## Proof
    The range and the row sums of the served outputs.

    ## Fix
    Apply the sigmoid or softmax once, in one place: in the model, or with from_logits=True in the loss and the metrics.

    ```diff
    - score = log_loss(y_val, model.predict(X_val))  # the outputs are logits
    + score = log_loss(y_val, keras.ops.sigmoid(model.predict(X_val)))
    ```

    ## When it is legitimate
    Scores that only rank; independent sigmoids for several labels a row.
    """
    if booster is not None:
        if booster.decide is None and booster.objective in ANSWERS:
            answers, instead = ANSWERS[booster.objective]
            yield Finding(
                f"With the objective {booster.objective}, predict() answers with {answers}, not with probabilities.",
                fix=f'objective="{instead}"',
                evidence={"objective": booster.objective},
                proof=Proof(Grade.A, "the objective in the model's own file"),
            )
        return
    loss = head.loss
    metrics = [
        metric.name for metric in head.metrics if metric.name in NEEDS_PROBABILITIES and _from_outputs(metric.options)
    ]
    expected = loss is not None and loss.is_cross_entropy and not loss.from_logits
    if not (expected or metrics) or not np.all(np.isfinite(served.outputs)):
        return
    low, high = float(served.outputs.min()), float(served.outputs.max())
    outside = low < -tolerance or high > 1.0 + tolerance
    sums = served.outputs.sum(axis=1)
    unequal = served.width > 1 and not (loss is not None and loss.is_binary) and bool(np.any(np.abs(sums - 1) > 1e-2))
    if not outside and not unequal:
        return
    shown = f"lie between {low:.3g} and {high:.3g}" if outside else f"sum to {sums.min():.2f} to {sums.max():.2f} a row"
    reader = f"the metric {metrics[0]}" if metrics else "the loss"
    yield Finding(
        f"Served outputs {shown}, but {reader} reads them as probabilities.",
        fix="apply the sigmoid or softmax once, in the model or in the loss and the metrics",
        severity=Severity.WARN if metrics else Severity.INFO,
        evidence={"smallest": low, "largest": high, "row_sum_min": float(sums.min()), "row_sum_max": float(sums.max())},
        proof=Proof(Grade.A, "range and row sums of the served outputs", n=served.rows),
    )


def _from_outputs(options: object) -> bool:
    return not (isinstance(options, dict) and options.get("from_logits"))
