from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Spec
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.evidence.weights import Weights
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.WARN,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "baseline-wins",
        "saturated-units",
        "dead-units",
        "under-trained",
        "uncalibrated-probabilities",
    ),
)
def poor_initialisation(
    weights: Weights, spec: Spec, served: Served | None = None, *, large: float = 5.0, small: float = 0.01
) -> Iterator[Finding]:
    """The initial weights are of a size that no layer of this width begins well with.

    ## Why it matters
    Drawn many times too large, the first outputs saturate and the first gradients throw the weights about; drawn many
    times too small, nothing passes the layer.

    ## How it is detected
    The deviation that a layer's initialiser draws with is five times He's sqrt(2 / fan-in) and more, or a hundredth
    of it and less, for a fan-in of 16 and more. RandomNormal() and RandomUniform() draw with .05 and .029 by default.

    ## Proof
    Trained anew from the logged initialisers and from Glorot's: better by .05 (warning) or .10 (error), p < .01. An
    info otherwise, and for a net that learnt all the same.

    ## Fix
    Leave `kernel_initializer` out, or `he_normal` before relu.

    ```diff
    - keras.layers.Dense(30, kernel_initializer=keras.initializers.RandomNormal(stddev=1.0))
    + keras.layers.Dense(30)
    ```

    ## When it is legitimate
    Embeddings, deliberate zero beginnings behind a residual connection, nets that learnt.
    """
    found: dict[str, float] = {}
    for layer in spec.layers:
        arrays = weights.of_layer(layer.name)
        deviation = _deviation(layer.config.get("kernel_initializer"))
        if deviation is None or not arrays or arrays[0].ndim < 2 or not layer.trainable:
            continue
        fan_in = int(np.prod(arrays[0].shape[:-1]))
        ratio = deviation / np.sqrt(2.0 / fan_in)
        if fan_in >= 16 and (ratio >= large or 0 < ratio <= small):
            found[layer.name] = float(ratio)
    if not found:
        return
    worst = max(found, key=lambda name: abs(np.log(found[name])))
    learnt = served is not None and served.has_learnt()
    yield Finding(
        f"{worst} began with weights {found[worst]:.2g} times as large as He's.",
        fix='leave kernel_initializer out, or kernel_initializer="he_normal"',
        severity=Severity.INFO if learnt or served is None else Severity.WARN,
        evidence={"ratio": found},
        proof=Proof(Grade.D, "the pattern only: the net learnt all the same") if learnt else None,
    )


@poor_initialisation.proof
def glorot_in_the_same_time(
    finding: Finding,
    redrawn_trials: Contrast,
    *,
    gain: float = 0.05,
    clear_gain: float = 0.1,
    significance: float = 0.01,
) -> Finding:
    control, changed = redrawn_trials.control, redrawn_trials.changed
    least, p_value = min(redrawn_trials.gain, changed.gain), max(redrawn_trials.p_value, changed.p_value)
    finding = replace(finding, evidence={**finding.evidence, "trials": [control.summary, changed.summary]})
    if least < gain or p_value >= significance:
        return replace(finding, severity=Severity.INFO, unproven="Glorot's draw was no better in the time given")
    return replace(
        finding,
        message=f"{finding.message[:-1]}; from Glorot's draw, {changed.duration} reach balanced accuracy "
        f"{changed.after.balanced_accuracy:.2f}, from the logged one {control.after.balanced_accuracy:.2f}.",
        severity=Severity.ERROR if least >= clear_gain else Severity.WARN,
        proof=replace(
            redrawn_trials.decision_proof(
                f"trained anew for {changed.duration} from the logged draw and from Glorot's"
            ),
            p_value=p_value,
        ),
    )


def _deviation(initialiser: object) -> float | None:
    """The standard deviation that an initialiser of a stated size draws with; None for those that look at the
    fan-in."""
    if not isinstance(initialiser, Mapping):
        return None
    options: Mapping[str, Any] = initialiser.get("config") or {}
    match initialiser.get("class_name"):
        case "RandomNormal":
            return float(options.get("stddev", 0.05))
        case "TruncatedNormal":
            return 0.8796 * float(options.get("stddev", 0.05))
        case "RandomUniform":
            return (float(options.get("maxval", 0.05)) - float(options.get("minval", -0.05))) / float(np.sqrt(12))
    return None
