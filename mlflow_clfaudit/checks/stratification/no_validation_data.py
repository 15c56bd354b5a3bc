from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO)
def no_validation_data(
    history: History, fit: FitArguments, run: Run, labels: Labels | None = None
) -> Iterator[Finding]:
    """Nothing was held out: every number of this run is about rows that the net was trained on.

    ## Why it matters
    Training metrics do not say how the net does on new rows.

    ## How it is detected
    No val_ metric, no validation split, no validation or test dataset and no held-out labels among the artifacts.

    ## Fix
    `fit(..., validation_data=(X_val, y_val))`.

    ```diff
    - model.fit(X, y)
    + X_train, X_val, y_train, y_val = train_test_split(X, y, stratify=y, random_state=0)
    + model.fit(X_train, y_train, validation_data=(X_val, y_val))
    ```

    ## When it is legitimate
    A last fit on all rows, and toy problems. Never the root cause of anything.
    """
    if history.validation or fit.validation_split > 0 or any(d.context in ("eval", "test") for d in run.datasets):
        return
    if labels is not None and any(True for _ in labels.held_out()):
        return
    if any(name.lower().startswith(("test_", "eval_", "holdout_")) for name in run.metrics):
        return
    yield Finding(
        "The run has no validation metrics and no held-out labels: its numbers are about training rows.",
        fix="fit(..., validation_data=(X_val, y_val))",
        proof=Proof(Grade.A, "the metrics and artifacts of the run"),
    )
