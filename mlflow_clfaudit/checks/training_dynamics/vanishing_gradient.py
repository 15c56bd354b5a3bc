from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import scipy

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.evidence.weights import TensorGradient
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Severity

SQUASHING = ("sigmoid", "tanh", "hard_sigmoid", "softsign", "hard_tanh")


@check(
    severity=Severity.WARN,
    explains=("constant-prediction", "majority-accuracy", "stuck-loss", "baseline-wins", "bottleneck", "under-trained"),
)
def vanishing_gradient(
    served: Served,
    spec: Spec,
    head: Head,
    tensor_gradients: tuple[TensorGradient, ...] | None = None,
    *,
    information: float = 0.3,
    ratio: float = 1e-3,
    monotone: float = 0.9,
    kernels: int = 4,
    squashing: int = 4,
) -> Iterator[Finding]:
    """The gradient fades on its way back through the layers, so the first ones are hardly trained.

    ## Why it matters
    Each sigmoid multiplies the gradient by at most a quarter. After eight of them the first layers stand still at any
    learning rate, and what they hand on is noise.

    ## How it is detected
    The net knows little (U below .3), and the optimizer's saved mean of squared gradients falls steadily from the
    last kernel to the first, by a factor of a thousand and more (rank correlation with depth .9 and more, four
    kernels and more). Where the optimizer keeps no such mean: four and more hidden sigmoids or tanhs.

    ## Proof
    Trained anew for a third of the epochs (of a short training more)
    with relu and He's draw in place of the hidden sigmoids; it must
    decide better than the logged net and than the logged architecture trained as long, p < .01.

    ## Fix
    `activation="relu", kernel_initializer="he_normal"` in the hidden layers; BatchNormalization, residual connections
    or fewer layers also help.

    ```diff
    - keras.layers.Dense(64, activation="sigmoid")
    + keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal")
    ```

    ## When it is legitimate
    Frozen backbones, fine-tuning with tiny steps, nets that learnt: they do not meet the first condition.

    ## Measured
    Eight sigmoid layers of five units on two circles: the first kernel's gradient is 3e-6 of the last one's. Trained
    nets of the corpus stay above 1e-3.
    """
    if not (served.skill < information and served.tells_classes):
        return
    evidence: dict[str, object] = {"information": served.skill}
    deep = [tensor for tensor in tensor_gradients or () if tensor.is_kernel]
    hidden = [
        layer.name
        for layer in spec.layers
        if layer.activation in SQUASHING and layer.trainable and layer.name not in (head.layer, head.name)
    ]
    if deep:
        sizes = [tensor.rms for tensor in deep]
        # A gradient of nothing is not one that fades: no-gradient says so.
        if len(deep) < kernels or not min(sizes) > 0 or sizes[0] >= ratio * sizes[-1]:
            return
        rho = float(scipy.stats.spearmanr(range(len(sizes)), sizes).statistic)
        if rho < monotone:
            return
        evidence |= {"ratio": sizes[0] / sizes[-1], "monotone": rho, "gradients": {t.layer: t.rms for t in deep}}
        said = f"The gradient of the first kernel ({deep[0].layer}) is {sizes[0] / sizes[-1]:.1g} of the last one's"
        said += f" ({deep[-1].layer}), falling over {len(deep)} kernels."
    else:
        if len(hidden) < squashing:
            return
        said = f"{len(hidden)} hidden layers in a row squash what they pass on, and the network learnt next to nothing."
    yield Finding(
        said,
        fix='activation="relu", kernel_initializer="he_normal" in the hidden layers',
        severity=Severity.WARN,
        evidence=evidence | {"squashing_layers": len(hidden)},
    )


@vanishing_gradient.proof
def relu_in_their_place(
    finding: Finding,
    rectified_trials: Contrast,
    *,
    gain: float = 0.05,
    significance: float = 0.01,
    measured: float = 1e-3,
) -> Finding | None:
    changed = rectified_trials.changed
    evidence = {**finding.evidence, "trials": [rectified_trials.control.summary, changed.summary]}
    finding = replace(finding, evidence=evidence)
    p_value = max(changed.p_value, rectified_trials.p_value)
    if min(changed.gain, rectified_trials.gain) < gain or p_value >= significance:
        ratio = finding.evidence.get("ratio")
        if isinstance(ratio, float) and ratio < measured:
            return replace(finding, unproven="relu in place of the hidden sigmoids was no better in the time given")
        return None
    return replace(
        finding,
        message=f"{finding.message} With relu, {changed.duration} reach balanced accuracy "
        f"{changed.after.balanced_accuracy:.2f}; the whole run reached {changed.before.balanced_accuracy:.2f}.",
        severity=Severity.ERROR,
        proof=replace(
            changed.decision_proof(f"trained anew for {changed.duration} with relu in place of the hidden sigmoids"),
            p_value=p_value,
        ),
    )
