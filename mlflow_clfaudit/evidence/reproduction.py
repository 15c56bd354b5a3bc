"""Whether the logged rows and the saved weights give the validation loss that was logged, and at which epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.compiled import Compiled
from mlflow_clfaudit.evidence.history import LOG_HISTORY, History
from mlflow_clfaudit.evidence.inputs import Rows, Transform, count
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.transforms import before_fit
from mlflow_clfaudit.types import Tier

# The tolerance of an equality in float32 on one device, and the gap above which other hardware is no excuse.
EXACT = 1e-4
CONTRADICTS = 0.02
TINY_LOSS = 1e-6
MAX_TRANSFORMED_ROWS = 200_000


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
def reproduction(compiled: Compiled, logged_rows: Mapping[str, Rows], history: History) -> Reproduction:
    """The validation loss computed anew; of the validation rows, or of the test rows where those are not logged."""
    logged = history.validation_loss
    if logged is None or not np.any(np.isfinite(logged)):
        raise Missing("the run logged no validation loss", LOG_HISTORY)
    whole = [split for split in ("validation", "test") if split in logged_rows and not logged_rows[split].sampled]
    if not whole:
        raise Missing("the run has no held-out inputs with labels", 'mlflow.log_artifact("X_val.npy", "data")')
    found = [evaluated(compiled, logged_rows[split], logged) for split in whole]
    return min(found, key=lambda item: (not item.is_exact, item.split != "validation"))


@provides(tier=Tier.FORWARD)
def transformed(
    compiled: Compiled, logged_rows: Mapping[str, Rows], reproduction: Reproduction
) -> tuple[Reproduction, Transform]:
    """The reproduction with the one input transform that restores the logged loss; Missing if none does."""
    if not reproduction.contradicts:
        raise Missing("the logged inputs give the logged loss as they are")
    held_out = logged_rows[reproduction.split]
    if isinstance(held_out.inputs, dict):
        raise Missing("transforms of several inputs are not searched")
    train = logged_rows["train"].inputs if "train" in logged_rows else None
    if (train is not None and count(train) > MAX_TRANSFORMED_ROWS) or held_out.count > MAX_TRANSFORMED_ROWS:
        raise Missing("the inputs are too many rows to try transforms on")
    for name, change in before_fit(np.asarray(held_out.inputs), None if train is None else np.asarray(train)):
        try:
            changed = replace(held_out, inputs=change(np.asarray(held_out.inputs)))
            found = evaluated(compiled, changed, reproduction.logged, name)
        except Missing:
            continue
        if found.is_exact:
            return found, change
    raise Missing("no known transform of the inputs gives the logged loss")


@provides(tier=Tier.FORWARD)
def input_transform(transformed: tuple[Reproduction, Transform]) -> Transform:
    """What the author did to the inputs between the arrays that were logged and fit()."""
    return transformed[1]


def evaluated(compiled: Compiled, rows: Rows, logged: np.ndarray, transform: str | None = None) -> Reproduction:
    """The loss of these rows, with the labels as they were logged or as the class indices that fit() may have seen."""
    found, problem = [], Missing("the rows have no labels")
    for labels in _label_forms(rows.labels, compiled.width):
        try:
            values = compiled.evaluate(rows.inputs, labels)
        except Missing as missing:
            problem = missing
            continue
        loss = values.get("loss", float("nan"))
        found.append(Reproduction(rows.split, rows.count, loss, values, logged, transform))
        if found[-1].is_exact:
            break
    if not found:
        raise problem
    return min(found, key=lambda item: item.gap)


def _label_forms(labels: LabelSet, width: int | None) -> Iterator[np.ndarray]:
    """The labels as they were logged, as class indices, and as rows of indicators."""
    if labels.values.dtype.kind in "fiub":
        yield labels.values[:, None] if labels.column else labels.values
    if labels.values.ndim == 1 and labels.is_single_label and not labels.has_missing:
        indices, classes = labels.units
        yield indices
        if width is not None and width > 1 and classes <= width:
            yield np.eye(width, dtype=np.float32)[indices]
