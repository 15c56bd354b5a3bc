"""What a corpus program is: one training script as data, with the truth about it."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np


class KerasAtFirstUse:
    """Stands in for the module: listing programs and their truth needs no TensorFlow."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("keras"), name)


if TYPE_CHECKING:
    import keras
else:
    keras = KerasAtFirstUse()

Array = np.ndarray[Any, np.dtype[Any]]
Inputs = Array | Mapping[str, Array]

SYMPTOMS = frozenset(
    {
        "baseline-wins",
        "constant-prediction",
        "loss-accuracy-divergence",
        "majority-accuracy",
        "non-finite-loss",
        "stuck-loss",
    }
)
"""Checks that are never a root cause: reporting one is neither right nor wrong."""

COMPANIONS: Mapping[str, frozenset[str]] = {
    fault: frozenset(checks.split())
    for fault, checks in {
        "tail-split-of-ordered-data": "single-class-validation class-missing-from-split class-shift",
        "single-class-validation": "class-missing-from-split class-shift",
        "class-missing-from-split": "single-class-validation class-shift output-width-mismatch",
        "class-shift": "class-missing-from-split",
        "labels-out-of-range": "output-width-mismatch labels-off-by-one",
        "multiclass-on-one-unit": "binary-labels-not-01 labels-out-of-range",
        "binary-labels-not-01": "multiclass-on-one-unit labels-out-of-range dirty-labels class-shift",
        "dirty-labels": "continuous-targets labels-out-of-range output-width-mismatch",
        "continuous-targets": "dirty-labels regression-loss",
        "single-class-labels": "single-class-validation class-shift",
        "invalid-one-hot": "single-class-labels class-shift class-missing-from-split",
        "permuted-labels": "encoder-refit class-names-misordered inverted-positive-class not-reproduced",
        "encoder-refit": "permuted-labels class-missing-from-split class-shift",
        "misaligned-rows": "not-reproduced labels-unrelated-to-inputs",
        "inverted-positive-class": "permuted-labels",
        "softmax-on-one-unit": "no-gradient served-loss-gap",
        "logits-in-probability-loss": "outputs-not-probabilities no-gradient served-loss-gap",
        "clipped-output": "dead-units no-gradient outputs-not-probabilities served-loss-gap",
        "sigmoid-multiclass": "served-loss-gap outputs-not-probabilities uncalibrated-probabilities",
        "softmax-with-binary-crossentropy": "served-loss-gap uncalibrated-probabilities metric-misresolved",
        "softmax-multilabel": "served-loss-gap invalid-one-hot metric-misresolved",
        "double-activation": "served-loss-gap uncalibrated-probabilities under-trained",
        "hinge-mismatch": "threshold-on-wrong-scale under-trained",
        "regression-loss": "multiclass-on-one-unit",
        "rounded-unbounded-output": "logits-in-probability-loss outputs-not-probabilities",
        "unscaled-inputs": "saturated-units dead-units learning-rate-too-high under-trained stopped-early "
        "poor-initialisation",
        "low-contrast-inputs": "batchnorm-gap unscaled-inputs under-trained",
        "under-trained": "stopped-early",
        "stopped-early": "under-trained",
        "learning-rate-too-high": "dead-units saturated-units invalid-learning-rate",
        "invalid-learning-rate": "learning-rate-too-high dead-units saturated-units",
        "learning-rate-exhausted": "under-trained misconfigured-callback stopped-early",
        "misconfigured-callback": "under-trained stopped-early learning-rate-exhausted",
        "vanishing-gradient": "saturated-units bottleneck no-gradient under-trained",
        "symmetric-initialisation": "bottleneck dead-units poor-initialisation no-gradient",
        "poor-initialisation": "saturated-units dead-units overfit",
        "dead-units": "no-gradient poor-initialisation",
        "frozen-random-layers": "under-trained",
        "over-regularised": "under-trained bottleneck dead-units",
        "overfit": "uncalibrated-probabilities",
        "class-imbalance": "threshold-off",
        "threshold-off": "class-imbalance",
        "class-weight-overcorrected": "weighted-loss-scale threshold-off uncalibrated-probabilities",
        "class-weight-without-effect": "class-imbalance threshold-off",
        "validation-is-training": "rows-in-both-splits overfit",
        "test-used-for-validation": "rows-in-both-splits",
        "metric-misresolved": "threshold-on-wrong-scale exact-match-accuracy",
        "exact-match-accuracy": "metric-misresolved",
        "inputs-transformed-differently": "not-reproduced inputs-differ-between-splits unscaled-inputs",
        "inputs-differ-between-splits": "unscaled-inputs",
        "scored-in-wrong-label-space": "labels-off-by-one",
    }.items()
}
"""What a fault brings with it: true of the run as well, so neither a hit nor a false alarm."""


