"""Keras's losses by formula, on numpy arrays: what rows cost, and which of them have no gradient."""

from __future__ import annotations

import numpy as np
import scipy

from mlflow_clfaudit.evidence.architecture import Head, Loss
from mlflow_clfaudit.evidence.history import History

EPSILON = 1e-7


def clipped(outputs: np.ndarray) -> np.ndarray:
    """Where Keras's cross-entropies clip an output, so that it has no gradient; same shape, bool."""
    return np.asarray((outputs <= EPSILON) | (outputs >= 1.0 - EPSILON))


def without_gradient(loss: Loss, outputs: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that a cross-entropy of probabilities gives no gradient, and those of them that are wrong.

    Args:
        loss: one of Keras's cross-entropies with from_logits=False.
        outputs: (N, C) as served.
        truth: (N,) class indices.

    Returns:
        two (N,) bool arrays; a row of the second one can never be learnt from.
    """
    rows = np.arange(len(truth))
    if outputs.shape[1] == 1:
        column = outputs[:, 0]
        dead = clipped(column)
        return dead, np.asarray(dead & ((column > 0.5) != (truth == 1)))
    if loss.is_binary:
        targets = np.eye(outputs.shape[1], dtype=bool)[truth]
        each = clipped(outputs)
        dead = np.asarray(each.all(axis=1))
        return dead, np.asarray(dead & ((outputs > 0.5) != targets).any(axis=1))
    if loss.is_sparse:
        dead = np.asarray(clipped(outputs).all(axis=1))
        return dead, np.asarray(dead & (np.argmax(outputs, axis=1) != truth))
    totals = outputs.sum(axis=1)
    share = np.divide(outputs[rows, truth], totals, out=np.zeros(len(rows)), where=totals != 0)
    return clipped(share), np.asarray(share <= EPSILON)


def binary_crossentropy(targets: np.ndarray, outputs: np.ndarray) -> float:
    """Mean binary cross-entropy of probabilities, clipped as Keras clips them; targets need not lie in [0, 1]."""
    # In float32, as Keras clips: 1 - 1e-7 is then 1 - 1.19e-7.
    given = np.clip(outputs.astype(np.float32), np.float32(EPSILON), np.float32(1.0 - EPSILON)).astype(np.float64)
    return float(np.mean(-(targets * np.log(given) + (1.0 - targets) * np.log1p(-given))))


def binary_crossentropy_of_logits(targets: np.ndarray, logits: np.ndarray) -> float:
    """Mean binary cross-entropy of logits; targets need not lie in [0, 1]."""
    wide = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, wide) - targets * wide))


def unlike(loss: Loss, targets: np.ndarray, outputs: np.ndarray) -> float | None:
    """The mean loss of targets and outputs as NumPy broadcasts them, for losses that broadcast; None for others."""
    truth, given = targets.astype(np.float64), outputs.astype(np.float64)
    error = given - truth
    match loss.name if loss.known else "":
        case "mean_squared_error":
            return float(np.mean(error**2))
        case "mean_absolute_error":
            return float(np.mean(np.abs(error)))
        case "huber":
            delta = float(loss.options.get("delta", 1.0))
            small = np.minimum(np.abs(error), delta)
            return float(np.mean(0.5 * small**2 + delta * (np.abs(error) - small)))
        case "log_cosh":
            return float(np.mean(np.logaddexp(error, -error) - np.log(2.0)))
        case "hinge" | "squared_hinge":
            # Keras itself takes labels 0 and 1 for -1 and 1, batch by batch.
            signed = 2.0 * truth - 1.0 if np.all((truth == 0) | (truth == 1)) else truth
            margin = np.maximum(1.0 - signed * given, 0.0)
            return float(np.mean(margin if loss.name == "hinge" else margin**2))
        case "poisson":
            return float(np.mean(given - truth * np.log(given + EPSILON)))
    return None


def entropy(shares: np.ndarray) -> float:
    """The cross-entropy, in nats, of the best constant prediction for classes of these shares (K,)."""
    return float(np.sum(scipy.special.entr(shares)))


def logged(history: History | None, head: Head) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The logged loss of this head by epoch on training and on validation rows, each (E,) or None.

    A model with several outputs logs one curve for each of them beside their sum.
    """
    if history is None:
        return None, None
    own = next((name for name in (head.key, head.name) if name and f"{name}_loss" in history.train), None)
    if own is None:
        return history.loss, history.validation_loss
    return history.train[f"{own}_loss"], history.validation.get(f"{own}_loss")


def lowest(*curves: np.ndarray | None) -> float | None:
    """The lowest finite value of all curves, None where there is none."""
    values = [curve[np.isfinite(curve)] for curve in curves if curve is not None]
    return min((float(finite.min()) for finite in values if len(finite)), default=None)
