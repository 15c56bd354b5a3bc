"""The numbers and predictions that the author logged, and which post-processing of the served outputs gives each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.files import IGNORED_FOLDERS, PREDICTION_WORDS, SCORE_WORDS, SPLIT_WORDS, SUFFIXES
from mlflow_clfaudit.evidence.forward import serve
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.post_processing import VALUES, is_shuffled
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.evidence.tables import label_column, read
from mlflow_clfaudit.types import Tier

LOG_SCORE = 'mlflow.log_metric("test_accuracy", accuracy)'
LOG_PREDICTIONS = 'np.save("y_pred_test.npy", y_pred); mlflow.log_artifact("y_pred_test.npy", "data")'
MAX_SERVED_ROWS = 100_000
# Kinds of score by the words of a metric's name, most telling first.
KINDS: Mapping[str, re.Pattern[str]] = {
    "balanced accuracy": re.compile(r"balanced"),
    "accuracy": re.compile(r"accuracy|(^|_)acc($|_)"),
    "auc": re.compile(r"auc|roc"),
    "log loss": re.compile(r"log_?loss"),
}
PROBABILITY_WORDS = SCORE_WORDS | {"raw"}
# Words that a table of numbers about the run has in its name too.
AMBIGUOUS_WORDS = {"score", "scores", "raw"}
# Rows that were chosen for being wrong or remarkable say nothing about the others.
CHOSEN_WORDS = {"wrong", "error", "errors", "mistakes", "misclassified", "suspicious", "sample", "samples", "examples"}


@dataclass(frozen=True)
class LoggedScore:
    """One number that the run reports. `split` is what its name says, None where it says nothing.

    `curve` holds the values of every epoch for a metric that fit() computed, and `value` is the last of them.
    """

    name: str
    kind: str
    split: str | None
    value: float
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class LoggedPredictions:
    """Predictions among the artifacts: values (N,) or (N, C), with the labels (N,) that stand beside them, if any.

    `columns` are the classes that the C columns of a table are named for, where they are.
    """

    source: str
    split: str | None
    values: np.ndarray
    truth: np.ndarray | None = None
    named_as_scores: bool = False
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """A logged score beside what the served outputs of one split give.

    `proper` is the value of the right post-processing; `matches` names the wrong ones that give the logged number, the
    most likely first, and is empty where the right one gives it.
    """

    score: LoggedScore
    split: str
    rows: int
    proper: float
    matches: tuple[str, ...]
    is_proper: bool

    @property
    def match(self) -> str | None:
        return self.matches[0] if self.matches else None


@provides()
def logged_scores(run: Run, history: History | None = None) -> tuple[LoggedScore, ...]:
    """The accuracies, AUCs and log losses among the run's metrics."""
    epochs = history.epochs if history is not None else 0
    found = []
    for name, (_, values) in run.metrics.items():
        bare = name.lower()
        if bare.startswith(("validation_", "training_", "restored_", "stopped_")) or len(values) == 0:
            continue
        kind = next((kind for kind, words in KINDS.items() if words.search(bare)), None)
        value = float(values[-1])
        if kind is None or not np.isfinite(value):
            continue
        words = re.split(r"[^a-z]+", bare)
        split = next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), None)
        if kind != "log loss" and 1.0 < value <= 100.0:
            value /= 100.0
        of_fit = len(values) > 1 or (epochs == 1 and bare.removeprefix("val_") in (history.train if history else ()))
        if of_fit and split is None:
            split = "train"
        found.append(LoggedScore(name, kind, split, value, tuple(values.tolist()) if of_fit else ()))
    if not found:
        raise Missing("the run reports no accuracy, AUC or log loss", LOG_SCORE)
    return tuple(found)


@provides()
def logged_predictions(run: Run) -> tuple[LoggedPredictions, ...]:
    """The arrays and table columns that the run calls predictions, in files of that name or logged as tables."""
    found: list[LoggedPredictions] = []
    tables = _logged_tables(run)
    for path in run.artifacts:
        pure = PurePosixPath(path)
        words = set(re.split(r"[^a-z]+", pure.stem.lower()))
        if pure.suffix.lower() not in SUFFIXES or path.startswith(IGNORED_FOLDERS) or pure.suffix == ".txt":
            continue
        named = words & {*PREDICTION_WORDS, "submission"} or pure.stem.lower().endswith("_pred")
        named = named or words & (PROBABILITY_WORDS - AMBIGUOUS_WORDS) or (words & PROBABILITY_WORDS and "y" in words)
        if (named or path in tables) and not words & CHOSEN_WORDS:
            try:
                predictions = _predictions_of(path, words, read(run.fetch(path)), is_named=bool(named))
                found += [item for item in predictions if item.values.ndim in (1, 2) and item.values.size]
            except Missing:
                continue
    if not found:
        raise Missing("the run has no predictions among its artifacts", LOG_PREDICTIONS)
    return tuple(found)


def _logged_tables(run: Run) -> set[str]:
    """The artifacts that mlflow.log_table and mlflow.evaluate wrote."""
    try:
        listed = json.loads(run.tags.get("mlflow.loggedArtifacts", "[]"))
        return {str(item["path"]) for item in listed if item.get("type") == "table"}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return set()


@provides(tier=Tier.FORWARD)
def served_by_split(network: Network, rows: Mapping[str, Rows], head: Head, served: Served) -> Mapping[str, Served]:
    """What the model says about every split; large ones are left out."""
    found = {served.split: served}
    for split, given in rows.items():
        if split not in found and given.count <= MAX_SERVED_ROWS:
            found[split] = serve(network, given, head)
    return found


