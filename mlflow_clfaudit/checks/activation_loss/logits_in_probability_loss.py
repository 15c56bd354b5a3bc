from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import without_gradient
from mlflow_clfaudit.proofs import better_probe
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.ERROR,
    explains=(
        "outputs-not-probabilities",
        "rounded-unbounded-output",
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "loss-accuracy-divergence",
        "no-gradient",
    ),
)
def logits_in_probability_loss(
    head: Head, history: History | None = None, labels: Labels | None = None
) -> Iterator[Finding]:
    """The output layer is linear, but the loss takes its outputs for probabilities.

    ## Why it matters
    Cross-entropy without `from_logits=True` clips what it is given to [1e-7, 1 - 1e-7]. A linear output leaves that
    range at once: from there its row has no gradient, right or wrong, and a row that is wrong and clipped is never
    learnt. Whether the net survives depends on the scale of its weights, and its outputs are no probabilities.

    ## How it is detected
    Statically: nothing but a weighted sum before a cross-entropy with from_logits=False. On rows, the share that has
    no gradient and the share that is wrong besides are counted.

    ## Proof
    The rows without a gradient on the saved weights: an error where one in a hundred is wrong besides, for it stays so.
    Where a refit of the last layer on the same features decides better, or next to no row has a gradient, a blocker.

    ## Fix
    `loss=keras.losses.BinaryCrossentropy(from_logits=True)` with metrics at threshold 0, or an output layer with
    `activation="sigmoid"` (`"softmax"` for several classes).

    ```diff
      model.add(keras.layers.Dense(1))
    - model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    + loss = keras.losses.BinaryCrossentropy(from_logits=True)
    + model.compile("adam", loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    ```

    ## When it is legitimate
    Never, but it may be harmless: where the rows without a gradient are right all the same, it is a warning. A linear
    head with from_logits=True, a hinge or a squared loss, or with a function behind it is not this finding.
    """
    loss = head.loss
    if loss is None or not head.is_linear or not loss.is_cross_entropy or loss.from_logits:
        return
    yield Finding(
        f"The output layer is linear, but {loss.label} takes its outputs for probabilities: outside of 0 to 1 it has "
        "no gradient.",
        fix=_fix(loss.name),
        severity=Severity.WARN if _learnt(history, labels) else None,
        evidence={"layer": head.layer, "loss": loss.name, "from_logits": False, "units": head.units},
    )


@logits_in_probability_loss.proof
def rows_without_gradient(
    finding: Finding,
    head: Head,
    served: Served,
    feature_probe: Probe | None = None,
    *,
    wrong_share: float = 0.01,
    stuck_share: float = 0.95,
    gain: float = 0.03,
    significance: float = 0.01,
) -> Finding:
    return judged_on_rows(finding, head, served, feature_probe, wrong_share, stuck_share, gain, significance)


def judged_on_rows(
    finding: Finding,
    head: Head,
    served: Served,
    feature_probe: Probe | None,
    wrong_share: float,
    stuck_share: float,
    gain: float,
    significance: float,
) -> Finding:
    """The finding with its harm measured: rows without a gradient, and whether a refitted last layer does better."""
    assert head.loss is not None  # noqa: S101 - both checks fire on a known loss only
    dead, wrong = without_gradient(head.loss, served.outputs, served.truth)
    share, wrong_dead = float(np.mean(dead)), float(np.mean(wrong))
    refit = better_probe(feature_probe, gain=gain, significance=significance)
    # Where next to no row has a gradient, whatever the features are worth, training can go nowhere from here.
    stuck = share >= stuck_share and wrong_dead >= 10 * wrong_share
    harmed = refit is not None or stuck or (feature_probe is None and wrong_dead >= wrong_share)
    lost = wrong_dead >= wrong_share
    severity = Severity.ERROR if harmed or lost else Severity.WARN
    if harmed and lost:
        severity = Severity.BLOCKER
    counted = f"{share:.0%} of {served.where} have no gradient, {wrong_dead:.1%} are wrong besides"
    verdict = "" if harmed else f" (balanced accuracy {served.balanced_accuracy:.2f})"
    if not harmed:
        verdict = ("; a refitted last layer does no better" if lost else "; decisions are right all the same") + verdict
    proof = refit or Proof(
        Grade.A,
        "outputs outside of (1e-7, 1 - 1e-7) on the saved weights: the loss clips them",
        metric="share of rows without a gradient",
        before=share,
        n=served.rows,
    )
    return replace(
        finding,
        message=f"{finding.message.rstrip('.')}. {counted}{verdict}.",
        severity=severity,
        proof=proof,
        evidence={
            **finding.evidence,
            "rows": served.rows,
            "share_without_gradient": share,
            "share_wrong_without_gradient": wrong_dead,
            "balanced_accuracy": served.balanced_accuracy,
            "output_min": float(served.outputs.min()),
            "output_max": float(served.outputs.max()),
        },
    )


def _learnt(history: History | None, labels: Labels | None) -> bool:
    """Whether the logged accuracy lies nearer to 1 than to the share of the largest class."""
    if history is None or labels is None:
        return False
    for curve, split in ((history.validation_accuracy, labels.validation), (history.accuracy, labels.train)):
        if curve is not None and len(curve) and split is not None and split.is_single_label:
            majority = max(split.counts.values()) / split.rows
            return bool(curve[-1] > (1.0 + majority) / 2)
    return False


def _fix(loss: str) -> str:
    camel = "".join(part.capitalize() for part in loss.split("_"))
    return f"loss=keras.losses.{camel}(from_logits=True)"
