from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.ERROR,
    explains=("constant-prediction", "majority-accuracy", "single-class-labels", "class-missing-from-split"),
)
def invalid_one_hot(
    head: Head, labels: Labels, history: History | None = None, *, share: float = 0.01
) -> Iterator[Finding]:
    """One-hot labels have rows of zeros, or every row has the same column set.

    ## Why it matters
    `tf.one_hot` gives a row of zeros for a number that is out of range, without an error: its cross-entropy and its
    gradient are 0, so the row is never learnt. `to_categorical` of -1 sets the last column: labels -1 and 1 become one
    class.

    ## How it is detected
    Rows of zeros in the labels of a categorical loss, an error above `share` of the rows; or one column that is 1 in
    every row.

    ## Proof
    The rows, counted.

    ## Fix
    `y = LabelEncoder().fit_transform(y)` before one-hot encoding.

    ```diff
    - y = tf.one_hot(labels, 3)  # labels are 1, 2 and 3
    + y = tf.one_hot(LabelEncoder().fit_transform(labels), 3)
    ```

    ## When it is legitimate
    Soft labels, and several labels a row under binary cross-entropy, where a row may have none.
    """
    loss, given = head.loss, labels.whole or labels.train or labels.validation
    if loss is None or not loss.is_categorical or given is None or given.form not in ("one-hot", "multi-hot"):
        return
    columns = given.values.shape[1]
    empty, several, totals = _counted(given)
    if several > share * given.rows:
        # Several labels a row: that is softmax-multilabel, and a row may have none.
        return
    if empty:
        yield Finding(
            f"{empty} of {given.rows} rows of the one-hot labels are all zeros: their loss and gradient are 0.",
            fix="y = LabelEncoder().fit_transform(y) before one-hot encoding",
            severity=Severity.ERROR if empty > share * given.rows else Severity.WARN,
            variant="zeros",
            evidence={"rows_of_zeros": empty, "rows": given.rows, "columns": columns},
            proof=Proof(Grade.A, "rows of zeros counted", "share of rows", empty / given.rows, n=given.rows),
        )
    full = np.flatnonzero(totals == given.rows)
    curve, _ = logged(history, head)
    learnt_more = curve is not None and len(curve) > 0 and np.isfinite(curve[-1]) and curve[-1] > 0.05
    if columns > 1 and len(full) == 1 and totals.sum() == given.rows and not learnt_more:
        yield Finding(
            f"Column {full[0]} of the one-hot labels is 1 in every row: all {given.rows} rows are of one class.",
            fix="y = LabelEncoder().fit_transform(y) before one-hot encoding",
            severity=Severity.BLOCKER,
            variant="one-column",
            evidence={"column": int(full[0]), "columns": columns, "rows": given.rows},
            proof=Proof(Grade.A, "the columns counted", n=given.rows),
        )


def _counted(labels: LabelSet, *, chunk: int = 2**18) -> tuple[int, int, np.ndarray]:
    """Rows without a 1, rows with more than one, and the number of 1s in each column."""
    empty, several, totals = 0, 0, np.zeros(labels.values.shape[1], dtype=np.int64)
    for start in range(0, labels.rows, chunk):
        rows = np.asarray(labels.values[start : start + chunk])
        ones = rows.sum(axis=1, dtype=np.int64)
        empty += int(np.sum(ones == 0))
        several += int(np.sum(ones > 1))
        totals += rows.sum(axis=0, dtype=np.int64)
    return empty, several, totals
