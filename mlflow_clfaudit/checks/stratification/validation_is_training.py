from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.inputs import RowHashes
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR, explains=("rows-in-both-splits",))
def validation_is_training(
    run: Run,
    row_hashes: RowHashes | None = None,
    history: History | None = None,
    *,
    repeated: float = 0.5,
    same: float = 0.9,
) -> Iterator[Finding]:
    """The validation rows are the training rows, so the validation metrics say nothing about new rows.

    ## Why it matters
    A net is right on what it has memorised. The val_ curve follows the training curve, and no overfitting shows.

    ## How it is detected
    Every validation row is among the training rows, they are nearly as many, and most training rows occur only once; or
    the run's datasets for training and validation have the same digest. Some of the training rows as validation rows
    are rows-in-both-splits.

    ## Proof
    The rows are equal. Digests cover the first 10,000 values and the shape: strong, but no proof.

    ## Fix
    `train_test_split` a validation set off the training rows.

    ```diff
    - model.fit(X, y, validation_data=(X, y))
    + X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.2, stratify=y)
    + model.fit(X_train, y_train, validation_data=(X_val, y_val))
    ```

    ## When it is legitimate
    A last fit on all rows after the selection was done elsewhere: without val_ metrics it is information only.
    """
    if row_hashes is None and not run.datasets:
        raise Missing("the run has neither inputs nor datasets", 'mlflow.log_artifact("X_val.npy", "data")')
    measured = history is not None and bool(history.validation)
    severity = Severity.ERROR if measured else Severity.INFO
    if row_hashes is not None and {"train", "validation"} <= set(row_hashes.splits):
        shared, own = row_hashes.shared("validation", "train"), row_hashes.repeated("train")
        if len(shared) > 1 and shared.all() and len(shared) >= same * len(own) and own.mean() < repeated:
            yield Finding(
                f"All {len(shared)} validation rows are among the {len(own)} training rows.",
                fix="X_train, X_val, y_train, y_val = train_test_split(X, y, stratify=y)",
                severity=severity,
                evidence={"rows": len(shared), "training_rows": len(own)},
                proof=Proof(Grade.A, "hashes of all rows", n=len(shared)),
            )
        return
    digests = {dataset.context: dataset.digest for dataset in run.datasets}
    if "train" in digests and digests["train"] == digests.get("eval"):
        yield Finding(
            "The run's datasets for training and for validation have the same digest.",
            fix="X_train, X_val, y_train, y_val = train_test_split(X, y, stratify=y)",
            severity=severity,
            evidence={"digest": digests["train"]},
            proof=Proof(Grade.C, "the digests of the logged datasets"),
        )
