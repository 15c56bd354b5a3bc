from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.forward import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN, explains=("majority-accuracy", "constant-prediction"))
def threshold_off(
    served: Served,
    *,
    minimum_rows: int = 20,
    information: float = 0.1,
    area: float = 0.6,
    gain: float = 0.05,
    large: float = 0.15,
    significance: float = 0.01,
    neglected: float = 0.5,
) -> Iterator[Finding]:
    """The scores separate the classes well, but the threshold that turns them into decisions is in the wrong place.

    ## Why it matters
    A cut at .5 is right for calibrated probabilities where both errors cost the same. Class weights, resampling, rare
    classes or an early stop move the scores, and a good ranking is then served as a bad decision.

    ## How it is detected
    Binary scores with at least 20 rows of each class that carry information (U of .1, or a DeLong interval of the AUC
    above .6). The threshold is chosen on half of the rows and judged on the other half, and the other way round: the
    balanced accuracy must gain .05, with a bootstrap interval above 0.

    ## Proof
    That gain, on rows that the threshold was not chosen on. In-sample gains are never reported: on pure noise the best
    in-sample threshold gains too.

    ## Fix
    `np.where(p > t, 1, 0)`, or scikit-learn's `TunedThresholdClassifierCV` and `FixedThresholdClassifier`.

    ## When it is legitimate
    Where errors have unequal costs, and for rare classes judged by accuracy: a move that costs accuracy and finds a
    class that was found anyway is information only.
    """
    scores = served.scores
    if scores is None:
        raise Missing("the model does not give one binary score")
    if not np.all(np.isfinite(scores)) or np.bincount(served.truth, minlength=2).min() < minimum_rows:
        raise Missing(f"fewer than {minimum_rows} rows of a class to choose a threshold on")
    area_now, low, high = measures.area_interval(served.truth, scores)
    informed = (served.information or 0.0) >= information or low > area
    if not informed or area_now < 0.5:
        return
    decision, thresholds = measures.cross_fitted_thresholds(served.truth, scores)
    after = measures.balanced_accuracy(served.truth, decision)
    before = served.balanced_accuracy
    lower, upper = measures.paired_bootstrap(served.truth, served.decision, decision)
    p_value = measures.accuracy_p_value(served.truth, served.decision, decision)
    if after - before < gain or lower <= 0 or p_value >= significance:
        return
    recalls = [float(np.mean(served.decision[served.truth == code] == code)) for code in (0, 1)]
    accuracy = float(np.mean(decision == served.truth))
    more_right = measures.mcnemar(served.decision == served.truth, decision == served.truth) < significance
    if more_right and after - before >= large:
        severity = Severity.ERROR
    else:
        severity = Severity.WARN if more_right or min(recalls) < neglected else Severity.INFO
    threshold = float(np.mean(thresholds))
    column = "p[:, 0]" if served.width == 1 else "p[:, 1]"
    yield Finding(
        f"The scores separate the classes (AUC {area_now:.3f}), but cut at {served.head.threshold:g} they find "
        f"{recalls[0]:.0%} of class 0 and {recalls[1]:.0%} of class 1; cut at {threshold:.3g}, balanced accuracy rises "
        f"from {before:.3f} to {after:.3f}.",
        fix=f"np.where({column} > {threshold:.3g}, 1, 0)",
        severity=severity,
        evidence={
            "threshold": threshold,
            "threshold_interval": list(thresholds),
            "auc": area_now,
            "auc_interval": [low, high],
            "gain_interval": [lower, upper],
            "recalls": recalls,
            "accuracy": [served.accuracy, accuracy],
            "confusion_after": measures.confusion(served.truth, decision, served.classes),
        },
        proof=Proof(
            Grade.B if served.held_out else Grade.C,
            f"threshold chosen on one half of {served.where}, judged on the other",
            metric="balanced accuracy",
            before=before,
            after=after,
            n=served.rows,
            p_value=p_value,
        ),
    )
