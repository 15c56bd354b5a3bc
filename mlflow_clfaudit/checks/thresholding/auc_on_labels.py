from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.scores import Reading
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR)
def auc_on_labels(readings: tuple[Reading, ...], *, apart: float = 0.002) -> Iterator[Finding]:
    """The logged AUC was computed on decisions instead of scores.

    ## Why it matters
    An AUC of 0s and 1s is the balanced accuracy of one threshold. It does not say how well the net ranks rows, and is
    nearly always too low.

    ## How it is detected
    The logged AUC is (TPR + TNR) / 2 of the decisions to four digits, and the AUC of the scores is .002 and more away.

    ## Proof
    The identity.

    ## Fix
    `roc_auc_score(y, model.predict(X))`: pass the scores.

    ```diff
    - roc_auc_score(y, model.predict(X)[:, 0] > 0.5)
    + roc_auc_score(y, model.predict(X)[:, 0])
    ```

    ## When it is legitimate
    Classifiers that give labels and nothing else.
    """
    for reading in readings:
        if reading.score.kind != "auc" or reading.match != "hard labels" or reading.score.curve:
            continue
        if abs(reading.proper - reading.score.value) < apart:
            continue
        yield Finding(
            f"The logged {reading.score.name} of {reading.score.value:.4f} is the balanced accuracy of the decisions; "
            f"the AUC of the scores on the {reading.rows} {reading.split} rows is {reading.proper:.4f}.",
            fix="roc_auc_score(y, model.predict(X)[:, -1])",
            evidence={"metric": reading.score.name, "logged": reading.score.value, "proper": reading.proper},
            proof=Proof(
                Grade.A,
                "the logged AUC is (TPR + TNR) / 2",
                metric="AUC",
                before=reading.score.value,
                after=reading.proper,
                n=reading.rows,
            ),
        )
