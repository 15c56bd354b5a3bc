"""Estimators of scikit-learn and of the boosting libraries: what they answer, and what they say about their own fit.

What a skops file says as JSON is read without loading it.
"""

from __future__ import annotations

import importlib
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides, skops_files
from mlflow_clfaudit.evidence.boosters import LIBRARIES as BOOSTERS
from mlflow_clfaudit.evidence.boosters import Booster
from mlflow_clfaudit.evidence.class_indices import known_indices
from mlflow_clfaudit.evidence.columns import under_names
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.network import TRUST, Network, not_trained_on
from mlflow_clfaudit.evidence.solvers import Solver
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.evidence.weighting import ClassWeighting, balanced_weights
from mlflow_clfaudit.types import Tier

# A flavor's name and the library's own.
LIBRARIES: Mapping[str, str] = {"sklearn": "scikit-learn", **BOOSTERS}
# The boosters' own file formats: trees as data, no code.
NATIVE = (".json", ".ubj", ".xgb", ".lgb", ".txt", ".cb", ".cbm")
# Classes of scikit-learn that hold data and that skops does not know. Trees and neighbour indices are not among them:
# their compiled code follows the numbers in the file without looking.
HARMLESS = {
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
}
MAX_SCHEMA_BYTES = 32 * 2**20
MAX_ARRAY_BYTES = 2**20
MAX_NESTING = 60


@dataclass(frozen=True)
class Estimator:
    """A loaded classifier with scikit-learn's interface."""

    model: Any
    library: str

    @cached_property
    def classes(self) -> np.ndarray:
        """The classes (K,) in the order of the outputs.

        Raises:
            Missing: the model names none, or those of several outputs.
        """
        found = getattr(self.model, "classes_", None)
        if found is None:
            raise Missing(f"the {self.library} model is no classifier: it names no classes")
        if isinstance(found, list) and any(np.ndim(item) for item in found):
            raise Missing("an estimator of several outputs is not judged")
        return np.asarray(found)

    @property
    def gives_probabilities(self) -> bool:
        return hasattr(self.model, "predict_proba")

    @property
    def threshold(self) -> float | None:
        """The score above which the model answers class 1, where it was tuned or set; None for the usual one."""
        if not self.gives_probabilities:
            return 0.0
        given = getattr(self.model, "best_threshold_", None)
        if type(self.model).__name__ == "FixedThresholdClassifier":
            given = self.model.threshold
        return float(given) if isinstance(given, int | float) else None

    def predict_on_batch(self, inputs: Any) -> np.ndarray:
        """Probabilities (N, K), or else margins: (N, 1) for two classes, where class 1 begins at 0, or (N, K)."""
        if not self.gives_probabilities and not hasattr(self.model, "decision_function"):
            raise ValueError("the model answers with classes alone, without scores")
        score = self.model.predict_proba if self.gives_probabilities else self.model.decision_function
        found = np.asarray(score(self._named(inputs)), dtype=np.float64)
        found = found[:, None] if found.ndim == 1 else found
        if found.ndim != 2 or found.shape[1] not in (1, len(self.classes)):
            raise ValueError(f"scores of shape {found.shape} for {len(self.classes)} classes")
        return found

    def decide(self, inputs: Any) -> np.ndarray:
        """The place in `classes` of the model's own answer to each row, (N,) int64."""
        answers = np.asarray(self.model.predict(self._named(inputs))).ravel()
        order = np.argsort(self.classes, kind="stable")
        return np.asarray(order[np.searchsorted(self.classes[order], answers)], dtype=np.int64)

    def _named(self, inputs: Any) -> Any:
        """Rows as the model was fitted on them."""
        return under_names(inputs, getattr(self.model, "feature_names_in_", None))


