from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.evidence.weights import Weights
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

KINDS = ("Dense", "Conv1D", "Conv2D", "Conv3D", "EinsumDense")
CONSTANT = ("Zeros", "Ones", "Constant")
FIX = "leave kernel_initializer out, or use one that draws: glorot_uniform, he_normal"


@check(
    severity=Severity.BLOCKER,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "baseline-wins",
        "dead-units",
        "no-gradient",
        "bottleneck",
        "under-trained",
    ),
)
def symmetric_initialisation(
    weights: Weights,
    spec: Spec,
    head: Head,
    served: Served | None = None,
    *,
    alike: float = 1e-5,
    share: float = 0.5,
    columns: int = 2_000,
) -> Iterator[Finding]:
    """The units of a hidden layer are copies of each other, as they were initialised.

    ## Why it matters
    Units that begin alike get the same gradient and stay alike: the layer has one unit, however many it was given.
    With zeros under relu it has none.

    ## How it is detected
    In the saved weights: half of the columns of a trained hidden kernel equal another column to 1e-5 of their size,
    or the whole kernel is one number. Or the logged initialiser draws one number for all, and only dropout or the
    draw of a later layer drove the units apart.

    ## Proof
    The equality is exact; trained anew from Glorot's draw in the same time, the net must decide better. Units that
    were driven apart are reported only if it does, by .05, p < .01, or if its probabilities say more, U by .1, p < .01
    in a paired t-test on the log losses (a warning).

    ## Fix
    Leave the initialiser out: `Dense(64, activation="relu")` draws from Glorot's distribution.

    ```diff
    - keras.layers.Dense(64, activation="relu", kernel_initializer="zeros")
    + keras.layers.Dense(64, activation="relu")
    ```

    ## When it is legitimate
    Layers that begin at zero on purpose behind a residual connection or in an adapter, and pruned layers: a net that
    learnt all the same is told so as an info. Frozen layers are not judged.
    """
    for layer in spec.layers:
        if layer.kind not in KINDS or not layer.trainable or layer.name in (head.layer, head.name):
            continue
        arrays = weights.of_layer(layer.name)
        if not arrays or arrays[0].ndim < 2 or arrays[0].shape[-1] < 2 or not np.all(np.isfinite(arrays[0])):
            continue
        kernel = arrays[0].reshape(-1, arrays[0].shape[-1]).astype(np.float64)[:, :columns]
        constant = float(np.ptp(kernel)) == 0.0
        copies = _copies(kernel, alike)
        learnt = served is not None and served.has_learnt()
        if not constant and copies < share:
            began = layer.config.get("kernel_initializer")
            name = began.get("class_name") if isinstance(began, dict) else None
            if name in CONSTANT:
                yield Finding(
                    f"The units of {layer.name} began as copies of each other ({name}); only dropout or the draw of a "
                    "later layer drove them apart.",
                    fix=FIX,
                    severity=Severity.WARN,
                    evidence={"layer": layer.name, "units": int(arrays[0].shape[-1]), "copies": copies},
                    variant="driven-apart",
                )
                return
            continue
        said = f"is {kernel[0, 0]:g} throughout" if constant else f"has {copies:.0%} columns that equal another"
        yield Finding(
            f"The kernel of {layer.name} {said}: its {arrays[0].shape[-1]} units are copies of each other.",
            fix=FIX,
            severity=Severity.INFO if learnt else Severity.BLOCKER if served is not None else Severity.ERROR,
            evidence={"layer": layer.name, "units": int(arrays[0].shape[-1]), "copies": copies, "constant": constant},
            proof=Proof(Grade.A, "the saved columns are equal") if learnt else None,
        )
        return


@symmetric_initialisation.proof
def glorot_in_the_same_time(
    finding: Finding, redrawn_trials: Contrast | None = None, *, significance: float = 0.01, gain: float = 0.05
) -> Finding | None:
    if finding.variant == "driven-apart":
        return _driven_apart(finding, redrawn_trials, significance, gain)
    identity = Proof(Grade.A, "the saved columns are equal")
    if redrawn_trials is None or redrawn_trials.p_value >= significance or redrawn_trials.gain <= 0:
        return replace(finding, proof=identity)
    duration = redrawn_trials.changed.duration
    return _decides_better(
        finding, redrawn_trials, Grade.A, f"equal columns; trained anew from Glorot's draw, {duration}"
    )


def _driven_apart(finding: Finding, trials: Contrast | None, significance: float, gain: float) -> Finding | None:
    """Units that are not alike any more are worth a word only where another draw does better."""
    if trials is None:
        return None
    how = f"trained anew from Glorot's draw, {trials.changed.duration}"
    p_value = max(trials.p_value, trials.changed.p_value)
    if min(trials.gain, trials.changed.gain) >= gain and p_value < significance:
        return replace(_decides_better(finding, trials, Grade.B, how), severity=Severity.ERROR)
    if not trials.informs():
        return None
    control, changed = trials.control.after.skill, trials.changed.after.skill
    said = f" From Glorot's draw, {trials.changed.duration} reach U {changed:.2f}; from the logged one {control:.2f}."
    return replace(finding, message=finding.message + said, proof=trials.information_proof(how))


def _decides_better(finding: Finding, trials: Contrast, grade: Grade, how: str) -> Finding:
    control, changed = trials.control.after, trials.changed.after
    return replace(
        finding,
        message=f"{finding.message} From Glorot's draw, {trials.changed.duration} reach balanced "
        f"accuracy {changed.balanced_accuracy:.2f}; from the logged one {control.balanced_accuracy:.2f}.",
        proof=replace(trials.decision_proof(how), grade=grade),
    )


def _copies(kernel: np.ndarray, alike: float) -> float:
    """The share of the columns that equal another one, all-zero columns left out: those are pruned, not alike."""
    kernel = kernel[:, np.any(kernel != 0, axis=0)]
    if kernel.shape[1] < 2:
        return 0.0
    # Each column by its own size: beside one that exploded, all others would look alike.
    sizes = np.abs(kernel).max(axis=0)
    shapes = np.vstack([kernel / sizes, np.log(sizes)])
    _, inverse, counts = np.unique(np.round(shapes / alike), axis=1, return_inverse=True, return_counts=True)
    return float(np.mean(counts[inverse.ravel()] > 1))
