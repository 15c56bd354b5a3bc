from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.trainings import Continued
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Severity


@check(severity=Severity.INFO, explains=("baseline-wins",))
def stopped_early(
    history: History,
    served: Served,
    *,
    window: int = 10,
    share: float = 0.2,
    significance: float = 0.01,
    gain: float = 0.05,
    information: float = 0.8,
    right: float = 0.97,
) -> Iterator[Finding]:
    """The training ended while the loss was still falling, and more epochs would have decided better.

    ## Why it matters
    The reported accuracy is that of an unfinished net.

    ## How it is detected
    Over the last ten epochs or fifth of the epochs the validation loss (the training loss where there is none) falls
    steadily, Mann-Kendall p < .01, and going on so would lower it by 5 % in as many epochs more; U is below .8 and
    fewer than 97 rows in a hundred are right.

    ## Proof
    Training continued at the logged rate for a tenth of the epochs: balanced accuracy rises by .02, or U, from .5
    and more, by .05, p < .01 (for U, a paired t-test on the log losses). Otherwise nothing is reported.

    ## Fix
    More epochs with `EarlyStopping(monitor="val_loss", restore_best_weights=True)`.

    ```diff
    - model.fit(X, y, epochs=5, validation_data=validation)
    + stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=10, restore_best_weights=True)
    + model.fit(X, y, epochs=200, validation_data=validation, callbacks=[stopping])
    ```

    ## When it is legitimate
    A budgeted run; nets that still gain a little in loss and nothing in decisions.
    """
    losses = history.validation_loss if history.validation_loss is not None else history.loss
    if (
        losses is None
        or len(losses) < window
        or served.skill < 0
        or not served.tells_classes
        or served.has_learnt(information=information, right=right)
    ):
        return
    last = losses[-max(window, round(share * len(losses))) :]
    if not np.all(np.isfinite(last)) or last[-1] <= 0:
        return
    found = scipy.stats.kendalltau(range(len(last)), last, alternative="less")
    slope = (float(last[-1]) - float(last[0])) / (len(last) - 1)
    expected = -slope * len(losses) / 2 / float(last[-1])
    if not found.pvalue < significance or expected < gain:
        return
    yield Finding(
        f"The loss was still falling when the training ended: {last[0]:.3g} → {last[-1]:.3g} in the last {len(last)} "
        f"epochs of {len(losses)}.",
        fix='more epochs, with EarlyStopping(monitor="val_loss", restore_best_weights=True)',
        evidence={"from": float(last[0]), "to": float(last[-1]), "epochs": len(losses), "p_value": float(found.pvalue)},
    )


@stopped_early.proof
def continued_as_logged(
    finding: Finding,
    continuation_trial: Continued,
    history: History,
    *,
    gain: float = 0.02,
    informed: float = 0.5,
    information_gain: float = 0.05,
    significance: float = 0.01,
) -> Finding | None:
    if not continuation_trial.agrees_with(history.loss):
        return None
    how = f"training continued as logged, {continuation_trial.duration}"
    if continuation_trial.gain >= gain and continuation_trial.p_value < significance:
        proof = continuation_trial.decision_proof(how)
    elif continuation_trial.before.skill >= informed and continuation_trial.informs(
        information_gain=information_gain, significance=significance
    ):
        proof = continuation_trial.information_proof(how)
    else:
        return None
    return replace(
        finding,
        message=f"{finding.message[:-1]}; {continuation_trial.duration} more lift {proof.metric} {proof.before:.2f} → "
        f"{proof.after:.2f}.",
        severity=Severity.WARN,
        evidence={**finding.evidence, "trial": continuation_trial.summary},
        proof=proof,
    )
