from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy

from mlflow_clfaudit import calibration, measures
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN, explains=("baseline-wins", "uncalibrated-probabilities"))
def overfit(
    history: History,
    served: Served | None = None,
    *,
    epochs: int = 10,
    late: float = 0.2,
    rise: float = 0.2,
    drop: float = 0.05,
    errors: float = 2.0,
    restored: float = 0.05,
    knew: float = 0.1,
    useless: float = 0.2,
    unlearnt: float = 0.2,
    slope: float = 0.5,
    minimum_rows: int = 100,
) -> Iterator[Finding]:
    """The network went on learning its training rows after it had become worse on others.

    ## Why it matters
    The saved weights are not the best ones that the run had.

    ## How it is detected
    Over ten epochs and more: the validation loss had its minimum before the last fifth of the epochs and ends 20 %
    above it, while the training loss went on falling. A warning when the validation accuracy fell too, by .05 and by
    two standard errors from its mean around the minimum, or when the saved probabilities say next to nothing on the
    held-out rows (U below .2) and those of the minimum said more (by .2, and by two standard errors of the mean log
    loss, or they are surely more than twice too sure: the 99 % interval of a logistic recalibration's slope ends below
    .5). Otherwise an info: probabilities that grow too sure of themselves.

    ## Proof
    The curves (C).

    ## Fix
    `EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)`

    ```diff
    - model.fit(X, y, epochs=500, validation_data=validation)
    + stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)
    + model.fit(X, y, epochs=500, validation_data=validation, callbacks=[stopping])
    ```

    ## When it is legitimate
    Saved weights of the best epoch: where the judged rows have the loss of the minimum, nothing is reported.
    """
    train, validation = history.loss, history.validation_loss
    if train is None or validation is None or len(validation) < epochs or len(train) != len(validation):
        return
    if not (np.all(np.isfinite(train)) and np.all(np.isfinite(validation))):
        return
    best = int(np.argmin(validation))
    lowest, last = float(validation[best]), float(np.median(validation[-3:]))
    if best > (1 - late) * len(validation) or lowest <= 0 or last < (1 + rise) * lowest or train[-1] >= train[best]:
        return
    if served is not None and _is_restored(served, lowest, last, restored):
        return
    accuracy = history.validation_accuracy
    fell, enough = 0.0, False
    if accuracy is not None and len(accuracy) == len(validation):
        then = float(np.mean(accuracy[max(best - 1, 0) : best + 2]))
        now = float(np.mean(accuracy[-3:]))
        rows = served.rows if served is not None else 1_000
        fell = then - now
        enough = fell >= drop and fell >= errors * float(np.sqrt(max(then * (1 - then), 1e-9) / rows))
    worthless = None
    if served is not None:
        worthless = _worthless(served, lowest, last, errors, knew, useless, unlearnt, slope, minimum_rows)
    said = f"The validation loss fell to {lowest:.3g} at epoch {best + 1} of {len(validation)} and ends at {last:.3g}"
    said += f" while the training loss fell from {train[best]:.3g} to {train[-1]:.3g}"
    if enough:
        said += f"; validation accuracy lost {fell:.3f}."
    elif worthless:
        known, left = worthless
        said += f"; of what the probabilities said then (U {known:.2f}), next to nothing is left ({left:.2f})."
    else:
        said += "; validation accuracy did not suffer."
    yield Finding(
        said,
        fix='EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)',
        severity=Severity.WARN if enough or worthless else Severity.INFO,
        evidence={"best_epoch": best + 1, "lowest": lowest, "last": last, "accuracy_lost": fell},
        proof=Proof(Grade.C, "the logged curves", metric="validation loss", before=last, after=lowest),
    )


def _worthless(
    served: Served,
    lowest: float,
    last: float,
    errors: float,
    knew: float,
    useless: float,
    unlearnt: float,
    slope: float,
    minimum_rows: int,
) -> tuple[float, float] | None:
    """U of the lowest validation loss and of the last one, where next to nothing is left of it.

    The served probabilities must say so too: other rows than those of the curve may be judged, or other labels.
    """
    loss, probabilities = served.head.loss, served.probabilities
    if served.split != "validation" or served.rows < minimum_rows or loss is None or not loss.is_cross_entropy:
        return None
    shares = served.shares[served.shares > 0]
    constant = float(-np.sum(shares * np.log(shares)))
    if probabilities is None or served.information is None or constant == 0:
        return None
    then, now = 1.0 - lowest / constant, max(1.0 - last / constant, served.information)
    losses = measures.log_losses(served.truth, probabilities)
    risen = float(losses.mean()) - lowest >= errors * float(scipy.stats.sem(losses))
    recalibrated = calibration.recalibration(*reversed(calibration.confidence(served.truth, probabilities)))
    too_sure = recalibrated is not None and recalibrated.slope_high < slope
    return (then, now) if (risen or too_sure) and then >= knew and now < min(useless, then - unlearnt) else None


def _is_restored(served: Served, lowest: float, last: float, restored: float) -> bool:
    """Whether the judged rows' own loss says that the best epoch's weights were saved."""
    loss = served.head.loss
    if served.probabilities is None or not served.held_out:
        return False
    if not served.head.is_known_by_answers and (loss is None or not loss.is_cross_entropy):
        return False
    own = measures.cross_entropy(served.truth, served.probabilities)
    return abs(own - lowest) <= restored * lowest < abs(own - last)
