"""Whether probabilities are what they say, and what recalibrating them would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from mlflow_clfaudit.measures import TINY


@dataclass(frozen=True)
class Recalibration:
    """Slope and intercept of the logistic regression of outcomes on log-odds, with 99 % intervals."""

    slope: float
    slope_low: float
    slope_high: float
    intercept: float
    intercept_low: float
    intercept_high: float


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """The log-odds of probabilities, clipped as float32 rounds them."""
    return np.asarray(scipy.special.logit(np.clip(probabilities.astype(np.float64), TINY, 1 - TINY)))


def recalibration(outcomes: np.ndarray, probabilities: np.ndarray) -> Recalibration | None:
    """Calibration slope and intercept, with Wald intervals; None where the outcomes are all alike or separated.

    The intercept is that at slope 1, calibration in the large, from the ratio of observed to expected outcomes.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(outcomes)) < 2:
        return None
    odds = log_odds(probabilities)
    model = LogisticRegression(C=np.inf, max_iter=1000).fit(odds[:, None], outcomes)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    fitted = scipy.special.expit(intercept + slope * odds)
    weights = fitted * (1 - fitted)
    information = np.array([[weights.sum(), (weights * odds).sum()], [0.0, (weights * odds**2).sum()]])
    information[1, 0] = information[0, 1]
    if not np.isfinite(slope) or np.linalg.matrix_rank(information) < 2:
        return None
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    width = float(scipy.stats.norm.ppf(0.995))
    rate, expected = (float(np.mean(values)) for values in (outcomes, probabilities))
    if not 0 < expected < 1:
        return None
    large = float(scipy.special.logit(rate) - scipy.special.logit(expected))
    large_error = 1 / np.sqrt(len(outcomes) * rate * (1 - rate))
    return Recalibration(
        slope,
        slope - width * errors[1],
        slope + width * errors[1],
        large,
        large - width * large_error,
        large + width * large_error,
    )


def confidence(truth: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N,) and what they are of (N,) bool: of class 1 for two classes, of the decision for more.

    Args:
        truth: class indices, (N,) int.
        probabilities: of every class, (N, K).
    """
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], truth == 1
    decision = np.argmax(probabilities, axis=1)
    return probabilities[np.arange(len(truth)), decision], truth == decision


def cross_fitted_recalibration(outcomes: np.ndarray, probabilities: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Probabilities (N,) recalibrated by Platt scaling fitted on the other half of the rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    odds, corrected = log_odds(probabilities)[:, None], np.array(probabilities, dtype=np.float64)
    for learn, judge in StratifiedKFold(2, shuffle=True, random_state=seed).split(odds, outcomes):
        model = LogisticRegression(C=np.inf, max_iter=1000).fit(odds[learn], outcomes[learn])
        corrected[judge] = model.predict_proba(odds[judge])[:, 1]
    return corrected


def row_losses(outcomes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The log loss of every row, (N,)."""
    return np.asarray(-np.log(np.clip(np.where(outcomes, probabilities, 1 - probabilities), TINY, 1.0)))


def reliability(outcomes: np.ndarray, probabilities: np.ndarray, *, bins: int = 15) -> list[list[float]]:
    """The reliability diagram over bins of equal counts: [mean probability, share of outcomes, rows] by bin."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [[float(probabilities[part].mean()), float(outcomes[part].mean()), float(len(part))] for part in parts]


def calibration_excess(
    outcomes: np.ndarray, probabilities: np.ndarray, *, bins: int = 15, resamples: int = 200, seed: int = 0
) -> float:
    """Expected calibration error over 15 equal bins, less what calibrated probabilities of this size show."""
    random = np.random.default_rng(seed)
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    sorted_probabilities = probabilities[order].astype(np.float64)
    expected = np.add.reduceat(sorted_probabilities, starts)

    def error(drawn: np.ndarray) -> float:
        return float(np.abs(np.add.reduceat(drawn.astype(np.float64), starts) - expected).sum() / len(order))

    null = [error(random.uniform(size=len(order)) < sorted_probabilities) for _ in range(resamples)]
    return error(outcomes[order]) - float(np.mean(null))
