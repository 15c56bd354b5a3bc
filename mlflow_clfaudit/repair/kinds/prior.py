"""The class weights divided out of the odds, by the bias of the last layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.architecture import Spec
from mlflow_clfaudit.evidence.weighting import ClassWeighting
from mlflow_clfaudit.repair.edits import transform_logits
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import BALANCED_ACCURACY, LOG_LOSS, Stage, Treated, repairs
from mlflow_clfaudit.repair.script import Script


@repairs("class-weight-overcorrected", stage=Stage.PROBABILITIES, improves=(BALANCED_ACCURACY, LOG_LOSS))
def prior_correction_undone(patient: Patient) -> Treated:
    weighting: ClassWeighting = patient.evidence.get("class_weighting")
    if patient.rows.judge.width != 1 or len(weighting.effective) != 2:
        raise Missing("class weights are divided out for one sigmoid unit and two classes")
    ratio = float(weighting.effective[1] / weighting.effective[0])
    model = transform_logits(patient.fresh(), patient.head, np.eye(1), np.array([-np.log(ratio)]))

    def patch(script: Script, _: Spec) -> Script:
        return replace(script.with_fit("class_weight", None), after=(*script.after, *_threshold()))

    return Treated(model, f"the odds divided by the ratio of the class weights, {ratio:.3g}", patch)


def _threshold() -> tuple[str, ...]:
    return (
        "threshold = 0.5  # chosen on validation rows where errors cost differently",
        "decision = model.predict(X)[:, 0] > threshold",
    )
