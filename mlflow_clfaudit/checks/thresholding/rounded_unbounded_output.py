from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.history import LOG_HISTORY, History
from mlflow_clfaudit.evidence.scores import Reading
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR, explains=("loss-accuracy-divergence", "overfit"))
def rounded_unbounded_output(
    served: Served,
    served_train: Served | None = None,
    history: History | None = None,
    readings: tuple[Reading, ...] | None = None,
    *,
    outside: float = 0.02,
    apart: float = 0.1,
    drift: float = 2.0,
    smallest: float = 0.02,
) -> Iterator[Finding]:
    """The logged accuracy compares labels with rounded outputs that are not confined to 0 and 1.

    ## Why it matters
    Keras up to 2.3.1 computed the accuracy of one output as `mean(y == round(p))`. An output of 1.7 rounds to 2 and one
    of -0.6 to -1: both count as wrong although they are on the right side of .5. The loss falls, the accuracy falls
    with it, below chance even, and the model is good.

    ## How it is detected
    One output that leaves [-.5, 1.5]; the logged accuracy is what rounding scores with the saved weights (to one row on
    held-out rows; on training rows within the drift of its last epochs, since fit() averages over an epoch) and far
    from what the threshold scores.

    ## Proof
    Both accuracies, recomputed from the same weights.

    ## Fix
    `Dense(1, activation="sigmoid")`; any tf.keras 2.x or Keras 3 thresholds instead of rounding.

    ```diff
    - model.add(keras.layers.Dense(1, activation="linear"))
    + model.add(keras.layers.Dense(1, activation="sigmoid"))
    ```

    ## When it is legitimate
    Never as an accuracy.

    ## Measured
    scikit-learn's digits 0 and 1, 13,000 frozen relu features, linear output: loss .0033, threshold accuracy 1.000,
    rounded accuracy .861 falling to .647.
    """
    if history is None and readings is None:
        raise Missing("the run logged no accuracy", LOG_HISTORY)
    if served.width != 1 or served.classes != 2 or served.head.gives_probabilities:
        return
    reading = next((item for item in readings or () if item.match == "rounded"), None)
    if reading is not None:
        yield _finding(
            reading.score.name, reading.score.value, reading.score.value, reading.proper, reading.rows, reading.split
        )
        return
    train = served if not served.held_out else served_train
    curve = history.accuracy if history is not None else None
    if train is None or curve is None or not np.all(np.isfinite(train.outputs)):
        return
    column = train.outputs[:, 0]
    rounded = float(np.mean(np.round(column) == train.truth))
    proper = float(np.mean((column > 0.5) == train.truth))
    # fit() logs the mean over an epoch's batches, each scored before its step.
    steps = np.abs(np.diff(curve[-6:]))
    tolerance = max(smallest, drift * float(steps.max(initial=0.0)))
    if np.mean((column < -0.5) | (column > 1.5)) < outside or proper - rounded < apart:
        return
    if abs(curve[-1] - rounded) <= min(tolerance, (proper - rounded) / 3):
        yield _finding("accuracy", float(curve[-1]), rounded, proper, train.rows, train.split)


def _finding(name: str, logged: float, rounded: float, proper: float, rows: int, split: str) -> Finding:
    return Finding(
        f"The logged {name} of {logged:.4f} counts an output as right only if it rounds to the label: with the saved "
        f"weights rounding scores {rounded:.4f} and the threshold {proper:.4f} on the {rows} {split} rows. The number "
        "is wrong, not the model.",
        fix='Dense(1, activation="sigmoid"), or tf.keras 2.x or Keras 3, which threshold',
        evidence={"metric": name, "logged": logged, "rounded": rounded, "thresholded": proper},
        proof=Proof(
            Grade.A,
            "rounded and thresholded accuracy of the same outputs",
            metric="accuracy",
            before=rounded,
            after=proper,
            n=rows,
        ),
    )
