from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.units import LayerActivity
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.WARN,
    explains=("constant-prediction", "majority-accuracy", "stuck-loss", "baseline-wins", "no-gradient"),
)
def dead_units(
    unit_activity: tuple[LayerActivity, ...],
    served: Served,
    *,
    many: float = 0.5,
    rows: int = 100,
) -> Iterator[Finding]:
    """Most units of a relu layer give 0 for every row, and what the network needs to know is lost there.

    ## Why it matters
    A relu unit whose input is negative for every row passes neither signal nor gradient: it never comes back. It is
    what too large a step, unscaled inputs or a bad draw leave behind.

    ## How it is detected
    Half and more of a trained relu layer's units are 0 on all of up to 1,000 judged rows, and the net did not learn
    (U below .5, fewer than nine rows in ten right).

    ## Proof
    A linear model on the inputs decides better than the served net, p < .01, while one on the penultimate features
    gains less than half of that: the network loses what the inputs hold. With nine units in ten dead an error, else a
    warning.

    ## Fix
    A lower learning rate, scaled inputs, `he_normal`; `LeakyReLU` keeps a slope below zero.

    ```diff
    - model.add(keras.layers.Dense(64, activation="relu"))
    - model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy")
    + model.add(keras.layers.Dense(64, activation="leaky_relu", kernel_initializer="he_normal"))
    + model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    ```

    ## When it is legitimate
    Pruned and sparse nets, wide layers on few kinds of rows: nets that learnt are not judged.

    ## Measured
    Trained LeNets on digits: 25 to 47 % of the 64 dense units are dead while 95 of 100 rows are right.
    """
    if served.has_learnt() or not served.tells_classes:
        return
    judged = [item for item in unit_activity if item.dead is not None and item.trainable and item.rows >= rows]
    worst = max(judged, key=lambda item: item.dead or 0.0, default=None)
    if worst is None or worst.dead is None or worst.dead < many:
        return
    yield Finding(
        f"{worst.dead:.0%} of the {worst.units} relu units of {worst.layer} give 0 for every one of {worst.rows} rows.",
        fix="a lower learning rate, standardised inputs, or LeakyReLU in place of relu",
        evidence={"dead": {item.layer: item.dead for item in judged}, "layer": worst.layer, "share": worst.dead},
    )


@dead_units.proof
def lost_in_the_network(
    finding: Finding,
    input_probe: Probe,
    feature_probe: Probe,
    *,
    most: float = 0.9,
    gain: float = 0.05,
    significance: float = 0.01,
) -> Finding:
    proven = input_probe.gain >= gain and input_probe.p_value < significance
    lost = feature_probe.gain < input_probe.gain / 2
    if not (proven and lost):
        return replace(
            finding, severity=Severity.INFO, unproven="the features hold what the inputs do, dead units or not"
        )
    return replace(
        finding,
        message=f"{finding.message} A linear model decides {input_probe.balanced_accuracy:.2f} of the rows rightly "
        f"from the inputs, {feature_probe.balanced_accuracy:.2f} from the features behind them.",
        severity=Severity.ERROR if float(finding.evidence["share"]) >= most else Severity.WARN,
        proof=Proof(
            Grade.B,
            f"{input_probe.name} against the served decision; the features behind the dead units gain "
            f"{feature_probe.gain:+.2f}",
            metric="balanced accuracy",
            before=input_probe.served_balanced_accuracy,
            after=input_probe.balanced_accuracy,
            n=input_probe.rows,
            p_value=input_probe.p_value,
        ),
    )
