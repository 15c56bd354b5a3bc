"""How a function becomes a repair: it names the checks whose findings it mends, and when it is its turn."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from typing import Any

from mlflow_clfaudit.evidence.architecture import Loss, Spec
from mlflow_clfaudit.repair.patient import Patient
from mlflow_clfaudit.repair.script import Script

BALANCED_ACCURACY, LOG_LOSS = "balanced accuracy", "log loss"


class Stage(IntEnum):
    """The order in which repairs are tried: what comes earlier in a model's making is mended first."""

    ACTIVATION = 0
    SPLIT = 1
    TRAINING = 2
    HEAD = 3
    ANEW = 4
    STATISTICS = 5
    LABELS = 6
    PROBABILITIES = 7
    THRESHOLD = 8


@dataclass(frozen=True)
class Treated:
    """What a repair made of a model.

    `model` is the Keras model, `loss` what it is compiled with from now on (None leaves it as it was). `did` says in
    words what was done, `patch` changes the training script likewise, given the new model's description. `curves` are
    losses by epoch where it trained. `scores` is a model of the scores behind a `model` that gives decisions.
    """

    model: Any
    did: str
    patch: Callable[[Script, Spec], Script]
    loss: Loss | None = None
    learning_rate: float | None = None
    curves: Mapping[str, list[float]] = field(default_factory=dict)
    scores: Any = None


RepairFunction = Callable[[Patient], Treated]


@dataclass(frozen=True)
class Repair:
    """One kind of repair. `improves` are the measures of which at least one must be better after it.

    One that `lays_ground` is kept for the repairs after it even where it alone improves nothing, and is given up with
    them.
    """

    function: RepairFunction
    checks: tuple[str, ...]
    stage: Stage
    improves: tuple[str, ...]
    lays_ground: bool

    @property
    def name(self) -> str:
        return self.function.__name__.replace("_", " ")

    @property
    def trains(self) -> bool:
        return self.stage in (Stage.SPLIT, Stage.TRAINING, Stage.ANEW)

    @property
    def prepares(self) -> bool:
        """Whether it is no repair by itself, but what others begin with."""
        return not self.improves


_REPAIRS: list[Repair] = []


def repairs(
    *checks: str, stage: Stage, improves: tuple[str, ...] = (BALANCED_ACCURACY,), lays_ground: bool = False
) -> Callable[[RepairFunction], RepairFunction]:
    """Register a repair of the findings of these checks.

    The function is given the model as it is at that point and returns it mended; it raises Missing, with the reason,
    where it cannot.
    """

    def decorate(function: RepairFunction) -> RepairFunction:
        _REPAIRS.append(Repair(function, checks, stage, improves, lays_ground))
        return function

    return decorate


@cache
def all_repairs() -> tuple[Repair, ...]:
    """Every repair, in the order in which they are tried."""
    import mlflow_clfaudit.repair.kinds as package

    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(info.name)
    return tuple(sorted(_REPAIRS, key=lambda item: (item.stage, item.name)))


def repairs_of(check: str) -> list[Repair]:
    """The repairs of a check's findings, in the order in which they are tried."""
    return [item for item in all_repairs() if check in item.checks]
