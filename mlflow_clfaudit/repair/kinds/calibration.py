"""Probabilities recalibrated on rows that the weights were not fitted to, by the weights of the last layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression

from mlflow_clfaudit.calibration import log_odds
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.architecture import Spec
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.repair.edits import transform_logits
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.registry import LOG_LOSS, Stage, Treated, repairs
from mlflow_clfaudit.repair.script import Script


@repairs("uncalibrated-probabilities", stage=Stage.PROBABILITIES, improves=(LOG_LOSS,))
def probabilities_recalibrated(patient: Patient) -> Treated:
    """Platt scaling for one unit, a temperature for several."""
    tune, width = patient.rows.tune, patient.rows.tune.width
    if patient.head.activation not in ("sigmoid", "softmax") or tune.probabilities is None:
        raise Missing("the model does not give probabilities")
    slope, intercept = _platt(tune) if width == 1 else (_inverse_temperature(tune), 0.0)
    if not slope > 0:
        raise Missing("the probabilities rank the classes the wrong way round")
    offset = np.full(width, intercept)
    model = transform_logits(patient.fresh(), patient.head, slope * np.eye(width), offset)
    words = f"log-odds × {slope:.3g} {intercept:+.3g}" if width == 1 else f"logits divided by {1 / slope:.3g}"

    def patch(script: Script, _: Spec) -> Script:
        scaled = (
            f"probability = expit({slope:.3g} * logit(model.predict(X)[:, 0]) {intercept:+.3g})"
            if width == 1
            else f"probabilities = softmax(np.log(model.predict(X)) / {1 / slope:.3g}, axis=1)"
        )
        return replace(script, after=(*script.after, f"{scaled}  # fitted on validation rows"))

    return Treated(model, f"probabilities recalibrated: {words}", patch)


def _platt(served: Served) -> tuple[float, float]:
    """Slope and intercept of the outcomes on the log-odds of class 1."""
    odds = log_odds(served.outputs[:, 0])[:, None]
    regression = LogisticRegression(C=np.inf, max_iter=1000).fit(odds, served.truth)
    return float(regression.coef_[0, 0]), float(regression.intercept_[0])


def _inverse_temperature(served: Served) -> float:
    """What the logits are to be multiplied by for the least log loss."""
    logits = np.log(np.clip(served.outputs.astype(np.float64), 1e-12, 1.0))
    rows = np.arange(served.rows)

    def loss(exponent: float) -> float:
        return float(-np.mean(special.log_softmax(np.exp(exponent) * logits, axis=1)[rows, served.truth]))

    return float(np.exp(optimize.minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x))
