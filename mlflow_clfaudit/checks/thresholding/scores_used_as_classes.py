from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.scores import LOG_PREDICTIONS, LoggedPredictions, Reading
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR)
def scores_used_as_classes(
    served: Served,
    readings: tuple[Reading, ...] | None = None,
    logged_predictions: tuple[LoggedPredictions, ...] | None = None,
    *,
    apart: float = 0.05,
) -> Iterator[Finding]:
    """Scores stand where classes were meant: they were compared with labels, or one column of a pair was the decision.

    ## Why it matters
    .98 is not 1: compared for equality, a good net scores 0. And column 0 of a pair is the probability of class 0.

    ## How it is detected
    A logged accuracy that is the equality of raw outputs and labels, to one row; a logged prediction that is, value by
    value, column 0 of the outputs; scores beside labels in a table of predictions (information only).

    ## Proof
    The same outputs cut at their threshold score what the raw ones do not.

    ## Fix
    `np.where(p > t, 1, 0)`, or `argmax` over the columns.

    ```diff
    - accuracy_score(y, model.predict(X)[:, 0].astype(int))
    + accuracy_score(y, model.predict(X)[:, 0] > 0.5)
    ```

    ## When it is legitimate
    An artifact that is named or typed as probabilities.
    """
    if readings is None and logged_predictions is None:
        raise Missing("the run logged no accuracy and no predictions", LOG_PREDICTIONS)
    by_equality = any(metric.name == "accuracy" and not metric.by_string for metric in served.head.metrics)
    for reading in readings or ():
        if reading.match != "exact" or reading.proper - reading.score.value < apart or by_equality:
            continue
        yield Finding(
            f"The logged {reading.score.name} of {reading.score.value:.4f} compares raw outputs with labels; cut at "
            f"{served.head.threshold:g}, the same outputs score {reading.proper:.4f} on the {reading.rows} "
            f"{reading.split} rows.",
            fix=f"np.where(p > {served.head.threshold:g}, 1, 0)" if served.width == 1 else "p.argmax(axis=1)",
            evidence={"metric": reading.score.name, "logged": reading.score.value, "proper": reading.proper},
            proof=Proof(
                Grade.A,
                "the logged number is the equality of outputs and labels",
                metric="accuracy",
                before=reading.score.value,
                after=reading.proper,
                n=reading.rows,
            ),
        )
        return
    for predictions in logged_predictions or ():
        if predictions.split not in (None, served.split):
            continue
        found = _judged(predictions, served)
        if found is not None:
            yield found
            return


def _judged(predictions: LoggedPredictions, served: Served) -> Finding | None:
    values = predictions.values.reshape(len(predictions.values), -1)
    if values.dtype.kind not in "fiu" or values.shape[1] != 1 or predictions.named_as_scores:
        return None
    column = values[:, 0].astype(np.float64)
    scores = bool(np.any(column != np.round(column)))
    if (
        scores
        and served.width == 2
        and len(column) == served.rows
        and np.allclose(column, served.outputs[:, 0], atol=1e-5)
    ):
        turned = float(np.mean((column > 0.5) == served.truth))
        return Finding(
            f"The logged predictions {predictions.source} are column 0 of the outputs, the score of class 0: cut at .5 "
            f"they are right for {turned:.1%} of the rows, column 1 for {served.accuracy:.1%}.",
            fix="model.predict(X)[:, 1]",
            severity=Severity.ERROR if served.accuracy > turned else Severity.INFO,
            evidence={"predictions": predictions.source, "accuracy": turned, "accuracy_of_column_1": served.accuracy},
            proof=Proof(
                Grade.A,
                "the logged predictions are column 0",
                metric="accuracy",
                before=turned,
                after=served.accuracy,
                n=served.rows,
            ),
        )
    if scores and predictions.truth is not None and predictions.truth.dtype.kind in "iu":
        return Finding(
            f"The logged predictions {predictions.source} are scores between {column.min():.3g} and {column.max():.3g} "
            "beside labels that are whole numbers: they need a threshold before they are compared.",
            fix="np.where(p > 0.5, 1, 0)",
            severity=Severity.INFO,
            evidence={"predictions": predictions.source, "rows": len(column)},
        )
    return None
