"""A Normalization layer adapted to the training inputs, before the first layer, and the network trained anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.architecture import Spec
from mlflow_clfaudit.evidence.edits import begin, looked_up
from mlflow_clfaudit.evidence.retraining import steady_random
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import BALANCED_ACCURACY, LOG_LOSS, Stage, Treated, repairs
from mlflow_clfaudit.repair.script import Script
from mlflow_clfaudit.repair.training import train


@repairs("unscaled-inputs", "low-contrast-inputs", stage=Stage.TRAINING, improves=(BALANCED_ACCURACY, LOG_LOSS))
def normalization_prepended_and_trained_anew(patient: Patient) -> Treated:
    inputs = patient.rows.learn.inputs
    if inputs is None or isinstance(inputs, dict) or looked_up(patient.spec):
        raise Missing("a Normalization layer is prepended to models of one numeric input")
    keras = patient.keras
    array = np.asarray(inputs, dtype=np.float32)
    # Statistics by column of a table, by channel of images and sequences.
    normalization = keras.layers.Normalization(axis=-1)
    normalization.adapt(array)
    model = _anew(patient, normalization)
    trained = train(patient, model)

    def patch(script: Script, spec: Spec) -> Script:
        before = ("normalization = keras.layers.Normalization()", "normalization.adapt(X_train)", "")
        return replace(script.with_layers(spec), before=(*script.before, *before))

    return Treated(
        model,
        f"a Normalization layer, adapted to the training inputs, before the first layer; trained anew, {trained.words}",
        patch,
        curves=trained.curves,
    )


def _anew(patient: Patient, normalization: Any) -> Any:
    """The model behind the normalization, its weights drawn anew by the logged initialisers."""
    keras, old = patient.keras, patient.fresh().model
    with steady_random(patient.seed):
        try:
            drawn = old.__class__.from_config(old.get_config())
            begin(old, [variable.numpy() for variable in drawn.variables])
        except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
            raise Missing(f"the model cannot be built anew: {type(error).__name__}") from None
    shape = tuple(old.inputs[0].shape[1:])
    if isinstance(old, keras.Sequential):
        return keras.Sequential([keras.Input(shape), normalization, *old.layers])
    inputs = keras.Input(shape)
    return keras.Model(inputs, old(normalization(inputs)))
