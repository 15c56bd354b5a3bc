"""The threshold set in the model: it gives decisions, and a second model the scores behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.architecture import Spec
from mlflow_clfaudit.evidence.decisions import Goal
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import Stage, Treated, repairs
from mlflow_clfaudit.repair.script import Script
from mlflow_clfaudit.thresholds import best_threshold, threshold_for


@repairs("threshold-off", stage=Stage.THRESHOLD)
def threshold_set_in_the_model(patient: Patient) -> Treated:
    """`predict` of the model gives decisions (N, 1), 0.0 or 1.0; that of `scores` what the threshold is applied to."""
    tune = patient.rows.tune
    if tune.scores is None or not np.all(np.isfinite(tune.outputs)):
        raise Missing("the model does not give one binary score")
    threshold = _chosen(patient, tune.scores)
    if threshold is None:
        raise Missing("no threshold reaches the goal on the rows to tune on")
    keras, network = patient.keras, patient.fresh()
    scores = network.model
    column = scores.outputs[0][:, tune.width - 1 :]
    decision = keras.ops.cast(keras.ops.greater(column, threshold), "float32")
    model = keras.Model(scores.inputs, decision)

    def patch(script: Script, _: Spec) -> Script:
        line = f'decision = (model.predict(X)[:, {tune.width - 1}] > {threshold:.3g}).astype("int32")'
        return replace(script, after=(*script.after, line))

    return Treated(model, f"class 1 from a score of {threshold:.3g} on", patch, scores=patient.fresh().model)


def _chosen(patient: Patient, scores: np.ndarray) -> float | None:
    """The threshold for the run's stated goal, else that of the best balanced accuracy, on the rows to tune on."""
    truth = patient.rows.tune.truth
    goal: Goal | None = patient.evidence.find("goal")
    if goal is None:
        return best_threshold(truth, scores)
    if goal.recall is not None or goal.precision is not None:
        return threshold_for(truth, scores, recall=goal.recall, precision=goal.precision)
    share = float(np.mean(truth))
    costs = {"positive": goal.false_negative * share, "negative": goal.false_positive * (1 - share)}
    return best_threshold(truth, scores, **costs)
