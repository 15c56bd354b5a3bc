"""How the rows were split: the classes of every split on one scale, the slice that Keras cut, the design behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.files import SPLIT_WORDS, SUFFIXES
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.inputs import Inputs, RowHashes, count
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import LOG_LABELS, Labels
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.spec import Loss
from mlflow_clfaudit.evidence.tables import read

SPLIT_KEY = re.compile(r"split|fold|cross|(^|_)cv($|_)|validation")
DESIGN_WORDS = {
    "temporal": re.compile(r"time|temporal|chrono|date|walk.?forward|out.of.time|oot"),
    "grouped": re.compile(r"group|subject|patient|user|site|leave.one"),
}
GROUP_WORDS = {"group", "groups", "subject", "subjects", "patient", "patients", "user", "users", "site", "sites"}
RESAMPLING = re.compile(r"over-?_?sampl\w*|under-?_?sampl\w*|down-?_?sampl\w*|up-?_?sampl\w*|resampl\w*|smote|adasyn")
MAX_TIME_COLUMNS = 2_000


@dataclass(frozen=True)
class SplitCodes:
    """The class of every row of every split as an index (N,) into `classes`, the same list for all of them."""

    codes: Mapping[str, np.ndarray]
    classes: np.ndarray

    def counts(self, split: str) -> np.ndarray:
        """Rows by class, (K,)."""
        return np.bincount(self.codes[split], minlength=len(self.classes))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every two splits, in the order train, validation, test."""
        order = [name for name in ("train", "validation", "test") if name in self.codes]
        yield from combinations(order, 2)


@dataclass(frozen=True)
class Comparison:
    """Two splits and how their class shares differ; `p_value` is adjusted for all comparisons of the run."""

    first: str
    second: str
    shift: measures.Shift
    p_value: float


@dataclass(frozen=True)
class KerasCut:
    """The rows as fit() was given them: class indices (N,) in order, of which Keras trained on the first `cut`."""

    codes: np.ndarray
    cut: int
    fraction: float

    @property
    def held_out(self) -> int:
        return len(self.codes) - self.cut


@provides()
def split_codes(labels: Labels, loss: Loss | None = None) -> SplitCodes:
    """The splits' classes on one scale; Missing where their labels are written in ways that cannot be compared.

    Rows whose label the loss ignores are left out.
    """
    usable = {name: values for name, given in labels.splits.items() if (values := _values(given)) is not None}
    ignored = loss.options.get("ignore_class") if loss is not None else None
    if ignored is not None:
        usable = {name: values[values != ignored] for name, values in usable.items()}
    usable = {name: values for name, values in usable.items() if len(values)}
    if not usable:
        forms = ", ".join(f"{name}: {given.form}" for name, given in labels.splits.items())
        raise Missing(f"no labels with one class a row ({forms})", LOG_LABELS)
    texts = {values.dtype.kind in "US" for values in usable.values()}
    if len(texts) > 1:
        raise Missing("the labels of one split are text and of another numbers")
    if labels.whole is None and not _same_scale(labels, usable):
        raise Missing("the labels of the splits are encoded differently")
    classes = np.unique(np.concatenate([np.unique(values) for values in usable.values()]))
    rows = sum(len(values) for values in usable.values())
    if len(classes) > max(2, rows / 3):
        raise Missing(f"{len(classes)} classes among {rows} rows: these are not class labels")
    return SplitCodes({name: np.searchsorted(classes, values) for name, values in usable.items()}, classes)


@provides()
def split_comparisons(split_codes: SplitCodes) -> tuple[Comparison, ...]:
    """Every two splits compared; Missing where there is one split only."""
    pairs = list(split_codes.pairs())
    if not pairs:
        raise Missing("the run has the labels of one split only", LOG_LABELS)
    shifts = [measures.class_shift(split_codes.counts(first), split_codes.counts(second)) for first, second in pairs]
    corrected = measures.adjusted([shift.p_value for shift in shifts])
    return tuple(
        Comparison(first, second, shift, float(p_value))
        for (first, second), shift, p_value in zip(pairs, shifts, corrected, strict=True)
    )


@provides()
def keras_cut(split_codes: SplitCodes, fit: FitArguments, run: Run) -> KerasCut:
    """The slice that Keras cut off the end of the rows, floor(N·(1-f)) on, before any shuffling."""
    fraction = fit.validation_split
    if not 0.0 < fraction < 1.0 or any(dataset.context == "eval" for dataset in run.datasets):
        raise Missing("fit() was not told to cut its validation rows off", "validation_split is a param of the run")
    parts = [split_codes.codes.get(name) for name in ("train", "validation")]
    if parts[0] is None or parts[1] is None:
        raise Missing("the run has no training labels", LOG_LABELS.replace("validation", "train"))
    whole = np.concatenate([parts[0], parts[1]])
    cut = int(len(whole) * (1.0 - fraction))
    if cut != len(parts[0]):
        raise Missing("the logged labels are not the slices that Keras cuts")
    return KerasCut(whole, cut, fraction)