@provides(tier=Tier.FORWARD)
def readings(
    logged_scores: tuple[LoggedScore, ...],
    served_by_split: Mapping[str, Served],
    head: Head,
    rows: Mapping[str, Rows] | None = None,
    spec: Spec | None = None,
    labels: Labels | None = None,
) -> tuple[Reading, ...]:
    """Every logged score beside the served outputs that it can be about, and what reproduces it."""
    if spec is not None and len(spec.heads) != 1:
        raise Missing("which of the outputs a logged score belongs to is not known")
    if spec is not None and spec.heads[0].activations != head.activations:
        raise Missing("the logged scores are those of the model as it was saved")
    given = {split: (item.labels, item.sampled) for split, item in (rows or {}).items()}
    if labels is not None:
        given = {split: (item, False) for split, item in labels.splits.items()} | given
    stored = {
        split: _as_stored(served, given[split][0], labels)
        for split, served in served_by_split.items()
        if split in given and not given[split][1] and given[split][0].rows == served.rows
    }
    found = []
    for score in logged_scores:
        # Training metrics of fit() are running means over weights that no longer exist.
        if score.curve and score.split != "validation":
            continue
        splits = [score.split] if score.split else ["test", "validation", "train"]
        candidates = [
            reading
            for split in splits
            if split in stored and (reading := read_score(score, served_by_split[split], stored[split])) is not None
        ]
        # A number whose name tells no split is of the split that it is right on, or else of one that explains it.
        chosen = next((item for item in candidates if item.is_proper), None)
        chosen = chosen or next((item for item in candidates if item.matches), None) or next(iter(candidates), None)
        if chosen is not None:
            found.append(chosen)
    if not found:
        raise Missing("no logged score belongs to rows that the model could be judged on", LOG_SCORE)
    return tuple(found)


def _as_stored(served: Served, given: LabelSet, labels: Labels | None) -> np.ndarray:
    """The labels as the author has them, (N,): by the names of the classes where those are numbers, as 1 and 2 are."""
    names = labels.names if labels is not None else None
    if names is None or not all(re.fullmatch(r"-?\d{1,9}", name) for name in names):
        return given.codes
    return np.array([int(name) for name in names])[served.truth] if len(names) > served.truth.max() else given.codes


def read_score(score: LoggedScore, served: Served, labels: np.ndarray, *, minimum_rows: int = 50) -> Reading | None:
    """The score beside the served outputs; None where this kind of score is not defined for them.

    Fewer than `minimum_rows` rows match nothing: there are few fractions, and a wrong variant meets one by chance. Only
    labels that are stored as other numbers are a fact of their own.
    """
    if not np.all(np.isfinite(served.outputs)):
        return None
    values = dict(VALUES[score.kind](served, labels))
    proper = values.pop("proper", None)
    if proper is None:
        return None
    tolerance = max(0.5 / served.rows, 1e-6) if score.kind == "accuracy" else 1e-4
    # The saved weights may be those of any epoch.
    right = any(abs(value - proper) <= tolerance for value in (score.value, *score.curve))
    matches = tuple(name for name, value in values.items() if abs(value - score.value) <= tolerance)
    if score.curve:
        # fit() computed it itself, and makes no mistake but in how it decides.
        matches = tuple(name for name in matches if name.startswith(("rounded", "threshold")))
    if right or served.rows < minimum_rows:
        matches = tuple(name for name in matches if name == "label space" and not right)
    elif score.kind == "accuracy" and not matches and not score.curve and is_shuffled(served, score.value, proper):
        matches = ("shuffled",)
    return Reading(score, served.split, served.rows, proper, matches, right)


def _predictions_of(
    path: str, words: set[str], columns: Mapping[str, np.ndarray], *, is_named: bool
) -> Iterator[LoggedPredictions]:
    """The predictions of one file: its only array, or the columns and keys that are named as such."""
    of_file = _split_of(words)
    if len(columns) == 1:
        if is_named:
            scores = bool(words & PROBABILITY_WORDS)
            yield LoggedPredictions(path, of_file, next(iter(columns.values())), named_as_scores=scores)
        return
    truth = label_column(columns)
    labels = columns[truth] if truth is not None else None
    by_class: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        parts = set(re.split(r"[^a-z]+", name.lower()))
        if name == truth or not parts & (
            PREDICTION_WORDS | PROBABILITY_WORDS | ({"outputs"} if not is_named else set())
        ):
            continue
        # One column a class, each named for its own; several columns in one array stand for themselves.
        if parts & PROBABILITY_WORDS and values.ndim == 1 and labels is not None:
            by_class[name] = values
            continue
        split = _split_of(parts) or of_file
        named = bool(parts & PROBABILITY_WORDS)
        yield LoggedPredictions(f"{path}:{name}", split, values, labels, named_as_scores=named)
    if by_class and all(values.dtype.kind in "fiu" for values in by_class.values()):
        values = np.column_stack(list(by_class.values()))
        names = tuple(_class_named(name) for name in by_class)
        source = f"{path}:{', '.join(by_class)}"[:120]
        yield LoggedPredictions(source, of_file, values, labels, named_as_scores=True, columns=names)


def _split_of(words: set[str]) -> str | None:
    return next((SPLIT_WORDS[word] for word in sorted(words) if word in SPLIT_WORDS), None)


def _class_named(column: str) -> str:
    """What is left of a column's name without the words for scores: proba_cat is cat."""
    parts = re.split(r"[_\-. ]+", column)
    return "_".join(part for part in parts if part.lower() not in PROBABILITY_WORDS | PREDICTION_WORDS | {"class"})
