"""Finds label, input and class name files among a run's artifacts by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mlflow_clfaudit.names import EVIDENCE_FOLDER, LOGGED_FOLDER

SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".json")
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "tr": "train",
    "fit": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "te": "test",
    "holdout": "test",
}
LABEL_WORDS = {"y", "ys", "label", "labels", "target", "targets", "class", "classes", "truth"}
INPUT_WORDS = {"x", "xs", "input", "inputs", "feature", "features", "images", "text", "texts"}
DATA_WORDS = {"data", "dataset"}
PREDICTION_WORDS = {"pred", "preds", "predicted", "prediction", "predictions"}
SCORE_WORDS = {"proba", "probas", "probability", "probabilities", "prob", "probs", "score", "scores", "logits"}
# Words that make a file something else, however it begins: predictions, encoders, class names, weights.
OTHER_WORDS = {
    *PREDICTION_WORDS,
    *SCORE_WORDS,
    "encoder",
    "encodings",
    "names",
    "name",
    "weight",
    "weights",
    "map",
    "mapping",
    "index",
    "indices",
    "counts",
    "distribution",
    "example",
    "report",
    "confusion",
    "metrics",
    "history",
    "hat",
    "groups",
    "group",
    "ids",
    "id",
}
CLASS_NAME_STEMS = {
    "classes",
    "labels",
    "categories",
    "classnames",
    "labelnames",
    "labelmap",
    "labelencoder",
    "encoder",
}
CLASS_NAME_WORDS = {"names", "name", "map", "mapping", "index", "indices", "encoder", "list", "id", "classes"}
CLASS_NAME_SUFFIXES = (".json", ".txt", ".csv", ".npy", ".yaml", ".yml", ".pkl", ".pickle")
IGNORED_FOLDERS = ("model/", "clfaudit/", "checkpoints/")
# What our own hook and log_labels() wrote is trusted before what was found by its name.
OWN_FOLDERS = (f"{EVIDENCE_FOLDER}/", f"{LOGGED_FOLDER}/")


@dataclass(frozen=True)
class Overrides:
    """What the command line gives: split → local path or artifact path of labels and inputs; name → logged metric."""

    labels: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    goal: str | None = None


@dataclass(frozen=True)
class Match:
    """A file recognised by its name: what it holds ("labels", "inputs" or "both") and of which split.

    `words` are those of its name that say neither, such as the name of the output that the labels are for.
    """

    path: str
    holds: str
    split: str
    words: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[object, ...]:
        """Most trusted first: our own, then arrays of one kind, then tables that hold inputs and labels."""
        return not self.path.startswith(OWN_FOLDERS), self.holds == "both", self.path

    def is_for(self, output: str, outputs: Sequence[str]) -> bool:
        """Whether the file is about that output of several: it names it, or it names none of them."""
        named = [name for name in outputs if set(words_of(name)) <= set(self.words)]
        return output in named if named else True


def recognise(paths: Iterable[str]) -> Iterator[Match]:
    """The files among `paths` whose names say that they hold labels or inputs of a split."""
    for path in paths:
        pure = PurePosixPath(path)
        suffix = pure.suffix.lower()
        ignored = path.startswith(IGNORED_FOLDERS) and not path.startswith(OWN_FOLDERS)
        if suffix not in SUFFIXES or ignored:
            continue
        words = words_of(pure.stem)
        folders = [word for part in reversed(pure.parts[:-1]) for word in words_of(part)]
        holds = _holds(words, folders, suffix)
        if holds is not None:
            yield Match(path, holds, _split(words) or _split(folders) or "whole", _rest(words))


def recognise_key(key: str) -> Match | None:
    """What an array inside a .npz file is, by its key."""
    words = words_of(key)
    holds = _holds(words, [], ".npy")
    if holds not in ("labels", "inputs"):
        return None
    return Match(key, holds, _split(words) or "whole", _rest(words))


def names_classes(path: str) -> bool:
    """Whether the file's name says that it lists the classes: class_names.json, label_encoder.pkl, classes.npy."""
    pure = PurePosixPath(path)
    if pure.suffix.lower() not in CLASS_NAME_SUFFIXES or path.startswith(IGNORED_FOLDERS[0]):
        return False
    words = [word for word in words_of(pure.stem) if word not in SPLIT_WORDS]
    if "".join(words) in CLASS_NAME_STEMS:
        return True
    about = {"class", "classes", "label", "labels", "category", "categories", "target"}
    return bool(about & set(words)) and bool(CLASS_NAME_WORDS & set(words)) and len(words) > 1


def words_of(stem: str) -> list[str]:
    """The lower-case words of a name: XTrain, x-train and xtrain are all x, train."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1_\2", stem)
    spaced = re.sub(r"\b([XxYy])([A-Z])", r"\1_\2", spaced)
    found: list[str] = []
    for word in re.split(r"[^a-z]+", spaced.lower()):
        if word[:1] in ("x", "y") and word[1:] in SPLIT_WORDS:
            found += [word[0], word[1:]]
        elif word[-1:] in ("x", "y") and word[:-1] in ("train", "val", "valid", "test"):
            found += [word[-1], word[:-1]]
        elif word:
            found.append(word)
    return found


def _split(words: Sequence[str]) -> str | None:
    return next((SPLIT_WORDS[word] for word in reversed(words) if word in SPLIT_WORDS), None)


def _rest(words: Iterable[str]) -> tuple[str, ...]:
    known = LABEL_WORDS | INPUT_WORDS | DATA_WORDS | set(SPLIT_WORDS)
    return tuple(word for word in words if word not in known)


def _holds(words: Sequence[str], folders: Sequence[str], suffix: str) -> str | None:
    named = set(words)
    if named & OTHER_WORDS:
        return None
    if named & LABEL_WORDS:
        # A file of classes without a split is the list of their names.
        return None if named & LABEL_WORDS <= {"class", "classes"} and not _split(words) else "labels"
    if named & INPUT_WORDS:
        return "inputs"
    if _split(words) or named & DATA_WORDS:
        if set(folders) & LABEL_WORDS:
            return "labels"
        if set(folders) & INPUT_WORDS:
            return "inputs"
        if suffix in (".csv", ".tsv", ".parquet", ".npz"):
            return "both"
    return None
