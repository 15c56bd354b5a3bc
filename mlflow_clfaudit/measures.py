"""The statistics that checks and proofs share, each from scipy or scikit-learn.

What every audit of labels needs is computed without scipy.stats, whose import alone takes longer than that audit, and
tested against it. For the same reason scikit-learn is imported where it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

TINY = 1e-7


def balanced_accuracy(truth: np.ndarray, decision: np.ndarray) -> float:
    """The mean recall over the classes that occur in `truth`; both (N,) integer."""
    from sklearn.metrics import recall_score

    present = np.unique(truth)
    return float(recall_score(truth, decision, labels=present, average="macro", zero_division=0))


def confusion(truth: np.ndarray, decision: np.ndarray, classes: int) -> list[list[int]]:
    """Rows by true class, then by decided class; both (N,) integer below `classes`."""
    counted = np.bincount(truth * classes + decision, minlength=classes * classes)
    return [[int(rows) for rows in line] for line in counted.reshape(classes, classes)]


def mcnemar(before: np.ndarray, after: np.ndarray) -> float:
    """The exact one-sided McNemar p-value that `after` is right more often than `before`; both (N,) bool, paired."""
    gained = int(np.sum(after & ~before))
    lost = int(np.sum(before & ~after))
    if gained + lost == 0:
        return 1.0
    return float(scipy.stats.binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue)


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
    return float(scipy.stats.norm.sf(mean / np.sqrt(variance)))


def majority_p_value(correct: int, rows: int, share: float) -> float:
    """The one-sided exact binomial p-value that `correct` of `rows` beats always saying the majority class."""
    return float(scipy.special.bdtrc(correct - 1, rows, share))


def area_under_curve(truth: np.ndarray, scores: np.ndarray) -> float | None:
    """ROC AUC of binary scores, or None where only one class occurs."""
    from sklearn.metrics import roc_auc_score

    if len(np.unique(truth)) != 2 or not np.all(np.isfinite(scores)):
        return None
    return float(roc_auc_score(truth, scores))


def cross_entropy(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean cross-entropy in nats; `probabilities` (N, K), clipped as Keras clips them."""
    return float(np.mean(log_losses(truth, probabilities)))


