from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.weighting import ClassWeighting
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO)
def weighted_loss_scale(class_weighting: ClassWeighting, history: History, *, apart: float = 1.25) -> Iterator[Finding]:
    """Training loss and validation loss are on different scales, because class weights apply to one of them.

    ## Why it matters
    Keras divides the weighted loss by the number of rows, not by the sum of the weights, and never weighs validation
    rows. A training loss above the validation loss then says nothing about fit, and every step is larger by the mean
    weight.

    ## How it is detected
    The mean weight of a training row differs from 1 by a quarter or more, and both losses were logged.

    ## Fix
    `keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")`, or weights with a mean of 1.

    ```diff
    - model.compile("adam", "binary_crossentropy")
    + model.compile("adam", keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight"))
      model.fit(X, y, class_weight={0: 1, 1: 50})
    ```

    ## When it is legitimate
    Always: it is a warning about reading the curves.

    ## Measured
    Keras 3.15, weights 1 and 17 on balanced rows: the loss is 9 times the unweighted one.
    """
    if class_weighting.library != "Keras":
        raise Missing("only Keras divides a weighted loss by the number of rows")
    mean = class_weighting.mean
    if history.loss is None or history.validation_loss is None or 1 / apart < mean < apart:
        return
    yield Finding(
        f"The class weights multiply the training loss by {mean:.3g} on average and leave the validation loss as it "
        "is: the two curves cannot be compared.",
        fix='loss=keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")',
        evidence={"mean_weight": mean},
        proof=Proof(Grade.A, "the mean weight of the training rows", n=int(class_weighting.counts.sum())),
    )
