from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.batchnorm import NormalizationModes, SavedStatistics
from mlflow_clfaudit.evidence.served import Served
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
def batchnorm_gap(saved_statistics: SavedStatistics, served: Served, *, good: float = 0.95) -> Iterator[Finding]:
    """BatchNormalization's saved statistics do not fit the data, so the model is worse at inference than in training.

    ## Why it matters
    In training each batch is normalised by its own mean and deviation, at inference by moving averages. After few
    steps, at a momentum of .99, or on inputs that hardly vary, the averages lag behind, and the trained weights meet
    inputs that they never saw.

    ## How it is detected
    The model has BatchNormalization, or a network of PyTorch BatchNorm, and decides less than .95 of the rows rightly.

    ## Proof
    The judged rows pass a copy without dropout, normalised by their own batches and then by statistics measured anew
    on the training rows. An error when the recalibrated copy decides better by .05, p < .01; a warning when only the
    batches' own statistics do so. Otherwise nothing is reported.

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
    if not saved_statistics.count or served.balanced_accuracy >= good:
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
) -> Finding | None:
    served, by_batch, anew = (
        normalization_modes.served,
        normalization_modes.by_batch,
        normalization_modes.recalibrated,
    )
    gains = {
        name: (
            item.balanced_accuracy - served.balanced_accuracy,
            measures.accuracy_p_value(served.truth, served.decision, item.decision),
        )
        for name, item in (("batch", by_batch), ("anew", anew))
    }
    evidence = {
        **finding.evidence,
        "by_batch": by_batch.balanced_accuracy,
        "recalibrated": anew.balanced_accuracy,
    }
    if gains["anew"][0] >= gap and gains["anew"][1] < significance:
        after, p_value, severity = anew, gains["anew"][1], Severity.ERROR
        how, said = "batch statistics measured anew on the training rows", "with statistics measured anew"
    elif gains["batch"][0] >= gap and gains["batch"][1] < significance:
        after, p_value, severity = by_batch, gains["batch"][1], Severity.WARN
        how, said = "normalised by the statistics of each batch", "normalised by its own batches"
    else:
        return None
    return replace(
        finding,
        message=f"{saved_statistics.layer}'s saved statistics do not fit the data: the same weights decide "
        f"{served.balanced_accuracy:.2f} of the rows rightly as served, {after.balanced_accuracy:.2f} {said}.",
        severity=severity,
        evidence=evidence,
        proof=Proof(
            Grade.B,
            how,
            metric="balanced accuracy",
            before=served.balanced_accuracy,
            after=after.balanced_accuracy,
            n=served.rows,
            p_value=p_value,
        ),
    )
