from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.weighting import ClassWeighting
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

WEIGHTS = {
    "Keras": "class_weight",
    "scikit-learn": "class_weight",
    "XGBoost": "scale_pos_weight",
    "LightGBM": "scale_pos_weight and is_unbalance",
    "CatBoost": "scale_pos_weight, class_weights and auto_class_weights",
    "PyTorch": "weight and pos_weight",
}


@check(
    severity=Severity.WARN,
    explains=(
        "threshold-off",
        "uncalibrated-probabilities",
        "baseline-wins",
        "majority-accuracy",
        "constant-prediction",
        "under-trained",
    ),
)
def class_weight_overcorrected(
    served: Served,
    class_weighting: ClassWeighting,
    *,
    shift: float = 0.7,
    gain: float = 0.05,
    poor: float = 0.75,
    significance: float = 0.01,
) -> Iterator[Finding]:
    """The class weights moved the probabilities so far that the decisions suffer.

    ## Why it matters
    Weights of w to 1 multiply the odds that the net reports by w. Unless errors really cost so, the probabilities are
    wrong by that factor, and at .5 the rare class is answered far too often.

    ## How it is detected
    The mean output is off the share of class 1 by at least .7 in log-odds, in the direction of the weights, and
    dividing the weights out of the odds lowers the log loss on held-out rows. It is a warning where that raises
    accuracy and balanced accuracy alike, or where accuracy is significantly below the share of the largest class and
    balanced accuracy is poor all the same; else information.

    ## Proof
    The log loss, and the balanced accuracy where that gains, with the weights divided out, on the same held-out rows.

    ## Fix
    Keep natural weights and move the threshold, or divide the odds by w1/w0.

    ```diff
    - model.fit(X, y, class_weight={0: 1, 1: 100})
    - decision = model.predict(X)[:, 0] > 0.5
    + model.fit(X, y)
    + decision = model.predict(X)[:, 0] > threshold  # chosen on validation rows
    ```

    ## When it is legitimate
    Costs that are stated: the weights are the costs.
    """
    if served.width > 2 or served.classes != 2 or served.probabilities is None or len(class_weighting.effective) != 2:
        raise Missing("class weights are judged for two classes and probabilities")
    share, mean = float(np.mean(served.truth)), float(np.mean(served.probabilities[:, 1]))
    prior = float(np.log(class_weighting.effective[1] / class_weighting.effective[0]))
    if not 0 < share < 1 or not 0 < mean < 1 or not np.isfinite(prior):
        return
    moved = float(scipy.special.logit(mean) - scipy.special.logit(share))
    if abs(moved) < shift or moved * prior <= 0:
        return
    odds = scipy.special.logit(np.clip(served.probabilities[:, 1], measures.TINY, 1 - measures.TINY))
    corrected = scipy.special.expit(odds - prior)
    losses = [_losses(served.truth, values) for values in (served.probabilities[:, 1], corrected)]
    p_value = float(scipy.stats.ttest_rel(losses[1], losses[0], alternative="less").pvalue)
    if not p_value < significance:
        return
    largest = max(share, 1 - share)
    right = int(np.sum(served.decision == served.truth))
    below = float(scipy.stats.binomtest(right, served.rows, largest, alternative="less").pvalue) < significance
    decision = (corrected > 0.5).astype(np.int64)
    divided = measures.balanced_accuracy(served.truth, decision)
    better = divided - served.balanced_accuracy >= gain
    better = better and measures.mcnemar(served.decision == served.truth, decision == served.truth) < significance
    yield Finding(
        f"With class weights of {class_weighting.effective[0]:g} and {class_weighting.effective[1]:g} the mean output "
        f"is {mean:.3f} where class 1 has a share of {share:.3f}; accuracy is {served.accuracy:.3f}, "
        + ("below" if served.accuracy < largest else "above")
        + f" the {largest:.3f} of the largest class.",
        fix=f"drop {WEIGHTS[class_weighting.library]} and move the threshold: np.where(p > t, 1, 0)",
        severity=Severity.WARN if better or (below and served.balanced_accuracy < poor) else Severity.INFO,
        evidence={
            "mean_output": mean,
            "share": share,
            "log_odds_moved": moved,
            "log_weight_ratio": prior,
            "log_loss": [float(losses[0].mean()), float(losses[1].mean())],
            "accuracy": served.accuracy,
        },
        proof=Proof(
            Grade.B if served.held_out else Grade.C,
            f"log loss {losses[0].mean():.3f}, with the weights divided out of the odds {losses[1].mean():.3f}",
            metric="balanced accuracy" if better else None,
            before=served.balanced_accuracy if better else None,
            after=divided if better else None,
            n=served.rows,
            p_value=p_value,
        ),
    )


def _losses(truth: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The log loss of every row, (N,)."""
    probability = np.clip(np.where(truth == 1, positive, 1 - positive), measures.TINY, 1.0)
    return np.asarray(-np.log(probability))
