from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Spec
from mlflow_clfaudit.evidence.trainings import Continued
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Severity


@check(
    severity=Severity.INFO,
    explains=(
        "under-trained",
        "stopped-early",
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "baseline-wins",
    ),
)
def learning_rate_exhausted(
    served: Served,
    history: History,
    fit: FitArguments,
    spec: Spec,
    *,
    left: float = 1e-3,
    idle: float = 0.2,
    learnt: float = 0.8,
) -> Iterator[Finding]:
    """The learning rate had fallen to next to nothing before the network had learnt.

    ## Why it matters
    The remaining epochs change no weight, and the flat curve looks like convergence.

    ## How it is detected
    The logged rate (or the saved one, where no curve was logged) is a thousandth of the first one or less, for a
    fifth of the epochs and more, and the net did not learn well (U below .8).

    ## Proof
    Training continued from the saved weights at the first rate for a tenth of the epochs: an error when balanced
    accuracy rises by .10, a warning from .05, p < .01, or when U rises by .1, p < .01 in a paired t-test on the log
    losses. Otherwise nothing is reported.

    ## Fix
    `ReduceLROnPlateau(min_lr=1e-5)` with more patience, or a schedule as long as the training.

    ```diff
    - keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=1)
    + keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=10, min_lr=1e-5)
    ```

    ## When it is legitimate
    A planned decay to zero after the net has converged.
    """
    if served.skill >= learnt:
        return
    rates = history.learning_rate
    first = fit.learning_rate or (float(rates[0]) if rates is not None and len(rates) else None)
    saved = spec.optimizer.learning_rate if spec.optimizer else None
    last = float(rates[-1]) if rates is not None and len(rates) else saved
    if not first or last is None or not 0 <= last <= left * first:
        return
    spent = float(np.mean(rates <= left * first)) if rates is not None and len(rates) else None
    if spent is not None and spent < idle:
        return
    since = f" for {spent:.0%} of the epochs" if spent is not None else ""
    yield Finding(
        f"The learning rate fell from {first:g} to {last:g}{since}.",
        fix="ReduceLROnPlateau(min_lr=1e-5) with more patience",
        evidence={"first": first, "last": last, "share_of_epochs": spent},
    )


@learning_rate_exhausted.proof
def continued_at_the_first_rate(
    finding: Finding,
    continuation_trial: Continued,
    *,
    gain: float = 0.05,
    clear_gain: float = 0.1,
    significance: float = 0.01,
) -> Finding | None:
    how = f"training continued at the first learning rate, {continuation_trial.duration}"
    if continuation_trial.gain >= gain and continuation_trial.p_value < significance:
        proof = continuation_trial.decision_proof(how)
        severity = Severity.ERROR if continuation_trial.gain >= clear_gain else Severity.WARN
    elif continuation_trial.informs():
        proof, severity = continuation_trial.information_proof(how), Severity.WARN
    else:
        return None
    return replace(
        finding,
        message=f"{finding.message[:-1]} before the network had learnt: {continuation_trial.duration} more at "
        f"the first rate lift {proof.metric} {proof.before:.2f} → {proof.after:.2f}.",
        severity=severity,
        evidence={**finding.evidence, "trial": continuation_trial.summary},
        proof=proof,
    )
