from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR, explains=("loss-accuracy-divergence",))
def exact_match_accuracy(head: Head, history: History | None = None, *, good: float = 0.5) -> Iterator[Finding]:
    """The compiled metric is `keras.metrics.Accuracy()`, which counts outputs that equal the label exactly.

    ## Why it matters
    A sigmoid says .98, not 1, so the accuracy is about 0 however good the net is: what is left are saturated outputs.

    ## How it is detected
    The metric object `Accuracy` on a head that gives probabilities or scores. The string "Accuracy" is another thing
    and is fine. It is not reported where the logged accuracy is above .5 or that of the threshold: then the outputs do
    equal labels.

    ## Proof
    The accuracy of the same outputs at their threshold.

    ## Fix
    `metrics=["accuracy"]`, or `keras.metrics.BinaryAccuracy()`.

    ```diff
    - accuracy = (model.predict(X)[:, 0] == y).mean()
    + accuracy = ((model.predict(X)[:, 0] > 0.5) == y).mean()
    ```

    ## When it is legitimate
    Models whose output is a label.
    """
    # A function of the user's own named accuracy has no options; the class always has.
    if not any(item.name == "accuracy" and not item.by_string and item.options for item in head.metrics):
        return
    curve = history.accuracy if history is not None else None
    if curve is not None and len(curve) and curve[-1] > good:
        return
    yield Finding(
        "The metric keras.metrics.Accuracy() counts outputs that equal their label exactly"
        + (f": it logged {curve[-1]:.4f}." if curve is not None and len(curve) else "."),
        fix='model.compile(..., metrics=["accuracy"])',
        evidence={"metric": "Accuracy", "logged": float(curve[-1]) if curve is not None and len(curve) else None},
    )


@exact_match_accuracy.proof
def accuracy_at_the_threshold(finding: Finding, served: Served, *, apart: float = 0.05) -> Finding | None:
    if finding.evidence["logged"] is None:
        raise Missing("the run logged no accuracy")
    if served.accuracy - finding.evidence["logged"] < apart:
        return None
    return replace(
        finding,
        proof=Proof(
            Grade.A,
            "the accuracy of the same outputs at their threshold",
            metric="accuracy",
            before=finding.evidence["logged"],
            after=served.accuracy,
            n=served.rows,
        ),
    )
