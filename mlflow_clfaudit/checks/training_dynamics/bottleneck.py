from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Severity

WIDE = ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "LSTM", "GRU", "SimpleRNN")


@check(
    severity=Severity.WARN,
    explains=(
        "baseline-wins",
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "under-trained",
        "dead-units",
    ),
)
def bottleneck(
    spec: Spec,
    served: Served,
    head: Head,
    *,
    rows: int = 2_000,
    alive: float = 0.5,
    floor: float = 1e-6,
) -> Iterator[Finding]:
    """A hidden layer is too narrow to keep the classes apart.

    ## Why it matters
    What does not fit through the narrowest layer is lost to all layers behind it.

    ## How it is detected
    Of K classes, a hidden layer has fewer units than K - 1 and than log2 K, or the features that the head reads span
    fewer than log2 K directions (effective rank: the exponential of the entropy of their singular values). And the
    net did not learn (U below .5, fewer than nine rows in ten right).

    ## Proof
    A linear model on the inputs beats one on the features by .05, p < .01; and the net trained anew with the
    narrowest layers four times as wide, and as wide as the head at least, beats the logged width trained as long: by
    .10 an error. Otherwise nothing is reported.

    ## Fix
    More units in the narrow layer.

    ```diff
    - model.add(keras.layers.Dense(2, activation="relu"))
    + model.add(keras.layers.Dense(32, activation="relu"))
    ```

    ## When it is legitimate
    Autoencoder codes; two classes, for which one unit is enough: two units only make it slower.

    ## Measured
    Two tanh units before ten classes: effective rank 2.0, accuracy .53, logistic regression on the inputs .98.
    """
    classes = len(np.unique(served.truth))
    if classes < 3 or served.has_learnt() or not served.tells_classes:
        return
    widths = {
        layer.name: layer.units
        for layer in spec.layers
        if layer.kind in WIDE and layer.units and layer.name not in (head.layer, head.name)
    }
    narrowest = min(widths, key=lambda name: widths[name] or 0, default=None)
    width = widths[narrowest] if narrowest is not None else None
    rank = _effective_rank(served.features[:rows], floor) if served.features is not None else None
    narrow = width is not None and width < min(classes - 1, math.ceil(math.log2(classes)))
    # Features that do not vary at all are dead or not finite: another finding says why.
    flat = rank is not None and alive <= rank < math.log2(classes)
    if not (narrow or flat):
        return
    said = f"{narrowest} has {width} units" if narrow else f"the features behind {narrowest} span {rank:.1f} directions"
    yield Finding(
        f"The network is too narrow for {classes} classes: {said}.",
        fix=f"more units in {narrowest}" if narrow else "more units, and a look at what makes the features alike",
        evidence={"classes": classes, "layer": narrowest, "units": width, "effective_rank": rank},
        variant="narrow" if narrow else "flat",
    )


@bottleneck.proof
def four_times_as_wide(
    finding: Finding,
    input_probe: Probe,
    feature_probe: Probe,
    wider_trials: Contrast | None = None,
    *,
    gain: float = 0.05,
    clear_gain: float = 0.1,
    significance: float = 0.01,
) -> Finding | None:
    lost = input_probe.balanced_accuracy - feature_probe.balanced_accuracy
    evidence = {
        **finding.evidence,
        "inputs": input_probe.balanced_accuracy,
        "features": feature_probe.balanced_accuracy,
    }
    if lost < gain or input_probe.p_value >= significance:
        return None
    message = f"{finding.message[:-1]}; a linear model decides {input_probe.balanced_accuracy:.2f} of the rows rightly "
    message += f"from the inputs, {feature_probe.balanced_accuracy:.2f} from the features."
    if wider_trials is None:
        return replace(finding, message=message, evidence=evidence, unproven="no wider net was trained")
    if wider_trials.p_value >= significance or wider_trials.gain < gain:
        unproven = "a wider net was no better in the time given"
        return replace(finding, message=message, evidence=evidence, severity=Severity.INFO, unproven=unproven)
    control, changed = wider_trials.control, wider_trials.changed
    return replace(
        finding,
        message=message,
        severity=Severity.ERROR if min(wider_trials.gain, changed.gain) >= clear_gain else Severity.WARN,
        evidence=evidence | {"trials": [control.summary, changed.summary]},
        proof=wider_trials.decision_proof(
            f"trained anew for {changed.duration} with four times the width or more, and with the logged one"
        ),
    )


def _effective_rank(features: np.ndarray, floor: float) -> float | None:
    """exp of the entropy of the centred features' singular values; 0 where they do not vary."""
    if not np.all(np.isfinite(features)) or features.shape[0] < 3:
        return None
    singular = np.linalg.svd(features - features.mean(axis=0), compute_uv=False)
    total = float(singular.sum())
    if total < floor:
        return 0.0
    shares = singular[singular > 0] / total
    return float(np.exp(-np.sum(shares * np.log(shares))))
