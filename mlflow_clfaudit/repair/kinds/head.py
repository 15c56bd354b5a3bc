"""The last layer fitted anew on the frozen features, with the activation and the loss that belong together."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.architecture import Loss, Spec
from mlflow_clfaudit.repair.edits import activated, layer_at
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import BALANCED_ACCURACY, LOG_LOSS, Stage, Treated, repairs
from mlflow_clfaudit.repair.script import Script, loss_line

MAX_FEATURES = 20_000
LABELS = {
    "binary-labels-not-01": "y_train = np.unique(y_train, return_inverse=True)[1]  # 0 and 1",
}


@repairs(
    "logits-in-probability-loss",
    "clipped-output",
    "multiclass-on-one-unit",
    "binary-labels-not-01",
    "categorical-loss-on-one-unit",
    "softmax-with-binary-crossentropy",
    "softmax-on-one-unit",
    "under-trained",
    "learning-rate-too-high",
    stage=Stage.HEAD,
    improves=(BALANCED_ACCURACY, LOG_LOSS),
)
def head_refitted_on_frozen_features(patient: Patient) -> Treated:
    return refitted(patient, balanced=False)


@repairs("class-imbalance", stage=Stage.HEAD)
def head_refitted_with_every_class_weighing_the_same(patient: Patient) -> Treated:
    return refitted(patient, balanced=True)


def refitted(patient: Patient, *, balanced: bool) -> Treated:
    """The model with its head fitted to the end: logistic regression on what the last layer reads."""
    kernel, bias, activation, loss = _fitted(patient, balanced)
    model = _with_head(patient, kernel, bias, activation)
    weighing = ", every class weighing the same" if balanced else ""

    def patch(script: Script, spec: Spec) -> Script:
        prepared = LABELS.get(patient.finding.check)
        script = replace(script.with_layers(spec), loss=loss_line(loss))
        script = replace(script, before=(*script.before, *([prepared] if prepared else [])))
        weights = 'dict(enumerate(compute_class_weight("balanced", classes=np.unique(y_train), y=y_train)))'
        return script.with_fit("class_weight", weights) if balanced else script

    return Treated(
        model,
        f"the last layer, {len(bias)} {activation} unit{'s' if len(bias) > 1 else ''}, fitted anew on the frozen "
        f"features{weighing}",
        patch,
        loss=loss,
    )


def _fitted(patient: Patient, balanced: bool) -> tuple[np.ndarray, np.ndarray, str, Loss]:
    """Kernel (D, C) and bias (C,) of the new head, its activation and the loss that belongs to it."""
    learn = patient.rows.learn
    if learn.features is None:
        raise Missing("what the last layer reads is not known")
    if not np.all(np.isfinite(learn.features)):
        raise Missing("the features are not finite")
    if learn.features.shape[1] > MAX_FEATURES:
        raise Missing(f"the last layer reads more than {MAX_FEATURES} features")
    if len(np.unique(learn.truth)) < 2:
        raise Missing("the rows to learn from hold one class")
    scaler = StandardScaler().fit(learn.features)
    regression = LogisticRegression(max_iter=500, class_weight="balanced" if balanced else None)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        regression.fit(scaler.transform(learn.features), learn.truth)
    # What standardising did to the features is done by the weights.
    coefficients = regression.coef_ / scaler.scale_
    intercepts = regression.intercept_ - coefficients @ scaler.mean_
    classes = learn.classes
    if classes == 2 and learn.width == 1:
        return coefficients.T, intercepts, "sigmoid", Loss("binary_crossentropy")
    if len(regression.classes_) == 2:
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.array([-1, 1]) * intercepts / 2
    kernel = np.zeros((learn.features.shape[1], classes))
    # A class that was never seen is never answered.
    bias = np.full(classes, intercepts.min() - 20.0)
    kernel[:, regression.classes_], bias[regression.classes_] = coefficients.T, intercepts
    loss = patient.head.loss
    kept = loss is not None and loss.is_categorical and classes == learn.width and not loss.from_logits
    return kernel, bias, "softmax", loss if kept and loss is not None else Loss("sparse_categorical_crossentropy")


def _with_head(patient: Patient, kernel: np.ndarray, bias: np.ndarray, activation: str) -> Any:
    """The model with those weights in its head: in the layer that is there, or in one that takes its place."""
    keras, head, network = patient.keras, patient.head, patient.fresh()
    layer = layer_at(network.model, head.layer)
    weights = layer.get_weights()
    fits = [array.shape for array in weights] == [kernel.shape, bias.shape]
    if fits and not head.opaque and not head.after and len(head.activations) <= 1:
        layer.set_weights([kernel, bias])
        return activated(keras, network, head, activation)
    if network.tapped is None:
        raise Missing("the model has no graph to build another head on")
    new = keras.layers.Dense(len(bias), activation=activation, name="repaired_head")
    features = network.tapped.outputs[0]
    if len(features.shape) > 2:
        features = keras.layers.Flatten()(features)
    model = keras.Model(network.tapped.inputs, new(features))
    new.set_weights([kernel, bias])
    return model
