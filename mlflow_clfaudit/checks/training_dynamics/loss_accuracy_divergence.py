from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Severity


@check(severity=Severity.SYMPTOM, unexplained=Severity.WARN)
def loss_accuracy_divergence(
    history: History,
    *,
    epochs: int = 8,
    correlation: float = 0.3,
    significance: float = 0.01,
    falls: float = 0.3,
    moves: float = 1e-3,
    ceiling: float = 0.98,
    drop: float = 0.02,
) -> Iterator[Finding]:
    """The training loss falls while the training accuracy stands still or falls.

    ## Why it matters
    What is optimised is not what is counted: the outputs are not what the metric takes them for.

    ## How it is detected
    Over at least eight epochs the loss falls by 30 % and the accuracy moves by less than .001; or the accuracy falls
    by .02 from the first third of the epochs to the last, in step with a falling loss (Spearman .3 and more, p <
    .01).

    ## Fix
    That of the cause it is listed under.

    ## When it is legitimate
    Accuracy that is at its ceiling (.98 and more throughout) while the loss still falls. Validation curves are not
    judged: a validation loss that rises under a good accuracy is overfitting.
    """
    losses, accuracy = history.loss, history.accuracy
    if losses is None or accuracy is None or len(losses) != len(accuracy) or len(losses) < epochs:
        return
    if not (np.all(np.isfinite(losses)) and np.all(np.isfinite(accuracy))) or np.min(accuracy) >= ceiling:
        return
    third = len(losses) // 3
    loss_before, loss_after = float(losses[:third].mean()), float(losses[-third:].mean())
    accuracy_before, accuracy_after = float(accuracy[:third].mean()), float(accuracy[-third:].mean())
    if loss_after >= loss_before:
        return
    evidence = {
        "loss_first": float(losses[0]),
        "loss_last": float(losses[-1]),
        "accuracy_first": float(accuracy[0]),
        "accuracy_last": float(accuracy[-1]),
        "epochs": len(losses),
    }
    text = f"The training loss falls from {losses[0]:.3g} to {losses[-1]:.3g}"
    if np.ptp(accuracy) < moves:
        if losses[-1] < (1 - falls) * losses[0]:
            yield Finding(f"{text} while accuracy stays at {accuracy[-1]:.4f}.", evidence=evidence)
        return
    if accuracy_after <= accuracy_before - drop:
        found = scipy.stats.spearmanr(losses, accuracy)
        if found.statistic >= correlation and found.pvalue < significance:
            yield Finding(
                f"{text} and accuracy falls with it, from {accuracy_before:.3f} to {accuracy_after:.3f}.",
                evidence=evidence | {"correlation": float(found.statistic)},
            )
