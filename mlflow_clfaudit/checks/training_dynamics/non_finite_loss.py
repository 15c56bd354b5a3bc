from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Severity


@check(severity=Severity.SYMPTOM, unexplained=Severity.ERROR)
def non_finite_loss(history: History) -> Iterator[Finding]:
    """The loss became NaN or infinite.

    ## Why it matters
    From that step on the weights are NaN, every prediction is NaN, and accuracy is the share of class 0: NaN is never
    above a threshold, and argmax of NaN is 0.

    ## How it is detected
    A logged loss, of training or of validation, that is not finite.

    ## Fix
    That of the cause it is listed under; `keras.callbacks.TerminateOnNaN()` ends such a run at once.

    ## When it is legitimate
    Never.
    """
    for name, losses in (("training", history.loss), ("validation", history.validation_loss)):
        if losses is None or len(losses) == 0 or np.all(np.isfinite(losses)):
            continue
        first = int(np.argmin(np.isfinite(losses)))
        kind = "NaN" if np.isnan(losses[first]) else "infinite"
        yield Finding(
            f"The {name} loss is {kind} from epoch {first + 1} of {len(losses)}.",
            fix="callbacks=[keras.callbacks.TerminateOnNaN()]",
            evidence={"curve": name, "epoch": first + 1, "epochs": len(losses)},
        )
        return
