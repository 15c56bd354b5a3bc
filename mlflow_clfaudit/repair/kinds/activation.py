"""The activation that the loss assumes, in place of the one that the model ends in; the weights stay."""

from __future__ import annotations

from mlflow_clfaudit.repair.edits import activated
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import BALANCED_ACCURACY, LOG_LOSS, Stage, Treated, repairs

RIGHT = {"softmax-on-one-unit": "sigmoid", "sigmoid-multiclass": "softmax"}
REFITTED = ("clipped-output", "logits-in-probability-loss")


@repairs(*RIGHT, stage=Stage.ACTIVATION, improves=(BALANCED_ACCURACY, LOG_LOSS), lays_ground=True)
def head_activation_swapped(patient: Patient) -> Treated:
    activation = RIGHT[patient.finding.check]
    model = activated(patient.keras, patient.fresh(), patient.head, activation)
    return Treated(
        model,
        f"{activation} in place of {patient.head.activation}, on the same weights",
        patch=lambda script, spec: script.with_layers(spec),
    )


@repairs(*REFITTED, stage=Stage.ACTIVATION, improves=(), lays_ground=True)
def head_activation_set_for_a_refit(patient: Patient) -> Treated:
    """The weights were never fitted under this activation: what comes after it fits them."""
    loss = patient.head.loss
    activation = "sigmoid" if patient.head.units == 1 or (loss is not None and loss.is_binary) else "softmax"
    return Treated(
        activated(patient.keras, patient.fresh(), patient.head, activation),
        f"{activation} in place of {patient.head.activation}",
        patch=lambda script, spec: script.with_layers(spec),
    )
