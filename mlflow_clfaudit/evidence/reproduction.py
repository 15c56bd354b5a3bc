"""Whether the logged rows and the saved weights give the validation loss that was logged, and at which epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.forward import Compiled
from mlflow_clfaudit.evidence.history import LOG_HISTORY, History
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.types import Tier

# The tolerance of an equality in float32 on one device, and the gap above which other hardware is no excuse.
EXACT = 1e-4
CONTRADICTS = 0.02
TINY_LOSS = 1e-6


@dataclass(frozen=True)
class Reproduction:
    """The compiled loss of one split's rows with the saved weights, beside the logged validation losses (E,)."""

    split: str
    rows: int
    loss: float
    metrics: Mapping[str, float]
    logged: np.ndarray
    transform: str | None = None

    @cached_property
    def epoch(self) -> int:
        """The epoch, counted from 0, whose logged validation loss comes nearest."""
        distances = np.abs(self.logged - self.loss) if np.isfinite(self.loss) else np.isfinite(self.logged)
        return int(np.argmin(np.where(np.isnan(distances), np.inf, distances)))

    @property
    def gap(self) -> float:
        """The relative distance to the nearest logged validation loss; inf where one of the two is not finite."""
        nearest = float(self.logged[self.epoch])
        if not np.isfinite(self.loss) and not np.isfinite(nearest):
            return 0.0
        distance = abs(nearest - self.loss)
        return distance / max(abs(nearest), TINY_LOSS / EXACT) if np.isfinite(self.loss) else np.inf

    @property
    def is_exact(self) -> bool:
        return self.gap <= EXACT

    @property
    def contradicts(self) -> bool:
        """Whether no logged epoch can have had this loss on these rows."""
        return self.gap > CONTRADICTS


@provides(tier=Tier.FORWARD)
def reproduction(compiled: Compiled, rows: Mapping[str, Rows], history: History) -> Reproduction:
    """The validation loss computed anew; of the validation rows, or of the test rows where those are not logged."""
    logged = history.validation_loss
    if logged is None or not np.any(np.isfinite(logged)):
        raise Missing("the run logged no validation loss", LOG_HISTORY)
    exact = [split for split in ("validation", "test") if split in rows and not rows[split].sampled]
    found = [_evaluated(compiled, split, rows[split], logged) for split in exact]
    if not found:
        raise Missing("the run has no held-out inputs with labels", 'mlflow.log_artifact("X_val.npy", "data")')
    return min(found, key=lambda item: (not item.is_exact, item.split != "validation"))


@provides(tier=Tier.FORWARD)
def transformed(compiled: Compiled, rows: Mapping[str, Rows], reproduction: Reproduction) -> Reproduction:
    """The reproduction with the one input transform that restores the logged validation loss; Missing if none does."""
    if reproduction.split not in rows or not reproduction.contradicts:
        raise Missing("the logged inputs give the logged loss as they are")
    held_out = rows[reproduction.split]
    if isinstance(held_out.inputs, dict):
        raise Missing("transforms of several inputs are not searched")
    train = rows["train"].inputs if "train" in rows else None
    for name, change in transforms(np.asarray(held_out.inputs), train):
        changed = Rows(held_out.split, change(), held_out.labels, held_out.held_out)
        try:
            found = _evaluated(compiled, reproduction.split, changed, reproduction.logged, name)
        except Missing:
            continue
        if found.is_exact:
            return found
    raise Missing("no known transform of the inputs gives the logged loss")


def transforms(inputs: np.ndarray, train: Any) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """What people do to inputs before fit(), by name, as functions that apply it to the held-out rows (N, …)."""
    if inputs.dtype.kind not in "fiub":
        return
    values = inputs.astype(np.float32)
    yield "x / 255", lambda: values / 255
    yield "x / 127.5 - 1", lambda: values / 127.5 - 1
    yield "x * 255", lambda: values * 255
    if train is not None and train.shape[1:] == inputs.shape[1:]:
        yield from _fitted(values, np.asarray(train, dtype=np.float32))
    if values.ndim == 2:
        norms = np.linalg.norm(values, axis=1, keepdims=True)
        yield "rows scaled to length 1", lambda: values / np.where(norms > 0, norms, 1)
    if values.ndim == 4:
        yield "channels moved last", lambda: np.moveaxis(values, 1, -1)
        yield "channels moved first", lambda: np.moveaxis(values, -1, 1)
        if values.shape[-1] == 3:
            yield "RGB to BGR", lambda: values[..., ::-1]
    yield "rounded to float16", lambda: values.astype(np.float16).astype(np.float32)


def between(inputs: np.ndarray, train: np.ndarray) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """What maps held-out inputs (N, …) onto training inputs that were given another scale."""
    if inputs.dtype.kind not in "fiub":
        return
    values, reference = inputs.astype(np.float32), np.asarray(train, dtype=np.float64)
    yield "x / 255", lambda: values / 255
    yield "x * 255", lambda: values * 255
    yield "x / 127.5 - 1", lambda: values / 127.5 - 1
    yield "(x + 1) * 127.5", lambda: (values + 1) * 127.5
    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    standard = _scaled(values, mean, deviation)
    yield (
        "mean and deviation of the training rows",
        lambda: np.asarray(standard * reference.std(axis=0) + reference.mean(axis=0), dtype=np.float32),
    )


def _fitted(values: np.ndarray, train: np.ndarray) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Scalings whose constants come from the training rows, from these rows, or from both."""
    both = np.concatenate([train, values])
    for name, reference in (("training", train), ("held-out", values), ("all", both)):
        mean, deviation = reference.mean(axis=0, dtype=np.float64), reference.std(axis=0, dtype=np.float64)
        low, high = reference.min(axis=0).astype(np.float64), reference.max(axis=0).astype(np.float64)
        yield f"z-scores by the {name} rows", partial(_scaled, values, mean, deviation)
        yield f"min-max by the {name} rows", partial(_scaled, values, low, high - low)
    yield "one z-score for all columns", partial(_scaled, values, train.mean(dtype=float), train.std(dtype=float))
    yield "less the mean of the training rows", partial(_scaled, values, train.mean(axis=0), np.float64(1))


def _scaled(values: np.ndarray, offset: Any, scale: Any) -> np.ndarray:
    return np.asarray((values - offset) / np.where(scale > 0, scale, 1.0), dtype=np.float32)


def _evaluated(
    compiled: Compiled, split: str, rows: Rows, logged: np.ndarray, transform: str | None = None
) -> Reproduction:
    found = compiled.evaluate(rows.inputs, rows.labels.values)
    return Reproduction(split, rows.count, found.get("loss", float("nan")), found, logged, transform)
