from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.checks.activation_loss.logits_in_probability_loss import judged_on_rows
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.proofs import better_probe
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

CLIPPING = {
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "swish",
    "mish",
    "softplus",
    "squareplus",
    "tanh",
    "softsign",
    "hard_tanh",
    "hard_sigmoid",
    "exponential",
}


HARM = (
    "outputs-not-probabilities",
    "constant-prediction",
    "majority-accuracy",
    "stuck-loss",
    "loss-accuracy-divergence",
    "no-gradient",
    "dead-units",
)


@check(severity=Severity.ERROR)
def clipped_output(head: Head) -> Iterator[Finding]:
    """The output activation gives values that cross-entropy clips, or logits that cannot go negative.

    ## Why it matters
    Cross-entropy wants probabilities between 0 and 1, or logits that may take any value. A relu, tanh or similar
    output is clipped to [1e-7, 1 - 1e-7] wherever it leaves that range, and a clipped row has no gradient: a relu
    that starts at 0 stays there. A relu before the softmax keeps every class logit from going below 0.

    ## How it is detected
    Statically: such an activation last before a cross-entropy, or a relu right before a softmax or before a loss with
    from_logits=True. On rows, those without a gradient are counted, or class logits that are 0 on most rows.

    ## Proof
    The rows without a gradient on the saved weights: an error where one in a hundred is wrong besides, for it stays so.
    Where a refit of the last layer on the same features decides better, or next to no row has a gradient, a blocker.
    Saved outputs of NaN after a relu under categorical cross-entropy, which divides a row by its sum, are an error (C).

    ## Fix
    `activation="sigmoid"` for one unit, `activation="softmax"` for one unit a class.

    ```diff
    - model.add(keras.layers.Dense(10, activation="relu"))
    + model.add(keras.layers.Dense(10, activation="softmax"))
    ```

    ## When it is legitimate
    softplus and exponential with a Poisson loss, tanh with hinge or mean squared error on -1 and 1. A relu before the
    softmax that costs no accuracy is told as info.
    """
    loss = head.loss
    if loss is None or head.opaque or not loss.is_cross_entropy:
        return
    evidence = {"layer": head.layer, "activation": head.activation, "loss": loss.name, "units": head.units}
    fix = 'activation="sigmoid"' if head.units == 1 or loss.is_binary else 'activation="softmax"'
    if head.activation in CLIPPING and not loss.from_logits:
        yield Finding(
            f"The output layer ends in {head.activation}, whose values {loss.label} clips to 0 and 1: "
            "there it has no gradient.",
            fix=fix,
            explains=HARM,
            evidence=evidence,
        )
    elif _bounded_logits(head):
        yield Finding(
            f"The class logits pass through {_last_clipping(head)}, so that no class can be ruled out by a "
            "negative logit.",
            fix=f"leave out the {_last_clipping(head)} before the softmax"
            if not loss.from_logits
            else "activation=None on the last layer",
            severity=Severity.INFO,
            variant="relu-logits",
            evidence=evidence,
        )


@clipped_output.proof
def rows_clipped(
    finding: Finding,
    head: Head,
    served: Served,
    feature_probe: Probe | None = None,
    *,
    wrong_share: float = 0.01,
    stuck_share: float = 0.95,
    zero_share: float = 0.5,
    gain: float = 0.03,
    significance: float = 0.01,
) -> Finding:
    if _divides_by_zero(head) and not np.all(np.isfinite(served.outputs)):
        return replace(
            finding,
            message=f"{finding.message} A row whose outputs are all 0 is divided by its sum, which is 0/0, and the "
            "saved outputs are not finite.",
            explains=(*HARM, "non-finite-loss", "baseline-wins"),
            proof=Proof(Grade.C, "outputs of the saved weights that are not finite"),
        )
    if finding.variant != "relu-logits":
        return judged_on_rows(finding, head, served, feature_probe, wrong_share, stuck_share, gain, significance)
    refit = better_probe(feature_probe, gain=gain, significance=significance)
    logits = served.outputs if head.loss is not None and head.loss.from_logits else served.logits
    if logits is None:
        return replace(finding, unproven="the logits before the relu are not known")
    silent = np.mean(logits <= 0, axis=0)
    count = int(np.sum(silent > zero_share))
    harmed = refit is not None and count > 0
    return replace(
        finding,
        message=f"{finding.message.rstrip('.')}: {count} of {len(silent)} logits are 0 on most of {served.where}.",
        severity=Severity.ERROR if harmed else Severity.INFO,
        explains=HARM if harmed else (),
        proof=refit
        if harmed
        else Proof(Grade.A, "logits at 0 on the saved weights", "share of logits at 0", float(np.mean(logits <= 0))),
        evidence={**finding.evidence, "share_at_zero": [float(share) for share in silent[:100]]},
    )


def _divides_by_zero(head: Head) -> bool:
    """Whether Keras's categorical cross-entropy, which divides a row by its sum, can meet a row of zeros."""
    loss = head.loss
    one_hot = loss is not None and loss.name == "categorical_crossentropy" and not loss.from_logits
    return one_hot and head.activation in ("relu", "relu6")


def _bounded_logits(head: Head) -> bool:
    """Whether a relu stands where logits are wanted: right before the softmax, or last with from_logits=True."""
    if head.loss is not None and head.loss.from_logits:
        return head.activation in ("relu", "relu6", "softplus")
    before = head.activations[:-1]
    return head.activation in ("softmax", "sigmoid") and bool(before) and before[-1] in ("relu", "relu6", "softplus")


def _last_clipping(head: Head) -> str:
    return next(name for name in reversed(head.activations) if name in CLIPPING)
