from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO)
def validation_split_ignored(fit: FitArguments, run: Run) -> Iterator[Finding]:
    """fit() was given both `validation_split` and `validation_data`, and ignores the split.

    ## Why it matters
    MLflow logs the split as a param although no row was cut off: whoever reads the params is misled.

    ## How it is detected
    A validation_split param beside a dataset that was logged for validation.

    ## Fix
    Drop one of the two arguments.

    ```diff
    - model.fit(X, y, validation_split=0.2, validation_data=(X_val, y_val))
    + model.fit(X, y, validation_data=(X_val, y_val))
    ```

    ## When it is legitimate
    It never harms the fit.
    """
    if fit.validation_split > 0 and any(dataset.context == "eval" for dataset in run.datasets):
        yield Finding(
            f"validation_split={fit.validation_split:g} was ignored, because validation_data was given too.",
            fix="fit(..., validation_data=(X_val, y_val)) without validation_split",
            evidence={"validation_split": fit.validation_split},
            proof=Proof(Grade.A, "the logged param beside the logged dataset"),
        )
