from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.decisions import Goal
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.thresholds import cross_fitted_thresholds
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN, explains=("majority-accuracy", "constant-prediction"))
def threshold_off(
    served: Served | None = None,
    served_labels: tuple[Served, ...] | None = None,
    goal: Goal | None = None,
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
    balanced accuracy must gain .05, with a bootstrap interval above 0. A model of several labels is judged label by
    label. Where a tag `clfaudit.goal` states costs (`fp=1,fn=20`), a recall or a precision, that is judged instead.

    ## Proof
    That gain, on rows that the threshold was not chosen on. In-sample gains are never reported: on pure noise the best
    in-sample threshold gains too.

    ## Fix
    `np.where(p > t, 1, 0)`, or scikit-learn's `TunedThresholdClassifierCV` and `FixedThresholdClassifier`.

    ```diff
    - decision = model.predict(X)[:, 0] > 0.5
    + decision = model.predict(X)[:, 0] > threshold  # chosen on validation rows
    ```

    ## When it is legitimate
    Where errors have unequal costs, and for rare classes judged by accuracy: a move that costs accuracy and finds a
    class that was found anyway is information only.

    ## Measured
    200 sets of pure noise, 20 to 200 rows a class: at most 2 alarms.
    """
    if served is None and served_labels is None:
        raise Missing("the model and held-out rows to judge it on are not known")
    if served_labels is not None:
        yield from _by_label(served_labels, minimum_rows, gain, significance)
    if served is None:
        return
    scores = served.scores
    if scores is None:
        raise Missing("the model does not give one binary score")
    if not np.all(np.isfinite(scores)) or np.bincount(served.truth, minlength=2).min() < minimum_rows:
        raise Missing(f"fewer than {minimum_rows} rows of a class to choose a threshold on")
    area_now, low, high = measures.area_interval(served.truth, scores)
    informed = (served.information or 0.0) >= information or low > area
    if not informed or area_now < 0.5:
        return
    if goal is not None:
        yield from _by_goal(served, goal, significance)
        return
    decision, thresholds = cross_fitted_thresholds(served.truth, scores)
    after, before = measures.balanced_accuracy(served.truth, decision), served.balanced_accuracy
    lower, upper = measures.paired_bootstrap(served.truth, served.decision, decision)
    p_value = measures.accuracy_p_value(served.truth, served.decision, decision)
    if after - before < gain or lower <= 0 or p_value >= significance:
        return
    recalls = [float(np.mean(served.decision[served.truth == code] == code)) for code in (0, 1)]
    more_right = measures.mcnemar(served.decision == served.truth, decision == served.truth) < significance
    if more_right and after - before >= large:
        severity = Severity.ERROR
    else:
        severity = Severity.WARN if more_right or min(recalls) < neglected else Severity.INFO
    threshold = float(np.mean(thresholds))
    yield Finding(
        f"The scores separate the classes (AUC {area_now:.3f}), but cut at {served.head.threshold:g} they find "
        f"{recalls[0]:.0%} of class 0 and {recalls[1]:.0%} of class 1; cut at {threshold:.3g}, balanced accuracy rises "
        f"from {before:.3f} to {after:.3f}.",
        fix=_line(served, threshold),
        severity=severity,
        evidence={
            "threshold": threshold,
            "threshold_interval": list(thresholds),
            "auc": area_now,
            "auc_interval": [low, high],
            "gain_interval": [lower, upper],
            "recalls": recalls,
            "accuracy": [served.accuracy, float(np.mean(decision == served.truth))],
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


def _by_goal(served: Served, goal: Goal, significance: float) -> Iterator[Finding]:
    """The threshold that the stated goal asks for, where the served one misses it."""
    judged = goal.judge(served)
    if judged is None or judged.p_value >= significance or not judged.improves:
        return
    yield Finding(
        f"For {goal}, the cut at {served.head.threshold:g} gives a {judged.what} of {judged.before:.3g}; a cut at "
        f"{judged.threshold:.3g} gives {judged.after:.3g}.",
        fix=_line(served, judged.threshold),
        evidence={
            "goal": str(goal),
            "threshold": judged.threshold,
            "threshold_interval": list(judged.thresholds),
            "before": judged.before,
            "after": judged.after,
        },
        proof=Proof(
            Grade.B if served.held_out else Grade.C,
            f"{judged.what} at a threshold chosen on one half of {served.where}, judged on the other",
            n=served.rows,
            p_value=judged.p_value,
        ),
    )


def _by_label(labels: tuple[Served, ...], minimum_rows: int, gain: float, significance: float) -> Iterator[Finding]:
    """The labels of a model of several whose own threshold does better, after correction for their number."""
    better: dict[int, tuple[float, float, float]] = {}
    p_values: list[float] = []
    for number, label in enumerate(labels):
        scores = label.outputs[:, 0]
        if np.bincount(label.truth, minlength=2).min() < minimum_rows:
            continue
        decision, thresholds = cross_fitted_thresholds(label.truth, scores)
        p_values.append(measures.accuracy_p_value(label.truth, label.decision, decision))
        after = measures.balanced_accuracy(label.truth, decision)
        better[number] = float(np.mean(thresholds)), label.balanced_accuracy, after
    significant = dict(zip(better, measures.adjusted(p_values) < significance, strict=True))
    chosen = {
        number: values for number, values in better.items() if significant[number] and values[2] - values[1] >= gain
    }
    if not chosen:
        return
    worst = max(chosen, key=lambda number: chosen[number][2] - chosen[number][1])
    threshold, before, after = chosen[worst]
    yield Finding(
        f"{len(chosen)} of {len(labels)} labels need a threshold of their own: cut at {threshold:.3g} instead of "
        f"{labels[worst].head.threshold:g}, label {worst} rises from a balanced accuracy of {before:.3f} to "
        f"{after:.3f}.",
        fix="p > np.array([…]), one threshold a label",
        evidence={"thresholds": {str(number): values[0] for number, values in chosen.items()}, "labels": len(labels)},
        proof=Proof(
            Grade.B if labels[worst].held_out else Grade.C,
            f"thresholds chosen on one half of {labels[worst].where}, judged on the other",
            metric="balanced accuracy",
            before=before,
            after=after,
            n=labels[worst].rows,
            p_value=min(p_values),
        ),
    )


def _line(served: Served, threshold: float) -> str:
    return f"np.where(p[:, {served.width - 1}] > {threshold:.3g}, 1, 0)"
