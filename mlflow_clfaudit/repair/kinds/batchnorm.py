"""BatchNormalization's statistics measured anew on the training rows; the weights stay."""

from __future__ import annotations

import re
from dataclasses import replace

from mlflow_clfaudit.evidence.architecture import Spec
from mlflow_clfaudit.evidence.batchnorm import measure_anew
from mlflow_clfaudit.evidence.edits import EDITS
from mlflow_clfaudit.evidence.network import with_one_output
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import BALANCED_ACCURACY, LOG_LOSS, Stage, Treated, repairs
from mlflow_clfaudit.repair.script import Script


@repairs("batchnorm-gap", stage=Stage.STATISTICS, improves=(BALANCED_ACCURACY, LOG_LOSS))
def batch_statistics_measured_anew(patient: Patient) -> Treated:
    keras, head = patient.keras, patient.head
    model = patient.fresh().model
    # Dropout would be part of what is measured.
    bare = EDITS["unregularised"](keras, model, head)
    measure_anew(keras, with_one_output(keras, bare, head), patient.rows.learn)
    model.set_weights(bare.get_weights())

    def patch(script: Script, _: Spec) -> Script:
        layers = tuple(
            re.sub(r"BatchNormalization\((?!.*momentum).*\)", "BatchNormalization(momentum=0.9)", line)
            for line in script.layers
        )
        return replace(script, layers=layers)

    return Treated(model, "BatchNormalization's statistics measured anew on the training rows", patch)
