from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged, lowest
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR, explains=("binary-labels-not-01", "labels-out-of-range", "majority-accuracy"))
def continuous_targets(
    head: Head, labels: Labels, history: History | None = None, *, distinct: int = 30, share: float = 0.02
) -> Iterator[Finding]:
    """A classification loss was given measured values, not classes.

    ## Why it matters
    Sparse cross-entropy cuts 3.7 off to class 3; binary cross-entropy takes 3.7 for a probability and falls below 0.
    Neither learns the value, and accuracy counts equality that never occurs.

    ## How it is detected
    Cross-entropy, and training labels that are one number a row with many distinct fractions (more than `distinct`,
    and than `share` of the rows). Fractions between 0 and 1 under binary cross-entropy are soft labels, unless the
    logged accuracy is that of decisions that never equal a label. Where the history contradicts (binary cross-entropy
    that stayed positive, sparse cross-entropy that stayed finite on values without a unit), the labels were binned
    before fit() and nothing is said.

    ## Proof
    The count of distinct values.

    ## Fix
    `y = np.digitize(y, edges)`, or a linear output layer with `loss="mse"`.

    ```diff
    - model.fit(X, y)  # y is a measurement
    + model.fit(X, np.digitize(y, edges))
    ```

    ## When it is legitimate
    Soft labels, distillation, mixup.
    """
    loss, given = head.loss, labels.whole or labels.train or labels.validation
    if loss is None or given is None or not loss.is_cross_entropy or given.form != "continuous":
        return
    values = len(given.classes)
    if values <= max(distinct, share * given.rows):
        return
    low, high = given.span
    curve, validation = logged(history, head)
    never_equal = None
    if loss.is_binary and low >= 0.0 and high <= 1.0:
        never_equal = _never_equal(history, given)
        if never_equal is None:
            return
    elif loss.is_binary:
        least = lowest(curve, validation)
        if least is not None and least >= 0.0:
            return
    elif not loss.is_sparse or _binned(curve, given, head):
        return
    yield Finding(
        f"{loss.label.capitalize()} was given {values} distinct values between {low:g} and {high:g}, which are "
        "measurements, not classes.",
        fix="y = np.digitize(y, edges)",
        evidence={"distinct": values, "rows": given.rows, "smallest": low, "largest": high},
        proof=Proof(Grade.A, "distinct values counted", "distinct values", float(values), n=given.rows)
        if never_equal is None
        else Proof(
            Grade.A, "the logged accuracy: no decision equals a fraction", "accuracy", never_equal, n=given.rows
        ),
    )


def _never_equal(history: History | None, labels: LabelSet) -> float | None:
    """The logged accuracy where it is no more than the share of labels 0 and 1, which alone a decision can equal."""
    accuracy = None if history is None else history.accuracy
    if accuracy is None or not len(accuracy):
        return None
    whole = float(np.mean((labels.values == 0) | (labels.values == 1)))
    return float(accuracy[-1]) if accuracy[-1] <= whole + 0.5 / labels.rows else None


def _binned(curve: np.ndarray | None, labels: LabelSet, head: Head) -> bool:
    """Whether a finite loss says that fit() was not given these values, since some of them have no unit."""
    low, high = labels.span
    outside = head.units is not None and (low <= -1.0 or high >= head.units)
    return bool(outside and curve is not None and len(curve) and np.isfinite(curve[-1]))
