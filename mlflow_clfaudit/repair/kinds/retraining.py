"""Training on, or anew, with the one thing changed that a short training has proven to be what was wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.architecture import Spec
from mlflow_clfaudit.evidence.edits import EDITS, begin, glorot
from mlflow_clfaudit.evidence.recipe import rate_of
from mlflow_clfaudit.evidence.retraining import steady_random
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import BALANCED_ACCURACY, LOG_LOSS, Stage, Treated, repairs
from mlflow_clfaudit.repair.script import Script, optimizer_line
from mlflow_clfaudit.repair.training import best_of, factor_of, train

EDITED = {
    "vanishing-gradient": ("relu", "relu and He's draw in place of the hidden sigmoids"),
    "bottleneck": ("wider", "the narrowest layers four times as wide"),
    "over-regularised": ("unregularised", "no dropout and no weight penalties"),
    "frozen-random-layers": ("unfrozen", "every layer trainable"),
}
FROM_SAVED = ("over-regularised", "frozen-random-layers")


@repairs("under-trained", "stopped-early", stage=Stage.TRAINING, improves=(BALANCED_ACCURACY, LOG_LOSS))
def training_continued_at_the_proven_learning_rate(patient: Patient) -> Treated:
    trials = patient.finding.evidence.get("learning_rate_trials") or []
    factor = factor_of(best_of(trials)) if trials else 1.0
    model = patient.fresh().model
    trained = train(patient, model, factor=factor)
    rate = rate_of(patient.spec, patient.fit) * factor
    return Treated(
        model,
        f"training continued at a learning rate of {rate:.3g} (×{factor:g}), {trained.words}",
        patch=_with_rate(patient, factor, more=trained.kept),
        learning_rate=rate,
        curves=trained.curves,
    )


@repairs("learning-rate-too-high", stage=Stage.TRAINING, improves=(BALANCED_ACCURACY, LOG_LOSS))
def training_begun_anew_at_the_proven_learning_rate(patient: Patient) -> Treated:
    trials = (patient.finding.evidence.get("trials") or [])[1:]
    if not trials:
        raise Missing("no slower training was tried")
    factors = sorted({factor_of(trial) for trial in trials})
    # A short training proves that slower is better; which rate is best shows on rows to tune on.
    share = replace(patient, seconds=patient.seconds / len(factors))
    done = []
    for factor in factors:
        model = _anew(patient, patient.fresh().model)
        done.append((train(share, model, factor=factor), factor, model))
    trained, factor, model = min(done, key=lambda item: item[0].best)
    rate = rate_of(patient.spec, patient.fit) * factor
    return Treated(
        model,
        f"trained anew at a learning rate of {rate:.3g} (×{factor:g}), {trained.words}",
        patch=_with_rate(patient, factor),
        learning_rate=rate,
        curves=trained.curves,
    )


@repairs(*EDITED, stage=Stage.TRAINING, improves=(BALANCED_ACCURACY, LOG_LOSS))
def architecture_changed_and_trained(patient: Patient) -> Treated:
    edit, words = EDITED[patient.finding.check]
    with steady_random(patient.seed):
        model = EDITS[edit](patient.keras, patient.fresh().model, patient.head)
    trained = train(patient, model)
    start = "trained on" if patient.finding.check in FROM_SAVED else "trained anew"
    return Treated(
        model,
        f"{start} with {words}, {trained.words}",
        patch=lambda script, spec: script.with_layers(spec),
        curves=trained.curves,
    )


@repairs(
    "clipped-output",
    "logits-in-probability-loss",
    "softmax-on-one-unit",
    stage=Stage.ANEW,
    improves=(BALANCED_ACCURACY, LOG_LOSS),
)
def trained_anew_under_the_right_activation(patient: Patient) -> Treated:
    """Where the wrong activation left features that are worth nothing; the right one was set before."""
    model = _anew(patient, patient.fresh().model)
    trained = train(patient, model)
    return Treated(
        model,
        f"trained anew under {patient.head.activation}, {trained.words}",
        patch=lambda script, _: script,
        curves=trained.curves,
    )


@repairs(
    "multiclass-on-one-unit",
    "binary-labels-not-01",
    "categorical-loss-on-one-unit",
    stage=Stage.ANEW,
    improves=(BALANCED_ACCURACY, LOG_LOSS),
)
def trained_on_under_the_new_head(patient: Patient) -> Treated:
    """The layers below were fitted to a loss that said something else: here with the head that was fitted before."""
    model = patient.fresh().model
    trained = train(patient, model)
    return Treated(
        model,
        f"every layer trained on under the new last one, {trained.words}",
        patch=lambda script, _: script,
        curves=trained.curves,
    )


@repairs("poor-initialisation", "symmetric-initialisation", stage=Stage.TRAINING)
def trained_anew_from_glorots_weights(patient: Patient) -> Treated:
    model = patient.fresh().model
    begin(model, glorot([variable.numpy() for variable in model.variables], patient.seed))
    trained = train(patient, model)

    def patch(script: Script, _: Spec) -> Script:
        layers = tuple(re.sub(r', kernel_initializer="[^"]*"', "", line) for line in script.layers)
        return replace(script, layers=layers)

    return Treated(model, f"trained anew from Glorot's weights, {trained.words}", patch, curves=trained.curves)


def _anew(patient: Patient, model: Any) -> Any:
    """The model with newly drawn weights, by the logged initialisers."""
    with steady_random(patient.seed):
        try:
            drawn = model.__class__.from_config(model.get_config())
        except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
            raise Missing(f"the model cannot be built anew: {type(error).__name__}") from None
        begin(model, [variable.numpy() for variable in drawn.variables])
    return model


def _with_rate(patient: Patient, factor: float, *, more: int = 0) -> Any:
    """What to change in the script: the learning rate, and where it stays the number of epochs."""

    def patch(script: Script, _: Spec) -> Script:
        if factor == 1.0:
            return script.with_fit("epochs", str(patient.logged_epochs + more)).with_fit("callbacks", STOPPING)
        rate = rate_of(patient.spec, patient.fit) * factor
        return replace(script, optimizer=optimizer_line(patient.spec, patient.fit, rate))

    return patch


STOPPING = '[keras.callbacks.EarlyStopping(monitor="val_loss", patience=10, restore_best_weights=True)]'
