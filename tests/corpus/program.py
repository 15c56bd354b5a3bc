"""What a corpus program is: one training script as data, with the truth about it."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import keras
else:

    class _Keras:
        """Keras, imported at first use: listing programs and their truth needs no TensorFlow."""

        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module("keras"), name)

    keras = _Keras()

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
    its numbers: it expects info at most. `parent` is the healthy program that a mutant was made from.
    """

    name: str
    family: str
    build: Callable[[int], Training]
    truth: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    healthy: bool = False
    harmless: bool = False
    parent: str | None = None
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


REPORT_FAMILIES = frozenset({"base-signal", "base-text", "base-wine"})
"""Families that calibration never sees, whichever the seed."""


def part(program: Program, seed: int) -> Literal["calibration", "report"]:
    """Which half a run belongs to: even seeds calibrate, odd seeds and some families only report."""
    return "report" if seed % 2 or program.family in REPORT_FAMILIES else "calibration"


def digest(*things: Any) -> str:
    """A digest of code and values, following functions into everything of this package that they refer to."""
    hasher = hashlib.sha256()
    seen: set[int] = set()

    def feed(thing: Any) -> None:
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
            if id(thing) in seen or not str(thing.__module__).startswith(__package__ or ""):
                hasher.update(f"{thing.__module__}.{thing.__qualname__}".encode())
                return
            seen.add(id(thing))
            feed_code(code, thing.__globals__)
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

    def feed_code(code: Any, namespace: Mapping[str, Any]) -> None:
        hasher.update(code.co_code)
        for constant in code.co_consts:
            if hasattr(constant, "co_code"):
                feed_code(constant, namespace)
            else:
                feed(constant)
        for name in code.co_names:
            hasher.update(name.encode())
            if name in namespace:
                feed(namespace[name])

    feed(things)
    return hasher.hexdigest()[:16]
