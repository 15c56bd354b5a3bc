from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.BLOCKER,
    explains=("constant-prediction", "class-missing-from-split", "single-class-validation", "class-shift"),
)
def single_class_labels(
    head: Head, labels: Labels, history: History | None = None, *, learnt: float = 0.05
) -> Iterator[Finding]:
    """All training labels are of one class, so there is nothing to tell apart.

    ## Why it matters
    The loss falls to 0 and the accuracy rises to 1 at once, and the model says the same of every row. The wrong column
    was selected, or the encoder made one class of all.

    ## How it is detected
    One distinct training label under a classification loss. A logged loss that stayed above `learnt`, or an accuracy
    that is neither 0 nor 1, says that fit() was given other labels.

    ## Proof
    The distinct labels, counted.

    ## Fix
    Check the column that y comes from: `print(np.unique(y, return_counts=True))`

    ```diff
    - y = df["target"] == "Yes"  # the column says "yes"
    + y = df["target"].str.lower() == "yes"
    + print(np.unique(y, return_counts=True))
    ```

    ## When it is legitimate
    One-class and anomaly detection, which have losses of their own.
    """
    given, loss = labels.whole or labels.train, head.loss
    if given is None or loss is None or not (loss.is_cross_entropy or loss.is_hinge) or given.rows < 2:
        return
    if not given.is_single_label or given.has_missing or len(given.classes) != 1:
        return
    if given.form == "one-hot" and loss.is_categorical:
        # The column that is 1 in every row is invalid-one-hot.
        return
    curve, _ = logged(history, head)
    if curve is not None and len(curve) and np.isfinite(curve[-1]) and loss.is_cross_entropy and curve[-1] > learnt:
        return
    accuracy = None if history is None else history.accuracy
    if accuracy is not None and len(accuracy) and 0.01 < accuracy[-1] < 0.99:
        return
    yield Finding(
        f"All {given.rows} training labels are of one class.",
        fix="print(np.unique(y, return_counts=True))",
        evidence={"classes": 1, "rows": given.rows},
        proof=Proof(Grade.A, "distinct training labels counted", metric="classes", before=1.0, n=given.rows),
    )