@dataclass(frozen=True)
class Scored:
    """What the author logs after fit: metrics by name, artifacts by path (arrays, tables, JSON)."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """A program made concrete for one seed.

    `x` and `y` are what fit is given, `fit` its other arguments. `test` is logged as X_test and y_test.
    `held_out` holds clean rows with their true class codes, shape (n,) int, or (n, labels) for multi-label;
    it is never logged and only measures whether the program does harm. `decide` turns the served outputs into
    those codes; without it, one column is cut at .5 and several by argmax. `files` are artifacts by path, `params`
    what the author logs beside fit's own. `finish` changes the fitted model before it is logged.
    """

    model: Any
    x: Inputs
    y: Array
    fit: Mapping[str, Any] = field(default_factory=dict)
    test: tuple[Inputs, Array] | None = None
    held_out: tuple[Inputs, Array] | None = None
    decide: Callable[[Array], Array] | None = None
    files: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    scoring: Callable[[Any], Scored] | None = None
    finish: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Program:
    """A training program and the truth about it.

    `truth` names the checks that must be reported, the root cause first; `allowed` those that may be.
    A healthy program has no truth. A harmless one has a fault that changes neither its held-out quality nor
    its numbers: it expects info at most. `parent` is the healthy program that a mutant was made from; where
    `measured`, whether a mutant does harm is found by comparing the two, else it does by construction.
    """

    name: str
    family: str
    build: Callable[[int], Training]
    truth: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    healthy: bool = False
    harmless: bool = False
    parent: str | None = None
    measured: bool = False
    why: str = ""

    def __post_init__(self) -> None:
        if self.healthy == bool(self.truth):
            raise ValueError(f"{self.name}: a program is healthy or has a truth, not both and not neither")


def describe(
    name: str,
    family: str,
    *,
    truth: tuple[str, ...] = (),
    allowed: tuple[str, ...] = (),
    harmless: bool = False,
    why: str = "",
) -> Callable[[Callable[[int], Training]], Program]:
    """Turn a build function into a program; without a truth it is a healthy one."""

    def make(build: Callable[[int], Training]) -> Program:
        return Program(name, family, build, truth, allowed, healthy=not truth, harmless=harmless, why=why)

    return make


CALIBRATION_SEEDS = frozenset({0, 1, 2, 3, 4})


def part(seed: int) -> Literal["calibration", "report"]:
    """Which part a run belongs to: rules were mended from what was seen of seeds 0 to 4, the others only report."""
    return "calibration" if seed in CALIBRATION_SEEDS else "report"


CORPUS = Path(__file__).parent


def home(thing: Any) -> str:
    """The module of a function or, below this package, the package that the module is a part of."""
    name = str(thing.__module__)
    below = name.removeprefix(f"{__package__}.")
    return name if below == name else f"{__package__}.{below.partition('.')[0]}"


def namespace(function: Any) -> Mapping[str, Any]:
    """What the names in a function can mean: those of its file and of the files beside it in a package below this."""
    own: Mapping[str, Any] = function.__globals__
    beside = f"{home(function)}."
    if not str(function.__module__).startswith(beside):
        return own
    modules = [vars(module) for name, module in sorted(sys.modules.items()) if name.startswith(beside)]
    return ChainMap(own, *modules)


def digest(*things: Any) -> str:
    """A digest of code and values, following functions into all of this package that they refer to; not of words.

    A package below this one counts as one file, so that dividing it into others leaves what was trained as it is.
    """
    hasher = hashlib.sha256()
    seen: set[int] = set()

    def feed(thing: Any) -> None:
        if isinstance(thing, KerasAtFirstUse):
            return
        if isinstance(thing, Program):
            thing = thing.build
        thing = getattr(thing, "__wrapped__", thing)
        if isinstance(thing, (list, tuple)):
            for item in thing:
                feed(item)
            return
        if isinstance(thing, (set, frozenset)):
            feed(sorted(map(repr, thing)))
            return
        if isinstance(thing, Mapping):
            for key, value in thing.items():
                feed((key, value))
            return
        code = getattr(thing, "__code__", None)
        wrapped = getattr(thing, "func", None)
        if wrapped is not None and hasattr(thing, "keywords"):
            feed((wrapped, thing.args, thing.keywords))
        elif code is not None:
            if id(thing) in seen or not Path(code.co_filename).is_relative_to(CORPUS):
                hasher.update(f"{home(thing)}.{thing.__qualname__}".encode())
                return
            seen.add(id(thing))
            feed_code(code, namespace(thing), documented=thing.__doc__ is not None)
            feed((thing.__defaults__ or (), thing.__kwdefaults__ or {}))
            for cell in thing.__closure__ or ():
                feed(cell.cell_contents)
        elif isinstance(thing, type) and str(thing.__module__).startswith(__package__ or ""):
            if id(thing) not in seen:
                seen.add(id(thing))
                feed([value for value in vars(thing).values() if hasattr(value, "__code__")])
        elif isinstance(thing, np.ndarray):
            hasher.update(thing.tobytes())
        elif hasattr(thing, "__dataclass_fields__") and not isinstance(thing, type):
            feed([(name, getattr(thing, name)) for name in thing.__dataclass_fields__])
        elif isinstance(thing, (str, bytes, int, float, bool, complex, type(None))):
            hasher.update(f"{type(thing).__name__}:{thing!r};".encode())
        else:
            hasher.update(f"{type(thing).__module__}.{getattr(thing, '__name__', type(thing).__qualname__)};".encode())

    def feed_code(code: Any, known: Mapping[str, Any], *, documented: bool = False) -> None:
        hasher.update(code.co_code)
        for constant in code.co_consts[documented:]:
            if hasattr(constant, "co_code"):
                feed_code(constant, known)
            else:
                feed(constant)
        for name in code.co_names:
            hasher.update(name.encode())
            if name in known:
                feed(known[name])

    feed(things)
    return hasher.hexdigest()[:16]
