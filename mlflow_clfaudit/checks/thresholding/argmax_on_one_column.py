from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.scores import LoggedPredictions, Reading
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

FIX = "(p[:, 0] > 0.5).astype(int)"


@check(severity=Severity.BLOCKER, explains=("majority-accuracy", "loss-accuracy-divergence", "broadcast-comparison"))
def argmax_on_one_column(
    head: Head,
    readings: tuple[Reading, ...] | None = None,
    logged_predictions: tuple[LoggedPredictions, ...] | None = None,
    served: Served | None = None,
) -> Iterator[Finding]:
    """The decision is the argmax of a single column, which is class 0 for every row.

    ## Why it matters
    `np.argmax(model.predict(X), axis=1)` finds the larger of one number. Every row becomes class 0, the accuracy is the
    share of class 0, and a good net looks like one that learnt nothing.

    ## How it is detected
    The head has one unit, and a logged accuracy is the share of class 0 to one row where the same outputs, cut at their
    threshold, score something else; or logged predictions are 0 throughout while the outputs are on both sides of the
    threshold; or the compiled metric is `sparse_categorical_accuracy`, which takes that argmax itself.

    ## Proof
    The identity: the logged number, and the number that the same outputs give when they are cut.

    ## Fix
    `(p[:, 0] > 0.5).astype(int)`, and `metrics=["accuracy"]`.

    ```diff
    - decision = model.predict(X).argmax(axis=1)
    + decision = (model.predict(X)[:, 0] > 0.5).astype(int)
    ```

    ## When it is legitimate
    Heads of two columns or more.
    """
    if head.units != 1:
        return
    reading = next((item for item in readings or () if item.match == "argmax"), None)
    if reading is not None:
        tied = " (comparing shapes (N, 1) and (N,) would too)" if "broadcast" in reading.matches else ""
        yield Finding(
            f"The logged {reading.score.name} of {reading.score.value:.4f} is the share of class 0 among the "
            f"{reading.rows} {reading.split} rows, which is what argmax over one column scores{tied}; cut at "
            f"{head.threshold:g}, the same outputs score {reading.proper:.4f}.",
            fix=FIX,
            evidence={"metric": reading.score.name, "logged": reading.score.value, "proper": reading.proper},
            proof=Proof(
                Grade.A,
                f"the logged number is the share of class 0 among the {reading.split} rows",
                metric="accuracy",
                before=reading.score.value,
                after=reading.proper,
                n=reading.rows,
            ),
        )
        return
    constant = next(
        (item for item in logged_predictions or () if served is not None and _is_constant(item, served)), None
    )
    if constant is not None and served is not None:
        yield Finding(
            f"The logged predictions {constant.source} are class 0 in all {len(constant.values)} rows, while the model "
            f"answers class 1 in {np.mean(served.decision):.0%} of the {served.split} rows.",
            fix=FIX,
            evidence={"predictions": constant.source, "share_of_class_1": float(np.mean(served.decision))},
            proof=Proof(Grade.A, "the logged predictions beside the served outputs", n=served.rows),
        )
        return
    if any(metric.name == "sparse_categorical_accuracy" for metric in head.metrics):
        yield Finding(
            "The compiled metric sparse_categorical_accuracy takes the argmax of one column: it reports the share of "
            "class 0, whatever the model says.",
            fix='model.compile(..., metrics=["accuracy"])',
            evidence={"metric": "sparse_categorical_accuracy"},
        )


def _is_constant(predictions: LoggedPredictions, served: Served, *, share: float = 0.02) -> bool:
    values = predictions.values
    if values.dtype.kind not in "iufb" or values.size != served.rows or predictions.split not in (None, served.split):
        return False
    answered = float(np.mean(served.decision))
    return bool(np.all(values == 0)) and share <= answered and served.accuracy > float(np.mean(served.truth == 0))


@argmax_on_one_column.proof
def share_of_class_0(finding: Finding, history: History, served: Served) -> Finding:
    curve = history.validation.get("sparse_categorical_accuracy")
    if curve is None or served.split != "validation":
        return finding
    share = float(np.mean(served.truth == 0))
    if abs(curve[-1] - share) > 0.5 / served.rows:
        return replace(finding, severity=Severity.WARN)
    return replace(
        finding,
        proof=Proof(
            Grade.A,
            "the logged number is the share of class 0",
            metric="accuracy",
            before=share,
            after=served.accuracy,
            n=served.rows,
        ),
    )
