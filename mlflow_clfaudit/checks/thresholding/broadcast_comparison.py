from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.scores import Reading
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR)
def broadcast_comparison(readings: tuple[Reading, ...], *, apart: float = 0.02) -> Iterator[Finding]:
    """The logged accuracy compares every prediction with every label, because their shapes differ.

    ## Why it matters
    `(pred == y).mean()` with shapes (N, 1) and (N,) is the mean of an N×N table. It depends on the class shares only,
    not on which row is right.

    ## How it is detected
    The logged number is Σ (share of class k among the labels) × (share of class k among the decisions), to half a row,
    and not the accuracy of the same decisions. Where another mistake gives the same number (for classes of equal size,
    argmax over one column gives .5 as well), it is a suspicion only.

    ## Proof
    The identity.

    ## Fix
    `(pred.ravel() == y.ravel()).mean()`, or `accuracy_score(y, pred)`.

    ```diff
    - accuracy = (model.predict(X).round() == y).mean()  # (N, 1) against (N,)
    + accuracy = (model.predict(X).round().ravel() == y.ravel()).mean()
    ```

    ## When it is legitimate
    Never.
    """
    for reading in readings:
        if "broadcast" not in reading.matches or abs(reading.proper - reading.score.value) < apart:
            continue
        alone = reading.match == "broadcast"
        yield Finding(
            f"The logged {reading.score.name} of {reading.score.value:.4f} is what comparing every prediction with "
            f"every label gives; row by row, the same decisions score {reading.proper:.4f} on the {reading.rows} "
            f"{reading.split} rows.",
            severity=Severity.ERROR if alone else Severity.WARN,
            fix="(pred.ravel() == y.ravel()).mean()",
            evidence={"metric": reading.score.name, "logged": reading.score.value, "proper": reading.proper},
            proof=Proof(
                Grade.A if alone else Grade.C,
                "the logged number is the product of the class shares"
                + ("" if alone else f"; so it is by {reading.match}, and the number does not tell which"),
                metric="accuracy",
                before=reading.score.value,
                after=reading.proper,
                n=reading.rows,
            ),
        )
