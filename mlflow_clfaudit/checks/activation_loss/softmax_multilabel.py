from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged, lowest
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR, explains=("stuck-loss", "loss-accuracy-divergence", "metric-misresolved"))
def softmax_multilabel(
    head: Head, labels: Labels, history: History | None = None, *, share: float = 0.01
) -> Iterator[Finding]:
    """Rows have several labels, but the outputs of a softmax compete for one.

    ## Why it matters
    A softmax divides one unit of probability among the classes: two labels of a row can have a half each at best, and
    a row without a label cannot be said at all. The more labels a row has, the higher the loss that it must keep.

    ## How it is detected
    More than `share` of the rows with two labels or more, and a softmax as output or categorical cross-entropy as
    loss. A logged loss below the least that those labels allow says that fit() was given others.

    ## Proof
    The least categorical cross-entropy that these labels allow, the mean of k·ln(k) over rows of k labels.

    ## Fix
    `activation="sigmoid"` with `loss="binary_crossentropy"`, and a threshold for each label.

    ```diff
    - model.add(keras.layers.Dense(5, activation="softmax"))
    - model.compile("adam", "categorical_crossentropy")
    + model.add(keras.layers.Dense(5, activation="sigmoid"))
    + model.compile("adam", "binary_crossentropy")
    ```

    ## When it is legitimate
    Soft labels that sum to 1, as from mixup, smoothing or distillation.
    """
    loss, given = head.loss, labels.whole or labels.train or labels.validation
    if loss is None or given is None or given.form != "multi-hot" or head.opaque or not loss.is_cross_entropy:
        return
    if not (head.activation == "softmax" or loss.is_categorical):
        return
    counts = np.asarray(given.values).sum(axis=1, dtype=np.int64)
    several = float(np.mean(counts > 1))
    if several <= share:
        return
    floor = float(np.mean(counts * np.log(np.maximum(counts, 1))))
    least = lowest(*logged(history, head))
    categorical = loss.name == "categorical_crossentropy" and not loss.options.get("label_smoothing")
    if categorical and least is not None and least < 0.98 * floor:
        return
    yield Finding(
        f"{several:.0%} of {given.rows} rows have several labels, but a softmax gives them one unit of probability "
        "to share.",
        fix='activation="sigmoid", loss="binary_crossentropy"',
        evidence={
            "share_of_rows_with_several": several,
            "labels_a_row": float(counts.mean()),
            "least_loss": floor,
            "lowest_loss": least,
        },
        proof=Proof(
            Grade.A,
            f"no softmax can bring the loss of these labels below {floor:.3g}",
            metric="loss",
            before=least,
            n=given.rows,
        )
        if categorical
        else None,
    )
