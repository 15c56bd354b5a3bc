"""Training within a time: on the rows to learn from, stopped and chosen by the loss on those to tune on, seeded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.budget import Clock
from mlflow_clfaudit.evidence.keras_backend import COMPILE_OPTIONS
from mlflow_clfaudit.evidence.network import as_model_input, with_one_output
from mlflow_clfaudit.evidence.recipe import class_weight_of, loss_of, optimizer_of, rate_of, targets_of
from mlflow_clfaudit.evidence.retraining import outputs_of, shuffled_batches, steady_random
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.repair.patient import Patient

# A net that was stopped too early needs more epochs than it had; time and the loss on rows to tune on end it.
TIMES_EPOCHS, FEWEST_EPOCHS = 3, 50
PATIENCE = 0.2


@dataclass(frozen=True)
class Trained:
    """How a training went: the losses by epoch and the epoch, from 1, whose weights were kept; 0 for those before."""

    loss: list[float]
    tuned: list[float]
    kept: int

    @property
    def words(self) -> str:
        return f"{self.kept} epochs" if self.kept != 1 else "1 epoch"

    @property
    def best(self) -> float:
        """The least loss on the rows to tune on, infinite where none was finite."""
        return min((value for value in self.tuned if np.isfinite(value)), default=np.inf)

    @property
    def curves(self) -> dict[str, list[float]]:
        return {"loss": self.loss, "val_loss": self.tuned}


def train(patient: Patient, model: Any, *, factor: float = 1.0, epochs: int | None = None) -> Trained:
    """Train `model` in place, at the logged rate times `factor`, and leave it with the weights of its best epoch.

    Raises:
        Missing: its loss or its optimizer is not known, nothing of it can be trained, or its time is used up.
    """
    if patient.seconds <= 0:
        raise Missing("the time for refits is used up", "--budget SECONDS")
    head, fit = patient.head, patient.fit
    learn, tune = patient.rows.learn, patient.rows.tune
    if not model.trainable_variables:
        raise Missing("no weight of the model is trainable")
    loss = loss_of(patient.keras, head)
    rate = rate_of(patient.spec, fit) * factor
    wanted = epochs or max(TIMES_EPOCHS * patient.logged_epochs, FEWEST_EPOCHS)
    model = with_one_output(patient.keras, model, head)
    with steady_random(patient.seed):
        model.compile(
            optimizer=optimizer_of(patient.keras, patient.spec, fit, rate),
            loss=loss,
            **COMPILE_OPTIONS.get(patient.backend, {}),
        )
        return _epochs(patient, model, learn, tune, wanted, class_weight_of(fit))


def _epochs(
    patient: Patient, model: Any, learn: Served, tune: Served, epochs: int, weight: dict[int, float] | None
) -> Trained:
    head = patient.head
    inputs, targets = as_model_input(model, learn.inputs), targets_of(learn, head)
    size = min(patient.fit.batch_size or 32, learn.rows)
    shuffled = np.random.default_rng(patient.seed)
    clock = Clock()
    losses: list[float] = []
    tuned = [_loss_on(patient, model, tune)]
    best, kept = model.get_weights(), 0
    patience = max(5, round(PATIENCE * epochs))
    for epoch in range(1, epochs + 1):
        batches: list[float] = []
        model.reset_metrics()
        for batch, wanted in shuffled_batches(inputs, targets, size, shuffled):
            logs = model.train_on_batch(batch, wanted, class_weight=weight, return_dict=True)
            batches.append(float(logs["loss"]))
            if clock.seconds > patient.seconds:
                break
        losses.append(float(np.mean(batches)))
        tuned.append(_loss_on(patient, model, tune))
        patient.telling(f"epoch {epoch} of {epochs}: loss {losses[-1]:.4g}, on rows to tune on {tuned[-1]:.4g}")
        # A logged model whose outputs are not finite is worse than any.
        if tuned[-1] < min((value for value in tuned[:-1] if np.isfinite(value)), default=np.inf):
            best, kept = model.get_weights(), epoch
        if not np.isfinite(losses[-1]) or epoch - kept >= patience or clock.seconds > patient.seconds:
            break
    model.set_weights(best)
    return Trained(losses, tuned[1:], kept)


def _loss_on(patient: Patient, model: Any, rows: Served) -> float:
    """The loss of the model on rows, as fit() would give it for validation rows."""
    outputs = outputs_of(patient.keras, model, rows)
    if outputs.ndim != 2:
        raise Missing("the outputs have another shape")
    shaped = replace(rows, outputs=outputs)
    value = loss_of(patient.keras, patient.head)(targets_of(shaped, patient.head), outputs)
    return float(patient.keras.ops.convert_to_numpy(value))


def factor_of(trial: Mapping[str, Any]) -> float:
    """The factor of the learning rate that the words of a trial name: learning rate ×10."""
    found = re.search(r"×([\d.e-]+)", str(trial["change"]))
    return float(found.group(1)) if found else 1.0


def best_of(trials: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of the short trainings that proved a finding, the one that decided best, and of equal ones the surest."""
    return max(trials, key=lambda item: (item["balanced_accuracy"], item["information"] or -np.inf))
