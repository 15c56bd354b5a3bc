from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Severity


@check(severity=Severity.SYMPTOM, unexplained=Severity.WARN)
def stuck_loss(
    history: History,
    train_labels: LabelSet | None = None,
    *,
    moves: float = 1e-3,
    epochs: int = 5,
    small: float = 0.05,
    good: float = 0.9,
    better: float = 0.05,
) -> Iterator[Finding]:
    """The training loss hardly moved in the whole run.

    ## Why it matters
    Nothing was learnt: no gradient arrives, or the steps are too small to be seen.

    ## How it is detected
    Over at least five epochs the loss stays within .001, and within a thousandth of its value.

    ## Fix
    That of the cause it is listed under.

    ## When it is legitimate
    A net that had converged before: a loss below .05, a logged accuracy of .9 and more, or one that is .05 above the
    share of the largest class, is not reported.
    """
    losses = history.loss
    if losses is None or len(losses) < epochs or not np.all(np.isfinite(losses)):
        return
    moved, level = float(np.ptp(losses)), float(np.abs(losses).mean())
    shares = [] if train_labels is None or not train_labels.is_single_label else list(train_labels.counts.values())
    bar = min(good, max(shares) / sum(shares) + better) if shares else good
    accuracy = history.accuracy
    learnt = accuracy is not None and len(accuracy) > 0 and float(np.max(accuracy)) >= bar
    if moved >= moves * max(1.0, level) or level < small or learnt:
        return
    yield Finding(
        f"The training loss stays at {losses[-1]:.4g}: it moved by {moved:.2g} in {len(losses)} epochs.",
        evidence={"first": float(losses[0]), "last": float(losses[-1]), "moved": moved, "epochs": len(losses)},
    )
