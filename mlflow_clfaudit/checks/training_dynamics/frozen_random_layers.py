from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Layer, Spec
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.evidence.weights import Weights
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

# What Keras draws uniformly and what normally, truncated at two deviations.
UNIFORM = {"GlorotUniform", "HeUniform", "LecunUniform", "RandomUniform"}
NORMAL = {"GlorotNormal", "HeNormal", "LecunNormal", "TruncatedNormal", "RandomNormal"}
TRUNCATED_AT = 2.0


@check(
    severity=Severity.WARN,
    explains=(
        "baseline-wins",
        "bottleneck",
        "constant-prediction",
        "majority-accuracy",
        "stopped-early",
        "under-trained",
        "uncalibrated-probabilities",
    ),
)
def frozen_random_layers(
    weights: Weights,
    spec: Spec,
    served: Served | None = None,
    *,
    share: float = 0.5,
    like_drawn: float = 0.01,
    values: int = 5_000,
    learnt: float = 0.9,
) -> Iterator[Finding]:
    """Most weights are frozen as they were drawn: they were never trained, here or elsewhere.

    ## Why it matters
    Frozen layers are of use when they bring what was learnt before. Random ones only mix the inputs.

    ## How it is detected
    Half of the model's weights and more are in layers that are not trainable, whose kernels still look drawn: biases
    of zero, and a Kolmogorov-Smirnov test does not tell the values from the initialiser's distribution (p > .01).

    ## Proof
    Training continued with every layer trainable, and with the layers frozen: an error when the decisions of the first
    are better by .10, a warning from .05, p < .01, or when its U is higher by .1 than that of both the other training
    and the logged net, p < .01 in a paired t-test on the log losses.

    ## Fix
    `layer.trainable = True` before compile(), or load the pretrained weights.

    ```diff
    - keras.layers.Dense(1000, activation="relu", trainable=False)
    + keras.layers.Dense(1000, activation="relu")
    ```

    ## When it is legitimate
    Random features on purpose, the first stage of a transfer. A net that learnt all the same (U of .9 and more), or
    that gains nothing when all of it is trained, is told so as an info.

    ## Measured
    Seed 003 (4,000 frozen random features): found, as an info.
    """
    total = frozen = 0
    names = []
    for layer in spec.layers:
        arrays = [array for array in weights.of_layer(layer.name) if array.dtype.kind == "f"]
        size = sum(array.size for array in arrays)
        total += size
        if arrays and arrays[0].ndim >= 2 and not layer.trainable and _looks_drawn(layer, arrays, like_drawn, values):
            frozen += size
            names.append(layer.name)
    if not names or frozen < share * total:
        return
    fine = served is not None and served.skill >= learnt
    yield Finding(
        f"{frozen / total:.0%} of the weights ({', '.join(names)}) are frozen as they were drawn.",
        fix="layer.trainable = True before compile(), or load the pretrained weights",
        severity=Severity.INFO if fine or served is None else Severity.WARN,
        evidence={"frozen": frozen, "weights": total, "layers": names},
        proof=Proof(Grade.C, "the values are those of the initialiser") if fine else None,
    )


@frozen_random_layers.proof
def continued_with_every_layer(
    finding: Finding,
    unfrozen_trials: Contrast,
    *,
    gain: float = 0.05,
    clear_gain: float = 0.1,
    significance: float = 0.01,
) -> Finding:
    control, changed = unfrozen_trials.control, unfrozen_trials.changed
    finding = replace(finding, evidence={**finding.evidence, "trials": [control.summary, changed.summary]})
    how = f"training continued for {changed.duration}, layers frozen and every layer trainable"
    if unfrozen_trials.gain >= gain and unfrozen_trials.p_value < significance:
        severity = Severity.ERROR if unfrozen_trials.gain >= clear_gain else Severity.WARN
        return replace(finding, severity=severity, proof=unfrozen_trials.decision_proof(how))
    if unfrozen_trials.informs():
        return replace(finding, severity=Severity.WARN, proof=unfrozen_trials.information_proof(how))
    return replace(finding, severity=Severity.INFO, unproven="training every layer did not help in the time given")


def _looks_drawn(layer: Layer, arrays: list[np.ndarray], like_drawn: float, values: int) -> bool:
    initialiser = layer.config.get("kernel_initializer")
    name = initialiser.get("class_name") if isinstance(initialiser, dict) else None
    biases = [array for array in arrays[1:] if array.ndim == 1]
    if any(np.any(bias != 0) for bias in biases):
        return False
    kernel = arrays[0].ravel().astype(np.float64)[:values]
    if kernel.size == 0 or not np.ptp(kernel) > 0:
        return False
    if name in UNIFORM:
        drawn = scipy.stats.uniform(kernel.min(), np.ptp(kernel))
    elif name in NORMAL and name != "RandomNormal":
        # A truncated normal has .8796 of the deviation of the one it is cut from.
        drawn = scipy.stats.truncnorm(-TRUNCATED_AT, TRUNCATED_AT, scale=kernel.std() / 0.8796)
    elif name in NORMAL:
        drawn = scipy.stats.norm(kernel.mean(), kernel.std())
    else:
        return False
    return float(scipy.stats.kstest(kernel, drawn.cdf).pvalue) > like_drawn