@provides()
def groups(run: Run) -> Mapping[str, np.ndarray]:
    """The group (N,) of every row by split, from artifacts that are named for groups."""
    found: dict[str, np.ndarray] = {}
    for path in run.artifacts:
        words = re.split(r"[^a-z]+", PurePosixPath(path).stem.lower())
        split = next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), None)
        if split is None or not set(words) & GROUP_WORDS or not path.lower().endswith(SUFFIXES):
            continue
        try:
            columns = read(run.fetch(path))
        except Missing:
            continue
        if len(columns) == 1:
            found[split] = np.asarray(next(iter(columns.values()))).reshape(-1)
    if len(found) < 2 or "train" not in found:
        raise Missing("the run has no groups by split", 'mlflow.log_artifact("groups_train.npy", "data")')
    return found


@provides()
def split_design(run: Run, logged_inputs: Inputs | None = None, groups: Mapping[str, np.ndarray] | None = None) -> str:
    """Why the splits may differ by design: temporal or grouped; Missing where nothing says so."""
    for key, value in (*run.params.items(), *run.tags.items()):
        if key.startswith("mlflow.") or not SPLIT_KEY.search(key.lower()):
            continue
        for design, words in DESIGN_WORDS.items():
            if words.search(key.lower()) or words.search(value.lower()):
                return design
    if groups is not None and not any(
        np.isin(held_out, groups["train"]).any() for split, held_out in groups.items() if split != "train"
    ):
        return "grouped"
    if logged_inputs is not None and _continues_in_time(logged_inputs):
        return "temporal"
    raise Missing("nothing says that the split is by time or by group", 'mlflow.log_param("split", "temporal")')


@provides()
def resampling(run: Run, row_hashes: RowHashes | None = None, split_codes: SplitCodes | None = None) -> str:
    """How the training rows were resampled, by the run's params and tags or by the copies among them."""
    for key, value in (*run.params.items(), *run.tags.items()):
        if not key.startswith("mlflow.") and (found := RESAMPLING.search(f"{key} {value}".lower())):
            return found.group()
    if row_hashes is not None and split_codes is not None and _is_oversampled(row_hashes, split_codes):
        return "oversampled"
    raise Missing("nothing says that the training rows were resampled", 'mlflow.log_param("sampling", "oversampled")')


def _is_oversampled(
    row_hashes: RowHashes, split_codes: SplitCodes, *, copied: float = 0.5, unique: float = 0.1
) -> bool:
    """Whether most training rows of one class are copies of each other while those of another class are not."""
    codes = split_codes.codes.get("train")
    if codes is None or "train" not in row_hashes.splits or len(codes) != len(row_hashes.splits["train"]):
        return False
    repeated = row_hashes.repeated("train")
    shares = [float(repeated[codes == code].mean()) for code in np.unique(codes)]
    return max(shares) >= copied and min(shares) <= unique


def _values(given: LabelSet) -> np.ndarray | None:
    """The labels of one split as text or whole numbers, rows without a label left out."""
    if given.values.ndim == 1 and given.form == "integer" and given.has_missing:
        return np.asarray(given.values[np.isfinite(given.values)], dtype=np.int64)
    if not given.is_single_label or given.has_missing:
        return None
    codes = given.codes
    return codes if codes.dtype.kind in "US" else codes.astype(np.int64)


def _same_scale(labels: Labels, usable: Mapping[str, np.ndarray]) -> bool:
    """Whether the splits' codes can mean the same: not where as many classes have other numbers."""
    widths = [labels.splits[name].values.shape[1] for name in usable if labels.splits[name].values.ndim == 2]
    if len(set(widths)) > 1:
        return False
    found = [np.unique(values) for values in usable.values()]
    if widths and any(values[0] < 0 or values[-1] >= widths[0] for values in found):
        return False
    return all(
        len(first) != len(second) or len(first) == 1 or bool(np.all(first == second))
        for first, second in combinations(found, 2)
    )


def _continues_in_time(inputs: Inputs) -> bool:
    """Whether some column rises from row to row through the training rows and goes on in the held-out ones."""
    train, held_out = inputs.splits.get("train"), inputs.splits.get("validation", inputs.splits.get("test"))
    if train is None or held_out is None or not _is_table(train) or not _is_table(held_out):
        return False
    if train.shape[1] != held_out.shape[1]:
        return False
    for column in range(min(train.shape[1], MAX_TIME_COLUMNS)):
        before, after = np.asarray(train[:, column]), np.asarray(held_out[:, column])
        steps = np.diff(before)
        if np.all(steps >= 0) and np.mean(steps > 0) > 0.5 and before[-1] <= after.min():
            return True
    return False


def _is_table(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.ndim == 2 and array.dtype.kind in "fiu" and count(array) > 10
