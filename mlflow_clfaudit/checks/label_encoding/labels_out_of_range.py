from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.BLOCKER,
    explains=(
        "non-finite-loss",
        "constant-prediction",
        "stuck-loss",
        "majority-accuracy",
        "learning-rate-too-high",
    ),
)
def labels_out_of_range(
    head: Head, labels: Labels, history: History | None = None, run: Run | None = None
) -> Iterator[Finding]:
    """Labels name classes that the output layer has no unit for.

    ## Why it matters
    Sparse cross-entropy picks the unit that a label names. On a CPU TensorFlow raises for a label below 0 or above
    the last unit; on a GPU, and wherever XLA compiles, the loss and then every weight becomes NaN, and the accuracy
    stays at the share of one label, since argmax of NaN is always the same. On JAX such rows silently count nothing.

    ## How it is detected
    The compiled loss is sparse categorical cross-entropy and some logged label lies outside of 0 to units - 1. A run
    whose loss stayed finite was not given these labels (they were encoded between logging and fit), so it is not
    blamed.

    ## Proof
    A loss that is not finite, with the accuracy at the share of one label; or a fit that failed.

    ## Fix
    `y = LabelEncoder().fit_transform(y)`, or an output layer with one unit for each class.

    ```diff
    - model.fit(X, y)  # y is 1, 2 and 3 on Dense(3)
    + model.fit(X, LabelEncoder().fit_transform(y))
    ```

    ## When it is legitimate
    `ignore_class` covers the value, as 255 and -1 in segmentation.
    """
    loss = head.loss
    if loss is None or not loss.is_sparse or head.units is None or head.units < 2:
        return
    for (split, given), curve in zip(
        (("train", labels.whole or labels.train), ("validation", labels.validation)),
        logged(history, head),
        strict=True,
    ):
        outside = _outside(given, head.units, loss.options.get("ignore_class"))
        if given is None or not len(outside):
            continue
        failed = run is not None and run.status == "FAILED"
        broken = curve is not None and len(curve) > 0 and not np.all(np.isfinite(curve))
        silent = head.backend == "jax"
        if curve is not None and len(curve) and not broken and not silent:
            continue
        seen = broken or failed or silent
        rows = sum(given.counts[code] for code in outside.tolist())
        yield Finding(
            f"{rows} of {given.rows} {split} labels lie outside of 0 to {head.units - 1}, the units of the output "
            f"layer (labels run from {given.classes[0]} to {given.classes[-1]})" + _consequence(broken, failed, silent),
            fix="y = LabelEncoder().fit_transform(y)"
            if len(given.classes) <= head.units
            else f'Dense({int(given.classes[-1]) + 1}, activation="softmax")',
            severity=None if seen and split == "train" else Severity.ERROR if seen else Severity.WARN,
            proof=_proof(given, history, rows) if broken and split == "train" else None,
            unproven=None if seen else "the run has no loss curve to confirm that fit() was given these labels",
            evidence={
                "split": split,
                "units": head.units,
                "smallest": int(given.classes[0]),
                "largest": int(given.classes[-1]),
                "classes_outside": len(outside),
                "rows_outside": rows,
            },
        )
        return


def _outside(labels: LabelSet | None, units: int, ignored: object) -> np.ndarray:
    """The integer classes that have no unit and are not ignored."""
    if labels is None or labels.form != "integer" or labels.classes.dtype.kind not in "iu":
        return np.array([], dtype=np.int64)
    classes = labels.classes
    return np.asarray(classes[((classes < 0) | (classes >= units)) & (classes != ignored)])


def _consequence(broken: bool, failed: bool, silent: bool) -> str:
    if broken:
        return ", and the loss became NaN."
    if failed:
        return ", and the run failed."
    return ": on JAX those rows count nothing in the loss." if silent else "."


def _proof(labels: LabelSet, history: History | None, rows: int) -> Proof | None:
    """The accuracy that NaN predictions have, to one row: the share of one label, whichever argmax makes of NaN."""
    accuracy = None if history is None else history.accuracy
    shares = {0: 0.0} | {code: count / labels.rows for code, count in labels.counts.items()}
    last = float(accuracy[-1]) if accuracy is not None and len(accuracy) else None
    if last is None or min(abs(last - share) for share in shares.values()) > 0.5 / labels.rows + 1e-6:
        return Proof(Grade.C, f"the loss is not finite, and {rows} labels have no unit", n=labels.rows)
    return Proof(
        Grade.A,
        "the loss is NaN and the logged accuracy is the share of one label, which is what NaN predictions score",
        metric="accuracy",
        before=last,
        n=labels.rows,
    )