@provides()
def estimator_flavor(flavors: Mapping[str, Any], booster: Booster | None = None) -> str:
    """The flavor with scikit-learn's interface that the model was logged in, where it is no file of trees alone."""
    found = next((name for name in LIBRARIES if name in flavors), None)
    if found is None or "keras" in flavors or "tensorflow" in flavors:
        raise Missing("the logged model is no estimator")
    if booster is not None:
        raise Missing("the trees answer for themselves")
    return found


@provides(tier=Tier.FORWARD)
def estimator(
    estimator_flavor: str, model_folder: Path, flavors: Mapping[str, Any], allow_unsafe: bool | None = None
) -> Estimator:
    """The logged estimator, loaded from data alone, or from a pickle where that was allowed."""
    settings = flavors[estimator_flavor]
    library = LIBRARIES[estimator_flavor]
    allowed = os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() not in ("false", "0")
    path = model_folder / str(settings.get("pickled_model", settings.get("data", "")))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix == ".skops":
                if not allowed:
                    raise Missing("MLFLOW_ALLOW_PICKLE_DESERIALIZATION forbids loading it")
                return Estimator(_of_skops(path, allow_unsafe=bool(allow_unsafe)), library)
            own = str(settings.get("model_class", estimator_flavor)).startswith(estimator_flavor)
            if not (path.suffix in NATIVE and own) and not (allow_unsafe and allowed):
                raise Missing("the model is a pickle, which is not run", TRUST)
            flavor = importlib.import_module(f"mlflow.{estimator_flavor}")
            return Estimator(flavor.load_model(str(model_folder)), library)
    except Missing:
        raise
    except ImportError as error:
        raise Missing(f"the model does not load: {error}", f"pip install {library.lower()}") from None
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
        text = first_line(error)
        raise Missing(f"the model does not load: {text}") from None


def _of_skops(path: Path, *, allow_unsafe: bool) -> Any:
    import skops.io

    # The list in the MLmodel file says what its author trusted, and who wrote the one wrote the other.
    unknown = set(skops.io.get_untrusted_types(file=path)) - HARMLESS
    if unknown and not allow_unsafe:
        raise Missing(f"the model holds {', '.join(sorted(unknown)[:3])}, which may bring code", TRUST)
    return skops.io.load(path, trusted=sorted(unknown | HARMLESS))


@provides(where="estimator_flavor")
def head(estimator_flavor: str) -> Head:
    """What an estimator answers with, as far as its flavor tells: probabilities, one a class."""
    return Head(layer=LIBRARIES[estimator_flavor], kind="Estimator", activations=("softmax",))


@provides(tier=Tier.FORWARD, where="estimator_flavor")
def network(estimator: Estimator, head: Head) -> Network:
    """The estimator as a model whose rows can be judged; it has no layers, and is not trained anew."""
    return Network(
        model=estimator,
        tapped=None,
        reload=not_trained_on("only neural networks are trained on"),
        backend=estimator.library,
        device="CPU",
        classes=estimator.classes,
        decide=estimator.decide,
        head=_head(estimator, head),
    )


def _head(estimator: Estimator, head: Head) -> Head:
    activations = head.activations if estimator.gives_probabilities else ()
    return replace(head, activations=activations, cut=estimator.threshold)


@provides()
def solvers(model_folder: Path, flavors: Mapping[str, Any], estimator: Estimator | None = None) -> tuple[Solver, ...]:
    """Every estimator of the model that counts its iterations against a limit."""
    if "sklearn" not in flavors:
        raise Missing("the logged model is not a scikit-learn model")
    path = model_folder / str(flavors["sklearn"].get("pickled_model", "model.skops"))
    if path.suffix != ".skops" or path.parent != model_folder:
        if estimator is not None:
            return tuple(_of_loaded(estimator.model))
        raise Missing("the model is a pickle, which is not loaded", "serialization_format='skops' when logging it")
    with skops_files.opened(path) as archive:
        return tuple(_solvers(archive, skops_files.schema(archive, MAX_SCHEMA_BYTES), 0))


