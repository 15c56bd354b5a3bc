from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Spec
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

# Optimizers whose step is about the learning rate itself, whatever the gradient's size.
NORMALISED = ("adam", "adamw", "nadam", "adamax", "rmsprop", "lion")


@check(
    severity=Severity.ERROR,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "non-finite-loss",
        "learning-rate-too-high",
        "under-trained",
        "baseline-wins",
        "dead-units",
    ),
)
def invalid_learning_rate(
    fit: FitArguments, spec: Spec | None = None, served: Served | None = None, *, highest: float = 10.0
) -> Iterator[Finding]:
    """The learning rate is no rate to learn with: zero, negative, or ten and more for an optimizer of Adam's kind.

    ## Why it matters
    A negative rate climbs the loss, zero changes nothing, and Adam moves every weight by about the rate in each step,
    however small the gradient is: at ten, nothing of what was drawn or learnt remains.

    ## How it is detected
    From the logged parameter, or where there is none from the saved optimizer.

    ## Proof
    The number itself.

    ## Fix
    `keras.optimizers.Adam(1e-3)`, `keras.optimizers.SGD(1e-2)`.

    ```diff
    - model.compile(keras.optimizers.Adam(0.0), "binary_crossentropy")
    + model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    ```

    ## When it is legitimate
    A saved rate of zero at the end of a schedule is not judged, only the logged first one. A net that learnt at such
    a rate all the same is told so as an info.
    """
    optimizer = spec.optimizer if spec is not None else None
    name = (fit.optimizer or (optimizer.name if optimizer else "")).lower()
    rate = fit.learning_rate
    if rate is None and optimizer is not None and optimizer.learning_rate != 0:
        rate = optimizer.learning_rate
    if rate is None or (rate > 0 and not (name in NORMALISED and rate >= highest)):
        return
    kind = "negative" if rate < 0 else "zero" if rate == 0 else f"far too high for {name}"
    learnt = rate > 0 and served is not None and served.has_learnt()
    yield Finding(
        f"The learning rate is {rate:g}, {kind}.",
        fix="keras.optimizers.SGD(1e-2)" if name == "sgd" else "keras.optimizers.Adam(1e-3)",
        severity=Severity.INFO if learnt else Severity.ERROR,
        evidence={"learning_rate": rate, "optimizer": name},
        proof=Proof(Grade.A, "the number itself"),
    )
