"""Evidence by name: each piece is computed once, lazily, from other pieces, at the cheapest tier that can give it.

A provider is a function decorated with `@provides`; its name is the evidence's name and its parameters name the
evidence it is made from, so that checks and providers form one graph.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.registry import Needs
from mlflow_clfaudit.types import Tier

MODULES = (
    "run",
    "captured",
    "fit_arguments",
    "history",
    "spec",
    "weights",
    "scale",
    "boosters",
    "booster_files",
    "estimators",
    "torch_graph",
    "criterion",
    "pytorch",
    "transformers",
    "portable",
    "classes",
    "label_files",
    "labels",
    "inputs",
    "splits",
    "network",
    "forward",
    "trial",
    "compiled",
    "units",
    "scores",
    "recorded",
    "decisions",
    "reproduction",
    "weighting",
    "permutation",
    "served_loss",
    "probes",
    "counterfactuals",
    "batchnorm",
    "torch_statistics",
)


@dataclass(frozen=True)
class Provider:
    function: Callable[..., Any]
    tier: Tier
    needs: Needs


_PROVIDERS: dict[str, Provider] = {}
_INSTEAD: dict[str, dict[str, Provider]] = {}
_OTHERWISE: dict[str, list[Provider]] = {}


def provides(
    *, tier: Tier = Tier.STATIC, where: str | None = None, otherwise: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the provider of the evidence that it is named after.

    With `where`, it takes the place of the usual provider in runs that carry the evidence of that name; `otherwise`, it
    is asked after the others, where they have nothing.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        provider = Provider(function, tier, Needs.of(function))
        if otherwise:
            _OTHERWISE.setdefault(function.__name__, []).append(provider)
        elif where is not None:
            _INSTEAD.setdefault(function.__name__, {})[where] = provider
        else:
            _PROVIDERS[function.__name__] = provider
        return function

    return decorate


@cache
def providers() -> Mapping[str, Provider]:
    """Every provider by the name of its evidence."""
    for module in MODULES:
        importlib.import_module(f"{__name__}.{module}")
    return _PROVIDERS


def made_from(*names: str) -> set[str]:
    """These pieces of evidence and every piece that is made from one of them."""
    found = set(names)
    every = [*providers().items()]
    every += [(name, item) for name, instead in _INSTEAD.items() for item in instead.values()]
    every += [(name, item) for name, others in _OTHERWISE.items() for item in others]
    while grown := {
        name
        for name, provider in every
        if name not in found and found & {*provider.needs.required, *provider.needs.optional}
    }:
        found |= grown
    return found


class Evidence:
    """What is known about one run. `given` holds the pieces that nothing is computed from: the run, and options.

    `get(name)` raises `Missing` where the run does not carry what is needed or the tier cap forbids computing it.
    After `deadline`, on the clock of time.monotonic(), nothing is computed but what files tell.
    """

    def __init__(self, given: Mapping[str, Any], cap: Tier = Tier.PROBE, deadline: float | None = None) -> None:
        self.cap = cap
        self.deadline = deadline
        self.seconds: dict[str, float] = {}
        self._known: dict[str, Any] = dict(given)
        # As long as nothing more is known.
        self._tiers: dict[str, Tier] = {}

    def get(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._compute(name)
            self._tiers.clear()
        value = self._known[name]
        if isinstance(value, Missing):
            raise value
        return value

    def find(self, name: str) -> Any:
        """The piece of evidence, or None where it is missing."""
        try:
            return self.get(name)
        except Missing:
            return None

    def replaced(self, **pieces: Any) -> Evidence:
        """The same evidence with some pieces replaced; what is made from them is computed anew when asked for."""
        stale = made_from(*pieces)
        known = {name: value for name, value in self._known.items() if name not in stale}
        copy = Evidence(known | pieces, self.cap, self.deadline)
        copy.seconds = self.seconds
        return copy

    def peek(self, name: str) -> Any:
        """The piece of evidence if it has been computed already, else None."""
        value = self._known.get(name)
        return None if isinstance(value, Missing) else value

    def arguments(self, needs: Needs) -> dict[str, Any]:
        """The evidence that a function asks for; raises `Missing` for a required piece that is not there."""
        required = {name: self.get(name) for name in needs.required}
        return required | {name: self.find(name) for name in needs.optional}

    def tier(self, name: str) -> Tier:
        """The dearest tier that computing this piece enters; static for what is given."""
        if name not in self._tiers:
            known = name in self._known and not isinstance(self._known[name], Missing)
            provider = None if known else self._provider(name)
            self._tiers[name] = Tier.STATIC if provider is None else self._tier_of(provider)
        return self._tiers[name]

    def _tier_of(self, provider: Provider) -> Tier:
        return max([provider.tier, *(self.tier(need) for need in provider.needs.required)])

    def _provider(self, name: str) -> Provider | None:
        usual = providers().get(name)
        instead = _INSTEAD.get(name)
        if instead is None:
            return usual
        return next((item for where, item in instead.items() if self.find(where) is not None), usual)

    def _compute(self, name: str) -> Any:
        provider = self._provider(name)
        others = _OTHERWISE.get(name, [])
        if provider is None and not others:
            return Missing(f"no evidence is named {name!r}")
        found = Missing("") if provider is None else self._computed(name, provider)
        for other in others if isinstance(found, Missing) else ():
            instead = self._computed(name, other)
            if not isinstance(instead, Missing):
                return instead
            # Why the run has no model says more than why it has no predictions either.
            found = instead if provider is None else found
        return found

    def _computed(self, name: str, provider: Provider) -> Any:
        tier = self._tier_of(provider)
        if tier > self.cap:
            return Missing(f"needs the {tier} tier", f"--tier {tier}")
        if self.deadline is not None and tier > Tier.STATIC and time.monotonic() > self.deadline:
            return Missing("the time for this audit is used up", "mlflow clfaudit RUN_ID")
        try:
            arguments = self.arguments(provider.needs)
            started = time.perf_counter()
            value = provider.function(**arguments)
            self.seconds[name] = time.perf_counter() - started
        except Missing as missing:
            return missing
        return value
