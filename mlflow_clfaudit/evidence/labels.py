"""The labels of every split: those that the run carries, cut as Keras cuts them and numbered by one scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.classes import ClassList, best
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.run import Run

LOG_LABELS = 'mlflow_clfaudit.log_labels(y, split="validation")'


@dataclass(frozen=True)
class Labels:
    """Labels by split. `whole` are the labels handed to fit() before Keras cut its validation slice off, if it did."""

    splits: Mapping[str, LabelSet]
    whole: LabelSet | None = None
    names: tuple[str, ...] | None = None

    @property
    def train(self) -> LabelSet | None:
        return self.splits.get("train")

    @property
    def validation(self) -> LabelSet | None:
        return self.splits.get("validation")

    @property
    def test(self) -> LabelSet | None:
        return self.splits.get("test")

    @cached_property
    def classes(self) -> np.ndarray:
        """The distinct codes of all splits, sorted."""
        return _united([labels.classes for labels in self.splits.values()])

    def held_out(self) -> Iterator[tuple[str, LabelSet]]:
        """The splits that were not trained on."""
        yield from ((name, labels) for name, labels in self.splits.items() if name != "train")


@provides()
def labels(
    label_files: Mapping[str, LabelSet],
    run: Run,
    fit: FitArguments,
    class_lists: tuple[ClassList, ...] | None = None,
) -> Labels:
    """The labels of each split; the validation slice is cut off the training labels as Keras does it."""
    splits = dict(label_files)
    whole = splits.pop("whole", None)
    if whole is not None and "train" not in splits:
        splits["train"] = whole
    if not splits:
        raise Missing("the run has no labels among its artifacts", LOG_LABELS)
    chosen = best(class_lists or ())
    scale = _scale(splits, chosen)
    splits = {name: replace(item, scale=scale) for name, item in splits.items()}
    names = chosen.names if chosen is not None else None
    cut = _keras_cut(splits, run, fit)
    if cut is None:
        return Labels(splits, None, names)
    given = splits["train"]
    return Labels(
        splits
        | {
            "train": given.slice(0, cut, f"first {cut} rows"),
            "validation": given.slice(cut, given.rows, f"last {given.rows - cut} rows"),
        },
        whole=given,
        names=names,
    )


@provides()
def train_labels(labels: Labels) -> LabelSet:
    """The labels that were trained on."""
    if labels.train is None:
        raise Missing(
            "the run has no train labels", 'np.save("y_train.npy", y_train); mlflow.log_artifact("y_train.npy", "data")'
        )
    return labels.train


def _united(classes: list[np.ndarray]) -> np.ndarray:
    if len({array.dtype.kind in "US" for array in classes}) > 1:
        classes = [array.astype(str) for array in classes]
    return np.unique(np.concatenate(classes)) if classes else np.array([], dtype=np.int64)


def _scale(splits: Mapping[str, LabelSet], chosen: ClassList | None) -> np.ndarray | None:
    """The classes of all splits in the order of their codes: the encoder's where it knows them all, else sorted."""
    texts = [item for item in splits.values() if item.form == "string"]
    numbers = [item for item in splits.values() if item.form in ("integer", "boolean") and not item.has_missing]
    if len(texts) == len(splits):
        classes = _united([item.classes for item in texts])
        if chosen is not None and chosen.is_encoder and set(classes.tolist()) <= set(chosen.names):
            return np.array(chosen.names)
        return classes
    if len(numbers) != len(splits):
        return None
    most = max((item.classes for item in numbers), key=len)
    # Numbers of another scale, such as 1 and 2 beside 0 and 1, are not further classes.
    return most if all(np.isin(item.classes, most).all() for item in numbers) else None


def _keras_cut(splits: Mapping[str, LabelSet], run: Run, fit: FitArguments) -> int | None:
    """Where Keras cut the validation slice: floor(N·(1-f)), before any shuffling (array_slicing.py)."""
    given_validation = any(dataset.context == "eval" for dataset in run.datasets)
    if not 0.0 < fit.validation_split < 1.0 or given_validation:
        return None
    if "train" not in splits or "validation" in splits:
        return None
    rows = splits["train"].rows
    cut = int(rows * (1.0 - fit.validation_split))
    return cut if 0 < cut < rows else None
