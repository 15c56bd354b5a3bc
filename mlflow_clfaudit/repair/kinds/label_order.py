"""The classes called by their own numbers: the output columns exchanged in the head's weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.architecture import Spec
from mlflow_clfaudit.evidence.permutation import relabelled
from mlflow_clfaudit.repair.edits import transform_logits
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import Stage, Treated, repairs
from mlflow_clfaudit.repair.script import Script


@repairs("permuted-labels", "inverted-positive-class", stage=Stage.LABELS)
def label_order_restored(patient: Patient) -> Treated:
    tune = patient.rows.tune
    mapping = relabelled(tune, class_rows=5).mapping
    if np.array_equal(mapping, np.arange(len(mapping))):
        raise Missing("on the rows to tune on, the classes have their own numbers")
    if tune.width == 1:
        model = transform_logits(patient.fresh(), patient.head, np.array([[-1.0]]), np.zeros(1))
        words = "the score turned round"
    else:
        if len(mapping) != tune.width:
            raise Missing("there are more classes than output units")
        exchange = np.zeros((tune.width, tune.width))
        exchange[np.arange(tune.width), mapping] = 1.0
        model = transform_logits(patient.fresh(), patient.head, exchange, np.zeros(tune.width))
        words = f"{int(np.sum(mapping != np.arange(len(mapping))))} output columns exchanged"
    order = np.argsort(mapping).tolist()

    def patch(script: Script, _: Spec) -> Script:
        if tune.width == 1:
            return replace(script, after=(*script.after, "score = 1 - model.predict(X)[:, 0]"))
        line = f"probabilities = model.predict(X)[:, {order}]  # or number the classes so before fit()"
        return replace(script, after=(*script.after, line))

    return Treated(model, f"{words}, in the weights of the last layer", patch)
