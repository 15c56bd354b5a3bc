from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.batchnorm import NormalizationModes, SavedStatistics
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.trainings import information_p_value
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.INFO,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "baseline-wins",
        "under-trained",
        "threshold-off",
        "uncalibrated-probabilities",
        "overfit",
    ),
)
def batchnorm_gap(
    saved_statistics: SavedStatistics, served: Served, *, good: float = 0.95, learnt: float = 0.95
) -> Iterator[Finding]:
    """BatchNormalization's saved statistics do not fit the data, so the model is worse at inference than in training.

    ## Why it matters
    In training each batch is normalised by its own mean and deviation, at inference by moving averages. After few
    steps, at a momentum of .99, or on inputs that hardly vary, the averages lag behind, and the trained weights meet
    inputs that they never saw.

    ## How it is detected
    The model has BatchNormalization, or a network of PyTorch BatchNorm, and decides less than .95 of the rows rightly
    or has a U below .95.

    ## Proof
    The judged rows pass a copy without dropout, normalised by their own batches and then by statistics measured anew
    on the training rows. An error when the recalibrated copy decides better by .05, p < .01; a warning when only the
    batches' own statistics do so, or when the recalibrated copy's U alone is positive and higher by .05, p < .001 in a
    paired t-test on the log losses. Otherwise nothing is reported.

    ## Fix
    `BatchNormalization(momentum=0.9)`, more steps, standardised inputs; or measure the statistics anew: set each
    layer's momentum to 0 and call the model once on a large batch with `training=True`. In PyTorch momentum is the
    weight of the new batch, .1 by default, and `torch.optim.swa_utils.update_bn(loader, model)` measures anew.

    ```diff
    - model.add(keras.layers.BatchNormalization())
    + model.add(keras.layers.BatchNormalization(momentum=0.9))
    ```

    ## When it is legitimate
    Batches of one class let the batch's own statistics leak the label: such a gap alone is no error.
    """
    if not saved_statistics.count or _is_good(served, good, learnt):
        return
    yield Finding(
        "The model normalises by saved batch statistics that may not fit its data.",
        fix=saved_statistics.remedy,
        evidence={"balanced_accuracy": served.balanced_accuracy},
    )


@batchnorm_gap.proof
def normalised_by_other_statistics(
    finding: Finding,
    saved_statistics: SavedStatistics,
    normalization_modes: NormalizationModes,
    *,
    gap: float = 0.05,
    significance: float = 0.01,
    information_significance: float = 0.001,
) -> Finding | None:
    modes = normalization_modes
    served, anew = modes.served, modes.recalibrated
    finding = replace(
        finding,
        evidence={
            **finding.evidence,
            "by_batch": modes.by_batch.balanced_accuracy,
            "recalibrated": anew.balanced_accuracy,
        },
        message=f"{saved_statistics.layer}'s saved statistics do not fit the data",
    )
    measured = "batch statistics measured anew on the training rows"
    if _decides_better(served, anew, gap, significance):
        return _told(finding, served, anew, Severity.ERROR, measured, "with statistics measured anew")
    if _decides_better(served, modes.by_batch, gap, significance):
        how = "normalised by the statistics of each batch"
        return _told(finding, served, modes.by_batch, Severity.WARN, how, "normalised by its own batches")
    p_value = information_p_value(served, anew)
    # Of two networks that know less than the class shares, neither says anything of the statistics.
    if anew.skill <= 0 or anew.skill - served.skill < gap or p_value >= information_significance:
        return None
    return replace(
        finding,
        message=f"{finding.message}: the same weights have a U of {served.skill:.2f} as served, {anew.skill:.2f} with "
        "statistics measured anew.",
        severity=Severity.WARN,
        proof=Proof(Grade.B, measured, "U", served.skill, anew.skill, served.rows, p_value),
    )


def _is_good(served: Served, right: float, information: float) -> bool:
    return served.balanced_accuracy >= right and served.skill >= information


def _decides_better(served: Served, other: Served, gap: float, significance: float) -> bool:
    gain = other.balanced_accuracy - served.balanced_accuracy
    return gain >= gap and measures.accuracy_p_value(served.truth, served.decision, other.decision) < significance


def _told(finding: Finding, served: Served, other: Served, severity: Severity, how: str, said: str) -> Finding:
    before, after = served.balanced_accuracy, other.balanced_accuracy
    p_value = measures.accuracy_p_value(served.truth, served.decision, other.decision)
    return replace(
        finding,
        message=f"{finding.message}: the same weights decide {before:.2f} of the rows rightly as served, "
        f"{after:.2f} {said}.",
        severity=severity,
        proof=Proof(Grade.B, how, "balanced accuracy", before, after, served.rows, p_value),
    )
