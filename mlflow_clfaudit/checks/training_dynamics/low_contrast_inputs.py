from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit.evidence.scale import InputScale
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.WARN,
    explains=(
        "batchnorm-gap",
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "baseline-wins",
        "dead-units",
        "under-trained",
        "uncalibrated-probabilities",
        "overfit",
    ),
)
def low_contrast_inputs(
    input_scales: tuple[InputScale, ...],
    served: Served | None = None,
    *,
    offset: float = 100.0,
    learnt: float = 0.8,
    right: float = 0.95,
) -> Iterator[Finding]:
    """The inputs hardly vary beside their level: what distinguishes the rows is a hundredth of what they share.

    ## Why it matters
    The first layer sees a constant. Its outputs move with the bias of every step, so that the moving statistics of a
    BatchNormalization behind it lag and are wrong at inference, although training itself looks well.

    ## How it is detected
    Half of the columns have a mean of more than 100 deviations, and no layer scales them before the first weights.

    ## Proof
    Trained anew on standardised inputs: U rises by .1 and more over the same training on the inputs as they are.

    ## Fix
    `keras.layers.Normalization()` adapted to the training inputs, as the first layer.

    ```diff
    - model = keras.Sequential([keras.Input((10, 4)), ...])
    + normalization = keras.layers.Normalization()
    + normalization.adapt(X_train)
    + model = keras.Sequential([keras.Input((10, 4)), normalization, ...])
    ```

    ## When it is legitimate
    Embeddings with a large common component; a net that learnt all the same (U of .8 and more, or 19 rows in 20 right)
    is told so as an info.

    ## Measured
    Seed 002 (-1.06 ± .005): 200 deviations.
    """
    for scale in input_scales:
        if scale.offset <= offset:
            continue
        fine = served is not None and served.has_learnt(information=learnt, right=right)
        yield Finding(
            f"Half of the {len(scale.means)} columns have a mean of more than {scale.offset:.3g} deviations: the rows "
            "hardly differ beside what they share.",
            fix="normalization = keras.layers.Normalization(); normalization.adapt(X_train)  # the first layer",
            severity=Severity.INFO if fine else Severity.WARN,
            evidence={"offset": scale.offset, "columns": len(scale.means)},
            proof=Proof(Grade.D, "the pattern only: the net learnt all the same") if fine else None,
        )


@low_contrast_inputs.proof
def standardised_copies(
    finding: Finding, scaled_trials: Contrast, *, information: float = 0.1, significance: float = 0.01
) -> Finding:
    control, changed = scaled_trials.control, scaled_trials.changed
    finding = replace(finding, evidence={**finding.evidence, "trials": [control.summary, changed.summary]})
    if scaled_trials.information_gain < information:
        return replace(finding, unproven="standardising the inputs did not help in the time given")
    return replace(
        finding,
        proof=replace(
            scaled_trials.decision_proof(changed.change),
            grade=Grade.B if scaled_trials.p_value < significance else Grade.C,
        ),
    )
