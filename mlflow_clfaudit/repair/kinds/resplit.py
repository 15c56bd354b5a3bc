"""Training and validation rows mixed and split anew by class, and the network trained on with them."""

from __future__ import annotations

from dataclasses import replace

from mlflow_clfaudit.evidence.architecture import Spec
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import BALANCED_ACCURACY, LOG_LOSS, Stage, Treated, repairs
from mlflow_clfaudit.repair.script import Script
from mlflow_clfaudit.repair.training import train

SPLITS = ("tail-split-of-ordered-data", "single-class-validation", "class-missing-from-split")
SPLIT = "X_train, X_val, y_train, y_val = train_test_split(X, y, test_size={:g}, stratify=y, random_state=0)"


@repairs(*SPLITS, stage=Stage.SPLIT, improves=(BALANCED_ACCURACY, LOG_LOSS), lays_ground=True)
def rows_split_anew_by_class_and_trained_on(patient: Patient) -> Treated:
    model = patient.fresh().model
    trained = train(patient, model)
    share = patient.fit.validation_split or 0.2

    def patch(script: Script, _: Spec) -> Script:
        script = script.with_fit("validation_split", None).with_fit("validation_data", "(X_val, y_val)")
        return replace(script, before=(*script.before, SPLIT.format(share), ""))

    return Treated(
        model,
        f"training and validation rows split anew, every class in both; trained on, {trained.words}",
        patch,
        curves=trained.curves,
    )
