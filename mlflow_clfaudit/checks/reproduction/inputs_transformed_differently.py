from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.inputs import Transform
from mlflow_clfaudit.evidence.reproduction import Reproduction
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN)
def inputs_transformed_differently(
    transformed: tuple[Reproduction, Transform], reproduction: Reproduction
) -> Iterator[Finding]:
    """The logged inputs are not what fit() was given: a transform that the run does not carry lies between them.

    ## Why it matters
    Whoever serves this model, or audits it, on inputs as they were logged gets other outputs than the author did.

    ## How it is detected
    The logged validation rows do not give the logged validation loss, and exactly one of the usual transforms (x / 255,
    z-scores and min-max by the training rows, rows of length 1, channels moved …) gives it to four digits.

    ## Proof
    The equality.

    ## Fix
    Put the transform into the model (`keras.layers.Normalization`, `keras.layers.Rescaling`) or log the fitted scaler.

    ```diff
    - model = keras.Sequential([keras.Input((8,)), ...])  # fed with scaler.transform(X)
    + normalization = keras.layers.Normalization()
    + normalization.adapt(X_train)
    + model = keras.Sequential([keras.Input((8,)), normalization, ...])  # fed with X
    ```

    ## When it is legitimate
    Where serving applies the same transform outside of the model.
    """
    found, _ = transformed
    yield Finding(
        f"The logged {found.split} inputs give a loss of {reproduction.loss:.4g}; as {found.transform} "
        f"they give {found.loss:.4g}, the val_loss of epoch {found.epoch + 1}. The model needs that "
        "transform and does not carry it.",
        fix="keras.layers.Normalization() or keras.layers.Rescaling(1 / 255) as the first layer",
        evidence={"transform": found.transform, "loss": reproduction.loss, "transformed_loss": found.loss},
        proof=Proof(Grade.A, f"val_loss reproduced with {found.transform}", n=found.rows),
    )
