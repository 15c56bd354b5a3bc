from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.scores import Reading
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Metric
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

CUT_AT_A_HALF = ("accuracy", "acc", "binary_accuracy", "precision", "recall")
SCALES = {0.0: "logits or margins, where class 1 begins at 0", 0.5: "probabilities, where class 1 begins at .5"}


@check(severity=Severity.WARN)
def threshold_on_wrong_scale(
    head: Head, readings: tuple[Reading, ...] | None = None, *, apart: float = 0.02
) -> Iterator[Finding]:
    """Outputs are cut at a threshold of another scale: .5 on logits, or 0 on probabilities.

    ## Why it matters
    A logit of .3 is a probability of .57. Cut at .5 it counts as class 0, so accuracy, precision and recall are those
    of another model than the one that is served. AUC without `from_logits` clips the logits into [0, 1].

    ## How it is detected
    A head without a link under a loss that expects logits or margins, with metrics that cut at .5; or the other way
    round. Or a logged accuracy that is that of the other threshold, to one row.

    ## Proof
    The compiled metrics at both thresholds. A difference below .02, or one of the accuracy that may be chance, makes it
    information only.

    ## Fix
    `keras.metrics.BinaryAccuracy(threshold=0.0)`, `keras.metrics.AUC(from_logits=True)`.

    ```diff
    - model.compile("adam", loss, metrics=["accuracy"])  # the outputs are logits
    + model.compile("adam", loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    ```

    ## When it is legitimate
    A threshold that was tuned on that scale. Where the loss takes logits for probabilities, so do the metrics:
    logits-in-probability-loss and clipped-output say what is wrong there.
    """
    if head.units != 1 or _read_as_probabilities(head):
        return
    for reading in readings or ():
        small = abs(reading.proper - reading.score.value) < apart
        if reading.match in ("threshold 0", "threshold 0.5", "logits at 0.5") and not small:
            yield Finding(
                f"The logged {reading.score.name} of {reading.score.value:.4f} is that of {reading.match}; the outputs "
                f"are {SCALES[head.threshold]}, and score {reading.proper:.4f} there on the {reading.rows} "
                f"{reading.split} rows.",
                fix=f"y_pred = (p[:, 0] > {head.threshold:g}).astype(int)",
                evidence={"metric": reading.score.name, "logged": reading.score.value, "proper": reading.proper},
                proof=Proof(
                    Grade.A,
                    f"the logged number is that of {reading.match}",
                    metric="accuracy",
                    before=reading.score.value,
                    after=reading.proper,
                    n=reading.rows,
                ),
            )
            return
    wrong = [metric.name for metric in head.metrics if _cuts_elsewhere(metric, head)]
    if head.loss is None or not head.loss.known or not wrong:
        return
    use = "BinaryAccuracy(threshold=0.0)" if head.threshold == 0.0 else "BinaryAccuracy()"
    yield Finding(
        f"The compiled {', '.join(wrong)} cut the outputs at {0.5 - head.threshold:g}, and they are "
        f"{SCALES[head.threshold]}.",
        fix=f"metrics=[keras.metrics.{use}]",
        evidence={"metrics": wrong, "threshold": head.threshold},
    )


def _read_as_probabilities(head: Head) -> bool:
    loss = head.loss
    return loss is not None and loss.is_binary and not loss.from_logits and not head.gives_probabilities


def _cuts_elsewhere(metric: Metric, head: Head) -> bool:
    """Whether a compiled metric decides at a threshold of the scale that the head does not have."""
    if metric.name == "auc":
        knows = bool(metric.options.get("from_logits"))
        return head.threshold == 0.0 and not knows and not head.gives_probabilities
    if metric.name not in CUT_AT_A_HALF or (not metric.by_string and not metric.options):
        return False
    given = metric.options.get("threshold", metric.options.get("thresholds"))
    if isinstance(given, list):
        given = given[0] if len(given) == 1 else None
    cut = 0.5 if given is None else given
    return cut == 0.5 - head.threshold


@threshold_on_wrong_scale.proof
def at_both_thresholds(finding: Finding, served: Served, *, apart: float = 0.02, significance: float = 0.01) -> Finding:
    other = 0.5 - served.head.threshold
    if not np.all(np.isfinite(served.outputs)) or served.classes != 2:
        return finding
    values = {name: _at_both(name, served, other) for name in finding.evidence["metrics"]}
    name, (before, after) = max(values.items(), key=lambda item: abs(item[1][1] - item[1][0]))
    decision = served.decide(served.outputs, other)
    p_value = measures.mcnemar(decision == served.truth, served.decision == served.truth)
    by_chance = name in ("accuracy", "acc", "binary_accuracy") and p_value >= significance
    return replace(
        finding,
        message=f"{finding.message} On {served.where}, {name} is {before:.4f} so and {after:.4f} on its own scale.",
        severity=Severity.WARN if abs(after - before) >= apart and not by_chance else Severity.INFO,
        evidence={**finding.evidence, "on_both_scales": {key: list(pair) for key, pair in values.items()}},
        proof=Proof(
            Grade.A,
            "the same outputs at both thresholds",
            metric=name,
            before=before,
            after=after,
            n=served.rows,
        ),
    )


def _at_both(name: str, served: Served, other: float) -> tuple[float, float]:
    """The metric as it is computed, and on the scale of the outputs."""
    from sklearn.metrics import accuracy_score, precision_score, recall_score

    if name == "auc":
        clipped = np.clip(served.outputs[:, 0], 0.0, 1.0)
        return (measures.area_under_curve(served.truth, clipped) or 0.5), (served.area_under_curve or 0.5)
    score = {"precision": precision_score, "recall": recall_score}.get(name, accuracy_score)
    options = {} if score is accuracy_score else {"zero_division": 0}
    decision = served.decide(served.outputs, other)
    return float(score(served.truth, decision, **options)), float(score(served.truth, served.decision, **options))
