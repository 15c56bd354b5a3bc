from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History, RowCounts
from mlflow_clfaudit.evidence.weights import OptimizerState
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO)
def params_contradict_history(
    fit: FitArguments,
    history: History,
    optimizer_state: OptimizerState | None = None,
    row_counts: RowCounts | None = None,
) -> Iterator[Finding]:
    """The run's params say something else about the training than its curves and its optimizer do.

    ## Why it matters
    MLflow logs the default where `fit()` was given an argument by position: `fit(X, y, 16, 3)` is logged as one epoch.
    Whoever compares runs by these params compares what did not happen.

    ## How it is detected
    More epochs in the curves than in the params; or a number of optimizer steps that no whole number of epochs with the
    logged batch size gives. The curves and the optimizer are believed.

    ## Fix
    Name the arguments: `fit(X, y, batch_size=16, epochs=3)`.

    ```diff
    - model.fit(X, y, 16, 3)
    + model.fit(X, y, batch_size=16, epochs=3)
    ```

    ## When it is legitimate
    Several calls of fit() in one run, `steps_per_epoch`, a training that was interrupted.
    """
    if history.fits > 1:
        return
    if fit.epochs is not None and history.epochs > fit.epochs:
        yield Finding(
            f"The param epochs is {fit.epochs}, and the curves have {history.epochs} epochs.",
            fix="fit(X, y, batch_size=16, epochs=3)",
            evidence={"epochs_param": fit.epochs, "epochs": history.epochs},
            proof=Proof(Grade.A, "the points of the curves, counted"),
        )
        return
    steps = optimizer_state.iterations if optimizer_state is not None else None
    if steps is None or row_counts is None or history.epochs == 0 or fit.batch_size is None:
        return
    per_epoch = int(np.ceil(row_counts.train / fit.batch_size))
    # Early stopping keeps the optimizer of the last epoch or of a restored one: any whole number of epochs fits.
    if steps % per_epoch == 0:
        return
    yield Finding(
        f"The optimizer took {steps} steps; {history.epochs} epochs of {row_counts.train} rows in batches of "
        f"{fit.batch_size} are {history.epochs * per_epoch}.",
        fix="fit(X, y, batch_size=16, epochs=3)",
        evidence={"steps": steps, "steps_per_epoch": per_epoch, "epochs": history.epochs},
        proof=Proof(Grade.A, "the saved optimizer's own count"),
    )