def log_losses(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The cross-entropy of each row in nats, (N,)."""
    return np.asarray(-np.log(np.clip(probabilities[np.arange(len(truth)), truth], TINY, 1.0)))


def information_p_value(truth: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    """The p-value that probabilities `after` (N, K) say more than `before`: a one-sided paired t-test on log losses.

    Diebold and Mariano's comparison of forecasts (1995), for independent rows.
    """
    gains = log_losses(truth, before) - log_losses(truth, after)
    if np.ptp(gains) == 0:
        return float(gains[0] <= 0)
    return float(scipy.stats.ttest_1samp(gains, 0.0, alternative="greater").pvalue)


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
        constant = float(scipy.stats.entropy(shares))
        actual = cross_entropy(truth, probabilities)
    return 1.0 - actual / constant if constant > 0 and np.isfinite(actual) else None


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.special.expit(logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.special.softmax(logits, axis=-1))


@dataclass(frozen=True)
class Shift:
    """How the class shares of two samples differ: the permutation G-test and the sizes of the effect.

    `expected` is the total variation that a random split of these sizes shows on average, `ratio` the largest factor
    by which the share of a class that one sample holds at 2 % or more differs (inf where the other has none of it).
    """

    p_value: float
    variation: float
    expected: float
    cramer: float
    ratio: float
    minimum_expected: float

    def is_large(self, *, significance: float, floor: float, multiple: float) -> bool:
        """Both improbable and large: p below `significance` and a total variation that sampling does not give."""
        return self.p_value < significance and self.variation >= max(floor, multiple * self.expected)


def class_shift(
    first: np.ndarray, second: np.ndarray, *, resamples: int = 4000, seed: int = 0, common: float = 0.02
) -> Shift:
    """Compare the class counts (K,) of two samples.

    The p-value is the G-test's where every expected count is at least 5, else that of the same statistic under random
    re-splits of the pooled rows, which is what a random split does.
    """
    table = np.vstack([first, second]).astype(np.int64)
    table = table[:, table.sum(axis=0) > 0]
    sizes, totals = table.sum(axis=1), table.sum(axis=0)
    shares = table / sizes[:, None]
    pooled = totals / totals.sum()
    expected = np.outer(sizes, totals) / totals.sum()
    statistic = _g_statistic(table[0], table[1], expected)
    degrees = table.shape[1] - 1
    if degrees == 0:
        return Shift(1.0, 0.0, 0.0, 0.0, 1.0, float(expected.min()))
    if expected.min() >= 5:
        p_value = float(scipy.special.chdtrc(degrees, statistic))
    else:
        random = np.random.default_rng(seed)
        drawn = random.multivariate_hypergeometric(totals, int(sizes[1]), size=resamples, method="marginals")
        null = _g_statistic(totals - drawn, drawn, expected)
        p_value = float((1 + np.sum(null >= statistic - 1e-9)) / (resamples + 1))
    ratios = [float(max(a, b) / min(a, b)) if min(a, b) > 0 else np.inf for a, b in shares.T if max(a, b) >= common]
    return Shift(
        p_value=p_value,
        variation=float(np.abs(shares[0] - shares[1]).sum() / 2),
        expected=float(np.sqrt(2 / np.pi) / 2 * np.sum(np.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1])))),
        cramer=float(np.sqrt(np.sum((table - expected) ** 2 / expected) / totals.sum())),
        ratio=max(ratios, default=1.0),
        minimum_expected=float(expected.min()),
    )


def _g_statistic(first: np.ndarray, second: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """2 Σ observed · ln(observed / expected) over the classes; the counts are (K,) or (resamples, K)."""
    halves = scipy.special.rel_entr(first, expected[0]) + scipy.special.rel_entr(second, expected[1])
    return np.asarray(2 * halves.sum(axis=-1))


def runs_test(codes: np.ndarray) -> float:
    """The z of the multinomial Wald–Wolfowitz runs test: far below 0 for sorted rows, above it for alternating ones."""
    rows = len(codes)
    _, counts = np.unique(codes, return_counts=True)
    if len(counts) < 2 or rows < 3:
        return 0.0
    runs = 1 + int(np.sum(codes[1:] != codes[:-1]))
    n, squares, cubes = float(rows), float(np.sum(counts.astype(float) ** 2)), float(np.sum(counts.astype(float) ** 3))
    mean = (n * (n + 1) - squares) / n
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
    return float((runs - mean) / np.sqrt(variance)) if variance > 0 else 0.0


def chance_of_absence(rows: int, members: int, drawn: int) -> float:
    """The chance that a random sample of `drawn` of `rows` rows holds none of a class with `members` rows."""
    return float(scipy.stats.hypergeom.pmf(0, rows, members, drawn))


def share_interval(count: int, rows: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share (Wilson 1927)."""
    z, share = float(scipy.special.ndtri(0.975)), count / rows
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def adjusted(p_values: Sequence[float]) -> np.ndarray:
    """Benjamini–Hochberg adjusted p-values."""
    order = np.argsort(p_values)
    stepped = np.asarray(p_values, dtype=float)[order] * len(order) / np.arange(1, len(order) + 1)
    raised = np.minimum.accumulate(stepped[::-1])[::-1]
    return np.asarray(np.minimum(raised, 1.0)[np.argsort(order)])


def area_interval(truth: np.ndarray, scores: np.ndarray, *, level: float = 0.95) -> tuple[float, float, float]:
    """ROC AUC and its DeLong interval, for binary `truth` (N,) and finite `scores` (N,).

    The fast form by midranks (Sun and Xu 2014); neither scipy nor scikit-learn has it.
    """
    positives, negatives = scores[truth == 1], scores[truth == 0]
    m, n = len(positives), len(negatives)
    joint = scipy.stats.rankdata(np.concatenate([positives, negatives]))
    area = float((joint[:m].sum() - m * (m + 1) / 2) / (m * n))
    above = (joint[:m] - scipy.stats.rankdata(positives)) / n
    below = 1 - (joint[m:] - scipy.stats.rankdata(negatives)) / m
    variance = (np.var(above, ddof=1) / m if m > 1 else 0.25) + (np.var(below, ddof=1) / n if n > 1 else 0.25)
    half = float(scipy.stats.norm.ppf((1 + level) / 2) * np.sqrt(variance))
    return area, max(area - half, 0.0), min(area + half, 1.0)


def common_denominators(shares: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which `sizes` n (S,) make every share (E,) a fraction k/n, to the rounding of float32: (S,) bool."""
    shares, sizes = np.unique(shares[np.isfinite(shares)]), np.asarray(sizes, dtype=np.float64)
    fits = np.ones(len(sizes), dtype=bool)
    for share in shares:
        counted = share * sizes
        fits &= np.abs(counted - np.round(counted)) <= 1e-9 + counted * 2.0**-24
    return fits
