from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Layer, Spec
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Severity


@check(
    severity=Severity.INFO,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "baseline-wins",
        "under-trained",
        "stopped-early",
        "learning-rate-too-high",
        "dead-units",
    ),
)
def over_regularised(
    spec: Spec,
    served: Served,
    served_train: Served | None = None,
    *,
    dropout: float = 0.5,
    learnt: float = 0.8,
) -> Iterator[Finding]:
    """Dropout or weight penalties keep the network from learning its own training rows.

    ## Why it matters
    Regularisation is there to keep a net from knowing its training rows too well. One that does not know them at all
    has nothing to be kept from.

    ## How it is detected
    The net did not learn its training rows well (U below .8), and it has a dropout of .5 and more or a penalty on
    weights or outputs.

    ## Proof
    Training continued from the saved weights with and without them: without, balanced accuracy rises by .10 (error)
    or .05 (warning) over both the logged net and the same training with them, p < .01; or U by .1 (warning), p < .01
    in a paired t-test on the log losses. Otherwise nothing is reported.

    ## Fix
    A tenth of the penalty, dropout at .2.

    ```diff
    - keras.layers.Dropout(0.9)
    - keras.layers.Dense(64, kernel_regularizer=keras.regularizers.L2(1.0))
    + keras.layers.Dropout(0.2)
    + keras.layers.Dense(64, kernel_regularizer=keras.regularizers.L2(1e-4))
    ```

    ## When it is legitimate
    Hard problems and little data, where without them nothing is gained on held-out rows. Curves that look worse on
    the training rows than on validation rows are normal under dropout.
    """
    rows = served_train or served
    if rows.skill >= learnt or not served.tells_classes:
        return
    found = {layer.name: said for layer in spec.layers if (said := _regularised(layer, dropout))}
    if found:
        named = ", ".join(f"{said} in {name}" for name, said in found.items())
        yield Finding(
            f"The network is held back by {named}.",
            fix="a tenth of the penalty, or dropout at .2",
            evidence={"layers": found, "information": rows.skill},
        )


@over_regularised.proof
def continued_without(
    finding: Finding,
    unregularised_trials: Contrast,
    *,
    gain: float = 0.05,
    clear_gain: float = 0.1,
    significance: float = 0.01,
) -> Finding | None:
    changed = unregularised_trials.changed
    least = min(changed.gain, unregularised_trials.gain)
    p_value = max(changed.p_value, unregularised_trials.p_value)
    if least < gain or p_value >= significance:
        return _more_informed(finding, unregularised_trials) if unregularised_trials.informs() else None
    return replace(
        finding,
        message=f"{finding.message[:-1]}: {changed.duration} more without lift balanced accuracy "
        f"{changed.before.balanced_accuracy:.2f} → {changed.after.balanced_accuracy:.2f}; with, "
        f"{unregularised_trials.control.after.balanced_accuracy:.2f}.",
        severity=Severity.ERROR if least >= clear_gain else Severity.WARN,
        evidence={**finding.evidence, "trials": [unregularised_trials.control.summary, changed.summary]},
        proof=replace(
            unregularised_trials.decision_proof(
                f"training continued without dropout and penalties, {changed.duration}"
            ),
            p_value=p_value,
        ),
    )


def _more_informed(finding: Finding, trials: Contrast) -> Finding:
    """The decisions are about as good either way; what the probabilities say is not."""
    control, changed = trials.control, trials.changed
    return replace(
        finding,
        message=f"{finding.message[:-1]}: {changed.duration} more without lift U {changed.before.skill:.2f} → "
        f"{changed.after.skill:.2f}; with, {control.after.skill:.2f}.",
        severity=Severity.WARN,
        evidence={**finding.evidence, "trials": [control.summary, changed.summary]},
        proof=trials.information_proof(f"training continued without dropout and penalties, {changed.duration}"),
    )


def _regularised(layer: Layer, dropout: float) -> str | None:
    for key in ("rate", "dropout", "recurrent_dropout"):
        rate = layer.config.get(key)
        if isinstance(rate, float) and dropout <= rate < 1 and ("Dropout" in layer.kind or layer.units):
            return f"dropout {rate:g}"
    for key, value in layer.config.items():
        if key.endswith("_regularizer") and isinstance(value, dict):
            options = value.get("config") or {}
            sizes = {name: size for name, size in options.items() if isinstance(size, int | float)}
            if not sizes or any(sizes.values()):
                said = " and ".join(f"{name} {size:g}" for name, size in sizes.items() if size)
                return said or str(value.get("class_name"))
    return None