def _of_loaded(model: Any, depth: int = 0) -> Iterator[Solver]:
    """The solvers of an estimator in memory and of the estimators inside it."""
    if depth > MAX_NESTING or not hasattr(model, "__dict__"):
        return
    state = vars(model)
    taken, limit = state.get("n_iter_"), state.get("max_iter")
    if isinstance(limit, int) and limit > 0 and taken is not None and np.size(taken):
        yield Solver(type(model).__name__, int(np.max(taken)), limit)
    for value in state.values():
        for item in value if isinstance(value, list | tuple) else [value]:
            fitted = item[-1] if isinstance(item, tuple) and item else item
            if hasattr(fitted, "get_params") and not isinstance(fitted, type):
                yield from _of_loaded(fitted, depth + 1)


def _solvers(archive: zipfile.ZipFile, node: Any, depth: int) -> Iterator[Solver]:
    if depth > MAX_NESTING:
        return
    if isinstance(node, list):
        for item in node:
            yield from _solvers(archive, item, depth + 1)
    if not isinstance(node, dict):
        return
    content = node.get("content")
    state = content.get("content") if isinstance(content, dict) and node.get("__loader__") == "ObjectNode" else None
    if isinstance(state, dict) and "n_iter_" in state and "max_iter" in state:
        taken, limit = _number(archive, state["n_iter_"]), _number(archive, state["max_iter"])
        if taken is not None and limit is not None and limit > 0:
            yield Solver(str(node.get("__class__")), taken, limit)
    for value in content.values() if isinstance(content, dict) else [content]:
        yield from _solvers(archive, value, depth + 1)


def _number(archive: zipfile.ZipFile, node: Any) -> int | None:
    """The integer that a node stands for, the largest of an array; None where it is none."""
    value = skops_files.plain(node)
    if value is not None:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    array = skops_files.array(archive, node, MAX_ARRAY_BYTES)
    return int(array.max()) if array is not None and array.size and array.dtype.kind in "iu" else None


@provides(tier=Tier.FORWARD, otherwise=True)
def history(estimator: Estimator) -> History:
    """The losses that an MLPClassifier keeps of its own training, and the accuracies of the rows that it set aside."""
    model = _innermost(estimator.model)
    losses = np.asarray(getattr(model, "loss_curve_", None) or [], dtype=np.float64)
    if len(losses) < 2 or losses.ndim != 1:
        raise Missing(
            "the run has no training curves, and its estimator keeps none", "mlflow.log_metric(…, step=epoch)"
        )
    scores = np.asarray(getattr(model, "validation_scores_", None) or [], dtype=np.float64)
    return History({"loss": losses}, {"accuracy": scores} if len(scores) == len(losses) else {})


@provides(tier=Tier.FORWARD, where="estimator_flavor")
def class_weighting(estimator: Estimator, train_labels: LabelSet) -> ClassWeighting:
    """The weights that the argument class_weight of the estimator gave to the classes."""
    given = getattr(_innermost(estimator.model), "class_weight", None)
    codes, classes = known_indices(train_labels, estimator.classes)
    counts = np.bincount(codes, minlength=classes)
    if given == "balanced" and counts.min() > 0:
        weights = balanced_weights(counts)
    elif isinstance(given, Mapping) and classes == len(estimator.classes):
        weights = np.array([float(given.get(name, 1.0)) for name in estimator.classes.tolist()])
    else:
        raise Missing("the estimator was given no class weights")
    declared: dict[object, float] = dict(enumerate(weights.tolist()))
    return ClassWeighting(declared, np.arange(classes), counts, weights, library=estimator.library)


def _innermost(model: Any) -> Any:
    """The estimator that decides, inside pipelines, searches and calibrations."""
    for _ in range(MAX_NESTING):
        inner = getattr(model, "best_estimator_", None) or getattr(model, "estimator_", None)
        steps = getattr(model, "steps", None)
        if inner is None and isinstance(steps, list) and steps:
            inner = steps[-1][-1]
        if inner is None:
            return model
        model = inner
    return model
