from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.weights import OptimizerState, TensorGradient
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.BLOCKER,
    explains=("constant-prediction", "majority-accuracy", "stuck-loss", "baseline-wins", "under-trained"),
)
def no_gradient(
    tensor_gradients: tuple[TensorGradient, ...],
    optimizer_state: OptimizerState,
    served: Served | None = None,
    *,
    steps: int = 10,
    most: float = 0.5,
) -> Iterator[Finding]:
    """Kernels that were to be trained never received a gradient in the whole run.

    ## Why it matters
    Their weights are those they were drawn with. More epochs or another learning rate change nothing.

    ## How it is detected
    Adam, AdamW, Nadam and RMSprop save a running mean of squared gradients. After ten steps and more it is exactly
    zero for a whole kernel only if no gradient ever reached it. No data and no model code is needed.

    ## Proof
    The identity itself: a sum of squares is zero only if each is.

    ## Fix
    That of what cuts the gradient: an output without slope (softmax on one unit, outputs clipped under the loss), a
    branch that reaches no output, `stop_gradient`, a comparison or a rounding inside the model.

    ```diff
    - model.add(keras.layers.Dense(1, activation="softmax"))
    + model.add(keras.layers.Dense(1, activation="sigmoid"))
    ```

    ## When it is legitimate
    Tensors that are unused by design, such as the query of an attention over one key. A net that learnt all the same
    is told so as an info; less than half of the kernels without a gradient is a warning.
    """
    kernels = [tensor for tensor in tensor_gradients if tensor.is_kernel]
    cut = [tensor for tensor in kernels if tensor.rms == 0.0]
    if not cut or (optimizer_state.iterations or 0) < steps:
        return
    share = len(cut) / len(kernels)
    severity = Severity.BLOCKER if share >= most else Severity.WARN
    if served is not None and served.has_learnt():
        severity = Severity.INFO
    names = ", ".join(dict.fromkeys(tensor.layer for tensor in cut))
    yield Finding(
        f"{len(cut)} of {len(kernels)} kernels ({names}) never received a gradient in "
        f"{optimizer_state.iterations} steps.",
        fix="remove what cuts the gradient between these layers and the loss",
        severity=severity,
        evidence={"layers": names, "kernels": len(kernels), "without": len(cut), "steps": optimizer_state.iterations},
        proof=Proof(Grade.A, "the optimizer's saved mean of squared gradients is exactly 0"),
    )
