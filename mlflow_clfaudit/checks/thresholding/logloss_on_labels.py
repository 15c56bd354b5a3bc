from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.scores import Reading
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR)
def logloss_on_labels(readings: tuple[Reading, ...], *, apart: float = 0.01) -> Iterator[Finding]:
    """The logged log loss was computed on decisions instead of probabilities.

    ## Why it matters
    Every wrong decision then costs -ln(2.2e-16) = 36.04, the same whether the net was sure or not: the number is the
    error rate times 36.

    ## How it is detected
    The logged log loss is that of the decisions to four digits and not that of the probabilities.

    ## Proof
    The identity.

    ## Fix
    `log_loss(y, model.predict(X))`: pass the probabilities.

    ```diff
    - log_loss(y, model.predict(X)[:, 0] > 0.5)
    + log_loss(y, model.predict(X)[:, 0])
    ```

    ## When it is legitimate
    Never.
    """
    for reading in readings:
        if reading.score.kind != "log loss" or reading.match != "hard labels":
            continue
        if abs(reading.proper - reading.score.value) < apart:
            continue
        yield Finding(
            f"The logged {reading.score.name} of {reading.score.value:.4g} is 36.04 times the error rate; the log loss "
            f"of the probabilities on the {reading.rows} {reading.split} rows is {reading.proper:.4g}.",
            fix="log_loss(y, model.predict(X))",
            evidence={"metric": reading.score.name, "logged": reading.score.value, "proper": reading.proper},
            proof=Proof(Grade.A, "the logged number is the log loss of hard decisions", n=reading.rows),
        )
