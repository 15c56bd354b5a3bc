from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.evidence.units import LayerActivity
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN, explains=("constant-prediction", "majority-accuracy", "stuck-loss", "baseline-wins"))
def saturated_units(
    unit_activity: tuple[LayerActivity, ...], served: Served, *, most: float = 0.5, rows: int = 20
) -> Iterator[Finding]:
    """Most outputs of a hidden sigmoid or tanh layer stand at their bounds, where no gradient passes.

    ## Why it matters
    At the bounds the slope is nothing: the layers before learn nothing, and rows that differ look alike behind it.

    ## How it is detected
    More than half of a hidden layer's outputs lie within 2 % of the bounds of its activation, and the net did not
    learn (U below .5, fewer than nine rows in ten right).

    ## Proof
    Trained anew on standardised inputs: better than on the inputs as they are, p < .01. Otherwise an info.

    ## Fix
    `keras.layers.Normalization()` before the first layer, smaller initial weights, or relu.

    ```diff
    - model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(64, activation="tanh"), ...])
    + normalization = keras.layers.Normalization()
    + normalization.adapt(X_train)
    + model = keras.Sequential([keras.Input((8,)), normalization, keras.layers.Dense(64, activation="tanh"), ...])
    ```

    ## When it is legitimate
    Gates and binary codes; nets that learnt are not judged.
    """
    if served.has_learnt() or not served.tells_classes:
        return
    judged = [item for item in unit_activity if item.saturated is not None and item.rows >= rows]
    worst = max(judged, key=lambda item: item.saturated or 0.0, default=None)
    if worst is None or worst.saturated is None or worst.saturated <= most:
        return
    yield Finding(
        f"{worst.saturated:.0%} of the outputs of {worst.layer} ({worst.activation}) stand at its bounds.",
        fix="keras.layers.Normalization() before the first layer",
        evidence={"saturated": {item.layer: item.saturated for item in judged}, "layer": worst.layer},
    )


@saturated_units.proof
def standardised_inputs_free_them(
    finding: Finding, scaled_trials: Contrast, *, gain: float = 0.05, significance: float = 0.01
) -> Finding:
    if scaled_trials.gain < gain or scaled_trials.p_value >= significance:
        return replace(finding, severity=Severity.INFO, unproven="standardising the inputs did not help")
    return replace(
        finding,
        proof=Proof(
            Grade.B,
            scaled_trials.changed.change,
            metric="balanced accuracy",
            before=scaled_trials.control.after.balanced_accuracy,
            after=scaled_trials.changed.after.balanced_accuracy,
            n=scaled_trials.changed.after.rows,
            p_value=scaled_trials.p_value,
        ),
    )
