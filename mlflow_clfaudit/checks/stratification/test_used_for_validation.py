from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.inputs import RowHashes
from mlflow_clfaudit.evidence.reproduction import Reproduction
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN)
def test_used_for_validation(
    fit: FitArguments,
    run: Run,
    row_hashes: RowHashes | None = None,  # noqa: PT028 - a check, not a test
    history: History | None = None,  # noqa: PT028 - the same
    reproduction: Reproduction | None = None,  # noqa: PT028 - the same
) -> Iterator[Finding]:
    """The test set was the validation data of fit(), so the test score is not held out.

    ## Why it matters
    Whatever training chose by the validation curve (when to stop, which weights to keep, the learning rate) it chose by
    the test set, and the test score is too good by as much as that choice was worth.

    ## How it is detected
    The logged validation and test inputs are the same rows, or the run's datasets for validation and test have the same
    digest. It counts as a warning where something was chosen: a monitored metric, a learning rate that a callback
    changed, fewer epochs than were asked for, or saved weights of an earlier epoch; else it is information.

    ## Proof
    The rows are equal.

    ## Fix
    `train_test_split` a validation set off the training rows, and keep the test set for one evaluation at the end.

    ```diff
    - model.fit(X_train, y_train, validation_data=(X_test, y_test))
    + X_fit, X_val, y_fit, y_val = train_test_split(X_train, y_train, test_size=0.2, stratify=y_train)
    + model.fit(X_fit, y_fit, validation_data=(X_val, y_val))
    ```

    ## When it is legitimate
    Where nothing was chosen by the validation curve.
    """
    if row_hashes is None and not run.datasets:
        raise Missing("the run has neither inputs nor datasets", 'mlflow.log_artifact("X_test.npy", "data")')
    how = _equal(row_hashes, run)
    if how is None:
        return
    chosen = _chosen_by(fit, history, run, reproduction)
    yield Finding(
        f"The validation data of fit() are the test set ({how}): the logged val_ metrics are not held out"
        + (f", and {chosen} chose by them." if chosen else "."),
        fix="X_train, X_val, y_train, y_val = train_test_split(X_train, y_train, stratify=y_train)",
        severity=Severity.WARN if chosen else Severity.INFO,
        evidence={"how": how, "chosen_by": chosen},
        proof=Proof(Grade.A if row_hashes is not None else Grade.C, how),
    )


def _equal(row_hashes: RowHashes | None, run: Run) -> str | None:
    if row_hashes is not None and row_hashes.same_rows("validation", "test"):
        return "the same rows"
    digests = {dataset.context: dataset.digest for dataset in run.datasets}
    return "the same digest" if "test" in digests and digests["test"] == digests.get("eval") else None


def _chosen_by(fit: FitArguments, history: History | None, run: Run, reproduction: Reproduction | None) -> str | None:
    """What training chose by the validation curve, as far as the run tells."""
    monitor = fit.callbacks.get("monitor", "")
    if monitor.startswith("val"):
        return f"a callback that monitors {monitor}"
    if "stopped_epoch" in run.metrics:
        return "early stopping"
    if history is None or not history.validation:
        return None
    rate = history.learning_rate
    if rate is not None and len(rate) > 0:
        return "a callback of the learning rate"
    if fit.epochs is not None and 1 < history.epochs < fit.epochs:
        return "early stopping"
    if reproduction is not None and reproduction.is_exact and reproduction.epoch < history.epochs - 1:
        return f"whoever kept the weights of epoch {reproduction.epoch + 1} of {history.epochs}"
    return None
