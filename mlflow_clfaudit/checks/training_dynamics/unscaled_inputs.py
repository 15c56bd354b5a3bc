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
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "non-finite-loss",
        "loss-accuracy-divergence",
        "baseline-wins",
        "dead-units",
        "saturated-units",
        "under-trained",
        "learning-rate-too-high",
        "stopped-early",
        "threshold-off",
        "uncalibrated-probabilities",
        "overfit",
    ),
)
def unscaled_inputs(
    input_scales: tuple[InputScale, ...],
    served: Served | None = None,
    *,
    large: float = 10.0,
    offset: float = 10.0,
    contrast: float = 100.0,
    spread: float = 100.0,
    learnt: float = 0.8,
    good: float = 0.95,
    fair: float = 0.5,
) -> Iterator[Finding]:
    """The inputs enter the first layer unscaled, and the network could not learn from them so.

    ## Why it matters
    Initial weights and learning rates are made for inputs of about unit size. A column in the hundreds saturates or
    kills the first layer, drowns the other columns, and makes each gradient step too large along it.

    ## How it is detected
    No Normalization, BatchNormalization, Rescaling or the like stands between an input and the first weights, and the
    99th percentile of |x| is above 10, or the columns' deviations differ by more than a factor of 100, or half of the
    columns have a mean of more than 10 deviations. Ids that are looked up (Embedding) have no scale.

    ## Proof
    The net trained anew for a third of the epochs (of a short training more),
    on the inputs as they are and on standardised ones, judged on the
    same rows: an error when U rises by .1 and the decisions are better than those of both the same training and the
    logged net, p < .01; a warning when only the probabilities are, U by .1, p < .01 in a paired t-test on the log
    losses; only an info when it does not help, or when no more is shown for a net that learnt fairly (U of .5, or nine
    rows in ten right). Where neither training learns anything in that time, the suspicion stays a
    warning.

    ## Fix
    `keras.layers.Normalization()` adapted to the training inputs, as the first layer: it is then saved with the
    model.

    ```diff
    - model = keras.Sequential([keras.Input((8,)), ...])
    + normalization = keras.layers.Normalization()
    + normalization.adapt(X_train)
    + model = keras.Sequential([keras.Input((8,)), normalization, ...])
    ```

    ## When it is legitimate
    Ids and embeddings; models that scale inside; nets that learnt all the same (U of .8 and more, or of .5 and 19 rows
    in 20 right): those are told as an info.
    """
    for scale in input_scales:
        reasons = []
        if scale.typical > large:
            reasons.append(f"values up to {scale.largest:.3g}")
        if scale.spread > spread:
            reasons.append(f"deviations of the columns that differ by a factor of {scale.spread:.3g}")
        if offset < scale.offset < contrast:
            reasons.append(f"columns whose mean is {scale.offset:.3g} deviations from 0")
        if not reasons:
            continue
        fine = served is not None and (
            served.skill >= learnt or (served.skill >= fair and served.balanced_accuracy >= good)
        )
        yield Finding(
            f"The inputs{'' if scale.name == 'inputs' else ' ' + scale.name} enter the first layer unscaled: "
            f"{' and '.join(reasons)}.",
            fix="normalization = keras.layers.Normalization(); normalization.adapt(X_train)  # the first layer",
            severity=Severity.INFO if fine else Severity.WARN,
            evidence={
                "largest": scale.largest,
                "typical": scale.typical,
                "spread": scale.spread,
                "offset": scale.offset,
                "columns": len(scale.means),
            },
            proof=Proof(Grade.D, "the pattern only: the net learnt all the same") if fine else None,
        )


@unscaled_inputs.proof
def standardised_in_the_same_time(
    finding: Finding,
    scaled_trials: Contrast,
    served: Served,
    *,
    information_gain: float = 0.1,
    gain: float = 0.05,
    nothing: float = 0.05,
    significance: float = 0.01,
) -> Finding:
    raw, scaled = scaled_trials.control, scaled_trials.changed
    finding = replace(finding, evidence={**finding.evidence, "trials": [raw.summary, scaled.summary]})
    p_value = max(scaled_trials.p_value, scaled.p_value)
    helps = scaled_trials.information_gain >= information_gain
    proof = Proof(
        Grade.B if p_value < significance else Grade.C,
        f"trained anew for {scaled.duration} on the inputs as they are and on standardised ones",
        metric="balanced accuracy",
        before=raw.after.balanced_accuracy,
        after=scaled.after.balanced_accuracy,
        n=raw.after.rows,
        p_value=p_value,
    )
    if max(raw.after.skill, scaled.after.skill) < nothing:
        return replace(finding, unproven="neither training learnt anything in the time given")
    if not helps or scaled_trials.gain < 0:
        return replace(finding, severity=Severity.INFO, unproven="standardising the inputs did not help")
    proven = p_value < significance and min(scaled_trials.gain, scaled.gain) >= gain
    if not proven and scaled_trials.informs():
        return _more_informed(finding, scaled_trials, proof.how)
    if served.has_learnt() and not proven:
        return replace(finding, severity=Severity.INFO, unproven="the network learnt fairly from them as they are")
    said = f" Standardised, {scaled.duration} reach balanced accuracy {scaled.after.balanced_accuracy:.2f}; "
    said += f"as they are, {raw.after.balanced_accuracy:.2f}; the whole run {scaled.before.balanced_accuracy:.2f}."
    return replace(
        finding,
        message=finding.message + said,
        severity=Severity.ERROR if proven else Severity.WARN,
        proof=proof if proven else replace(proof, grade=Grade.C),
    )


def _more_informed(finding: Finding, trials: Contrast, how: str) -> Finding:
    """The decisions are about as good either way; what the probabilities say is not."""
    raw, scaled, whole = trials.control.after.skill, trials.changed.after.skill, trials.changed.before.skill
    said = f" Standardised, {trials.changed.duration} reach U {scaled:.2f}; as they are, {raw:.2f}; the whole run "
    return replace(
        finding,
        message=f"{finding.message}{said}{whole:.2f}.",
        severity=Severity.WARN,
        proof=trials.information_proof(how),
    )
