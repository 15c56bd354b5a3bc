from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy

from mlflow_clfaudit import calibration
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO)
def uncalibrated_probabilities(
    served: Served,
    *,
    minimum_rows: int = 200,
    error: float = 0.05,
    slopes: tuple[float, float] = (0.5, 2.0),
    intercept: float = 0.7,
    significance: float = 0.01,
    good: float = 0.7,
    harmful: float = -0.5,
) -> Iterator[Finding]:
    """The probabilities are not what they say: rows given .9 are right in another share than 90 %.

    ## Why it matters
    Decisions by expected cost, and thresholds that are taken from one model to the next, rely on the numbers.

    ## How it is detected
    On held-out rows: an expected calibration error that exceeds by .05 what calibrated probabilities of this size show,
    and a logistic recalibration whose 99 % interval leaves slopes of .5 to 2 or intercepts within ±.7.

    ## Proof
    Platt scaling fitted on half of the rows lowers the log loss on the other half.

    ## Fix
    `CalibratedClassifierCV(FrozenEstimator(model), method="sigmoid")`, fitted on validation rows.

    ```diff
    - probability = model.predict(X)[:, 0]
    + platt = LogisticRegression(C=np.inf).fit(logit(model.predict(X_val)), y_val)
    + probability = platt.predict_proba(logit(model.predict(X)))[:, 1]
    ```

    ## When it is legitimate
    Use for ranking only, label smoothing, focal loss, class weights. It is a warning only where decisions are good and
    the probabilities are much worse than the class shares alone (U below -.5).
    """
    if served.probabilities is None or not np.all(np.isfinite(served.outputs)):
        raise Missing("the model does not give probabilities")
    if not served.held_out or served.rows < minimum_rows:
        raise Missing(f"fewer than {minimum_rows} held-out rows to judge calibration on")
    if served.probabilities.shape[1] < served.classes or len(np.unique(served.truth)) < 2:
        return
    confidence, right = calibration.confidence(served.truth, served.probabilities)
    if np.ptp(confidence) < 1e-6:
        return
    excess = calibration.calibration_excess(right, confidence)
    fit = calibration.recalibration(right, confidence)
    if fit is None:
        return
    outside = fit.slope_high < slopes[0] or fit.slope_low > slopes[1]
    outside = outside or fit.intercept_low > intercept or fit.intercept_high < -intercept
    if excess < error or not outside:
        return
    before, after, p_value = _platt(right, confidence)
    if p_value >= significance:
        return
    useless = served.information is not None and served.information < harmful and served.balanced_accuracy >= good
    yield Finding(
        f"The probabilities are off by {excess:.1%} more than chance on {served.where} (recalibration slope "
        f"{fit.slope:.2f}, intercept {fit.intercept:.2f}; 1 and 0 are calibrated)"
        + (f", and worse than the class shares alone (U = {served.information:.2f})." if useless else "."),
        fix='CalibratedClassifierCV(FrozenEstimator(model), method="sigmoid").fit(X_val, y_val)',
        severity=Severity.WARN if useless else Severity.INFO,
        evidence={
            "calibration_error_excess": excess,
            "slope": fit.slope,
            "slope_interval": [fit.slope_low, fit.slope_high],
            "intercept": fit.intercept,
            "log_loss": [before, after],
            "reliability": calibration.reliability(right, confidence),
        },
        proof=Proof(
            Grade.B,
            f"log loss {before:.3f}, recalibrated on one half of the rows and judged on the other {after:.3f}",
            n=served.rows,
            p_value=p_value,
        ),
    )


def _platt(right: np.ndarray, confidence: np.ndarray) -> tuple[float, float, float]:
    """Mean log loss before and after recalibration on the other half, and the paired p-value."""
    before = calibration.row_losses(right, confidence)
    after = calibration.row_losses(right, calibration.cross_fitted_recalibration(right, confidence))
    return (
        float(before.mean()),
        float(after.mean()),
        float(scipy.stats.ttest_rel(after, before, alternative="less").pvalue),
    )
