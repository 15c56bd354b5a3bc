from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.inputs import RowHashes
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO)
def label_noise_ceiling(
    row_hashes: RowHashes, labels: Labels, history: History | None = None, *, share: float = 0.01
) -> Iterator[Finding]:
    """Equal rows carry different labels, which bounds the accuracy that any model can have.

    ## Why it matters
    Of rows that are equal in every input only the most frequent label can be right. Training accuracy above that bound
    does not exist, and reaching for it is overfitting.

    ## How it is detected
    Rows are compared by a hash of all their inputs; the bound is the share of rows that carry the most frequent label
    among their equals. Told where more than `share` of the training rows are lost by it.

    ## Proof
    The count itself, and the logged training accuracy beside it.

    ## Fix
    Take one label for each distinct row: `df.groupby(features)["label"].agg(lambda y: y.mode()[0])`

    ```diff
    - X, y = df[features], df["label"]
    + kept = df.groupby(features)["label"].agg(lambda y: y.mode()[0]).reset_index()
    + X, y = kept[features], kept["label"]
    ```

    ## When it is legitimate
    Repeated measurements of something random, and tables with few distinct rows.
    """
    given = labels.train
    hashes = row_hashes.splits.get("train")
    if given is None or hashes is None or len(hashes) != given.rows or not given.is_single_label:
        return
    index = given.index
    classes = len(given.classes)
    if classes < 2 or given.has_missing:
        return
    _, group = np.unique(hashes, return_inverse=True)
    pairs, counts = np.unique(group.astype(np.int64) * classes + index, return_counts=True)
    best = np.zeros(int(group.max()) + 1, dtype=np.int64)
    np.maximum.at(best, pairs // classes, counts)
    ceiling = float(best.sum() / given.rows)
    if 1.0 - ceiling <= share:
        return
    accuracy = None if history is None or history.accuracy is None else history.accuracy
    logged = float(accuracy[-1]) if accuracy is not None and len(accuracy) else None
    yield Finding(
        f"Equal rows carry different labels: no model can be right on more than {ceiling:.1%} of {given.rows} training "
        "rows" + (f" (logged: {logged:.1%})." if logged is not None else "."),
        fix='df.groupby(features)["label"].agg(lambda y: y.mode()[0])',
        evidence={
            "ceiling": ceiling,
            "distinct_rows": len(best),
            "rows": given.rows,
            "training_accuracy": logged,
        },
        proof=Proof(Grade.A, "equal rows counted", metric="accuracy at most", before=ceiling, n=given.rows),
    )
