from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.scores import Reading
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

TURNED = ("inverted", "column 0")


@check(severity=Severity.ERROR)
def inverted_positive_class(
    served: Served,
    readings: tuple[Reading, ...] | None = None,
    *,
    minimum_rows: int = 20,
    information: float = 0.1,
    apart: float = 0.05,
) -> Iterator[Finding]:
    """The score of the other class is taken for the score of the positive class.

    ## Why it matters
    Everything is the wrong way round: the best rows rank last, and an accuracy of .95 is reported as .05.

    ## How it is detected
    A logged accuracy or AUC is that of the turned decisions, to one row or four digits; or the upper end of the DeLong
    interval of the AUC is below .5 and the turned probabilities carry information (U of at least .1). Without that
    strength an AUC below .5 says nothing: a net that has hardly trained ranks either way.

    ## Proof
    The identity, or the same outputs turned round.

    ## Fix
    `pos_label=1`, or column 1 of the predictions.

    ```diff
    - roc_auc_score(y, model.predict(X)[:, 0])  # two columns
    + roc_auc_score(y, model.predict(X)[:, 1])
    ```

    ## When it is legitimate
    A score that is defined for the negative class.
    """
    if served.classes != 2 or served.width > 2:
        raise Missing("the model does not give one binary score")
    for reading in readings or ():
        if reading.match not in TURNED or reading.proper - reading.score.value < apart:
            continue
        kind = "AUC" if reading.score.kind == "auc" else reading.score.kind
        yield Finding(
            f"The logged {reading.score.name} of {reading.score.value:.4f} is that of the turned scores; the right way "
            f"round, the same outputs score {reading.proper:.4f} on the {reading.rows} {reading.split} rows.",
            fix="model.predict(X)[:, 1]" if served.width == 2 else "roc_auc_score(y == 1, p)",
            evidence={"metric": reading.score.name, "logged": reading.score.value, "proper": reading.proper},
            proof=Proof(
                Grade.A,
                "the logged number is that of the turned scores",
                metric=kind,
                before=reading.score.value,
                after=reading.proper,
                n=reading.rows,
            ),
        )
        return
    scores, probabilities = served.scores, served.probabilities
    if scores is None or probabilities is None or not np.all(np.isfinite(scores)):
        return
    if np.bincount(served.truth, minlength=2).min() < minimum_rows:
        return
    area, low, high = measures.area_interval(served.truth, scores)
    turned = measures.information_ratio(served.truth, probabilities[:, ::-1])
    if high >= 0.5 or turned is None or turned < information:
        return
    decision = 1 - served.decision
    yield Finding(
        f"The scores rank the classes the wrong way round: AUC {area:.3f} ({low:.3f} to {high:.3f}) on {served.where}; "
        f"turned, balanced accuracy is {measures.balanced_accuracy(served.truth, decision):.3f}.",
        fix="roc_auc_score(y == 1, p): check which class the labels call 1",
        evidence={"auc": area, "auc_interval": [low, high], "information_turned": turned},
        proof=Proof(
            Grade.B if served.held_out else Grade.C,
            "the same outputs turned round",
            metric="balanced accuracy",
            before=served.balanced_accuracy,
            after=measures.balanced_accuracy(served.truth, decision),
            n=served.rows,
            p_value=measures.accuracy_p_value(served.truth, served.decision, decision),
        ),
    )
