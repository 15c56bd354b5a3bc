"""Before and after on the same rows, with 95 % intervals: a bootstrap within classes that keeps rows in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.measures import TINY
from mlflow_clfaudit.repair.registry import BALANCED_ACCURACY, LOG_LOSS

ACCURACY = "accuracy"
RESAMPLES = 1_000
LESS_IS_BETTER = (LOG_LOSS,)
# Of the log loss of the class shares: what probabilities that know nothing else come near by chance.
INFORMED = 0.99


@dataclass(frozen=True)
class Estimate:
    """A measured value and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Comparison:
    """Measures by name of two models on the same rows; `gain` is positive where the second one is better.

    `constant` is the log loss of the class shares as probabilities of every row.
    """

    rows: int
    before: Mapping[str, Estimate]
    after: Mapping[str, Estimate]
    gain: Mapping[str, Estimate]
    constant: float = 0.0

    def improves(self, names: tuple[str, ...]) -> bool:
        """Whether one of these is better beyond its interval, and no decision has become worse beyond its own."""
        return any(map(self.is_better, names)) and self.gain[BALANCED_ACCURACY].high >= 0

    def is_better(self, name: str) -> bool:
        """Whether the measure is better beyond its interval; a log loss only where it is also below a constant's.

        Probabilities that know no more than the class shares are no repair of worse ones.
        """
        if name not in self.gain or not self.gain[name].low > 0:
            return False
        return name != LOG_LOSS or self.after[name].high < INFORMED * self.constant

    def telling(self, names: tuple[str, ...]) -> str:
        """Of these measures, the first that improved, or else the first that could be taken."""
        found = [name for name in names if name in self.gain]
        return next(filter(self.is_better, found), found[0] if found else BALANCED_ACCURACY)


def compare(before: Served, after: Served, *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Balanced accuracy, accuracy and, where both give probabilities, log loss; `before` and `after` row by row."""
    truth = before.truth
    losses = [row_losses(served) for served in (before, after)]
    columns = [(served.decision == truth).astype(np.float64) for served in (before, after)]
    if losses[0] is not None and losses[1] is not None:
        columns += [losses[0], losses[1]]
    values = np.column_stack(columns)
    random = np.random.default_rng(seed)
    present, counts = np.unique(truth, return_counts=True)
    # Means of every column by class: as measured in the first place, then resampled.
    means = np.empty((len(present), 1 + resamples, values.shape[1]))
    for place, (code, rows) in enumerate(zip(present, counts, strict=True)):
        own = values[truth == code]
        drawn = random.multinomial(rows, np.full(rows, 1 / rows), size=resamples)
        means[place] = np.vstack([own.mean(axis=0), drawn @ own / rows])
    of_rows = np.tensordot(counts / counts.sum(), means, axes=1)
    of_classes = means.mean(axis=0)
    pairs = {BALANCED_ACCURACY: of_classes[:, :2], ACCURACY: of_rows[:, :2]}
    if values.shape[1] == 4:
        pairs[LOG_LOSS] = of_rows[:, 2:]
    sign = {name: -1.0 if name in LESS_IS_BETTER else 1.0 for name in pairs}
    return Comparison(
        rows=len(truth),
        before={name: _estimate(pair[:, 0]) for name, pair in pairs.items()},
        after={name: _estimate(pair[:, 1]) for name, pair in pairs.items()},
        gain={name: _estimate(sign[name] * (pair[:, 1] - pair[:, 0])) for name, pair in pairs.items()},
        constant=float(stats.entropy(counts)),
    )


def row_losses(served: Served) -> np.ndarray | None:
    """The log loss of every row, (N,); None where the outputs are no probabilities of every class."""
    probabilities = served.probabilities
    if probabilities is None or not np.all(np.isfinite(probabilities)) or served.truth.max() >= probabilities.shape[1]:
        return None
    return np.asarray(-np.log(np.clip(probabilities[np.arange(served.rows), served.truth], TINY, 1.0)))


def _estimate(values: np.ndarray) -> Estimate:
    """What was measured, the first value, with the quantiles of the resampled others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return Estimate(float(values[0]), float(low), float(high))
