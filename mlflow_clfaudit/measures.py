"""The statistics that checks and proofs share, each from scipy or scikit-learn."""

from __future__ import annotations

import numpy as np
from scipy import special, stats
from sklearn.metrics import recall_score, roc_auc_score

TINY = 1e-7


def balanced_accuracy(truth: np.ndarray, decision: np.ndarray) -> float:
    """The mean recall over the classes that occur in `truth`; both (N,) integer."""
    present = np.unique(truth)
    return float(recall_score(truth, decision, labels=present, average="macro", zero_division=0))


def mcnemar(before: np.ndarray, after: np.ndarray) -> float:
    """The exact one-sided McNemar p-value that `after` is right more often than `before`; both (N,) bool, paired."""
    gained = int(np.sum(after & ~before))
    lost = int(np.sum(before & ~after))
    if gained + lost == 0:
        return 1.0
    return float(stats.binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue)


def paired_bootstrap(
    truth: np.ndarray, before: np.ndarray, after: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of the gain in balanced accuracy from `before` to `after`, resampled within classes."""
    random = np.random.default_rng(seed)
    gains = np.zeros(resamples)
    present = np.unique(truth)
    for code in present:
        rows = np.flatnonzero(truth == code)
        gain = (after[rows] == code).astype(float) - (before[rows] == code).astype(float)
        counts = random.multinomial(
            len(rows), [np.mean(gain < 0), np.mean(gain == 0), np.mean(gain > 0)], size=resamples
        )
        gains += (counts[:, 2] - counts[:, 0]) / len(rows)
    low, high = np.quantile(gains / len(present), [0.025, 0.975])
    return float(low), float(high)


def accuracy_p_value(truth: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    """The p-value that decisions `after` beat `before`, with every class weighing the same.

    A one-sided z-test on the paired gain in balanced accuracy; exact McNemar where the classes are balanced enough
    for the two to agree on what is tested. Both (N,) integer decisions on the same rows.
    """
    present, counts = np.unique(truth, return_counts=True)
    if counts.max() <= 1.5 * counts.min():
        return mcnemar(before == truth, after == truth)
    mean = variance = 0.0
    for code, rows in zip(present, counts, strict=True):
        chosen = truth == code
        gain = (after[chosen] == code).astype(float) - (before[chosen] == code).astype(float)
        mean += gain.mean() / len(present)
        # One added row of each sign keeps the variance from being zero where every row changes alike.
        spread = np.var(np.append(gain, [1.0, -1.0]))
        variance += spread / rows / len(present) ** 2
    return float(stats.norm.sf(mean / np.sqrt(variance)))


def majority_p_value(correct: int, rows: int, share: float) -> float:
    """The one-sided exact binomial p-value that `correct` of `rows` beats always saying the majority class."""
    return float(stats.binomtest(correct, rows, share, alternative="greater").pvalue)


def area_under_curve(truth: np.ndarray, scores: np.ndarray) -> float | None:
    """ROC AUC of binary scores, or None where only one class occurs."""
    if len(np.unique(truth)) != 2 or not np.all(np.isfinite(scores)):
        return None
    return float(roc_auc_score(truth, scores))


def cross_entropy(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean cross-entropy in nats; `probabilities` (N, K), clipped as Keras clips them."""
    picked = np.clip(probabilities[np.arange(len(truth)), truth], TINY, 1.0)
    return float(-np.mean(np.log(picked)))


def information_ratio(truth: np.ndarray, probabilities: np.ndarray, *, squared: bool = False) -> float | None:
    """U = 1 - loss / loss of the best constant: 1 knows all, 0 only the class shares, below 0 less than that.

    `probabilities` is (N, K). The loss is cross-entropy, or the Brier score where `squared`.
    """
    classes = probabilities.shape[1]
    shares = np.bincount(truth, minlength=classes)[:classes] / len(truth)
    if squared:
        constant = float(np.sum(shares * (1 - shares)))
        actual = float(np.mean(np.sum((probabilities - np.eye(classes)[truth]) ** 2, axis=1)))
    else:
        constant = float(stats.entropy(shares))
        actual = cross_entropy(truth, probabilities)
    return 1.0 - actual / constant if constant > 0 and np.isfinite(actual) else None


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(special.expit(logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.asarray(special.softmax(logits, axis=-1))
