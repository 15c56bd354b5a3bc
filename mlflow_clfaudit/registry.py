"""How a function becomes a check, and where all checks are found.

A check's positional parameters name the evidence it needs (a parameter that defaults to None names evidence it can do
without); its keyword-only parameters are its thresholds. Its name is the function's, with dashes. Its docstring is the
report's explanation, the documentation page and the text of `mlflow clfaudit explain`.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mlflow_clfaudit.errors import UsageError
from mlflow_clfaudit.types import AREAS, Finding, Severity

_logger = logging.getLogger(__name__)

CheckFunction = Callable[..., Iterable[Finding]]
ProofFunction = Callable[..., Finding | None]
RepairFunction = Callable[..., Mapping[str, Any]]

# The entry point group under which other packages offer checks of theirs.
GROUP = "mlflow_clfaudit.checks"


@dataclass(frozen=True)
class Needs:
    """The evidence that a function asks for by parameter name."""

    required: tuple[str, ...]
    optional: tuple[str, ...]

    @classmethod
    def of(cls, function: Callable[..., Any], skip: int = 0) -> Needs:
        parameters = list(inspect.signature(function).parameters.values())[skip:]
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        return cls(
            required=tuple(p.name for p in positional if p.default is p.empty),
            optional=tuple(p.name for p in positional if p.default is not p.empty),
        )


@dataclass(eq=False)
class Check:
    """One rule: what it needs, what it yields, and how what it says is proven."""

    function: CheckFunction
    severity: Severity
    explains: tuple[str, ...]
    unexplained: Severity
    area: str
    prove: ProofFunction | None = None
    mend: RepairFunction | None = None
    needs: Needs = field(init=False)
    proof_needs: Needs = field(init=False)

    def __post_init__(self) -> None:
        self.needs = Needs.of(self.function)
        self.proof_needs = Needs((), ())

    @property
    def name(self) -> str:
        return self.function.__name__.replace("_", "-")

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return inspect.cleandoc(self.function.__doc__ or "").split("\n\n")[0].replace("\n", " ")

    @property
    def sections(self) -> Mapping[str, str]:
        """The docstring's sections by heading, as Markdown."""
        parts = re.split(r"^## (.+)$", inspect.cleandoc(self.function.__doc__ or ""), flags=re.MULTILINE)
        return {title.strip(): text.strip() for title, text in zip(parts[1::2], parts[2::2], strict=True)}

    @property
    def thresholds(self) -> Mapping[str, Any]:
        """The rule's thresholds with their values: keyword-only parameters of the check and of its proof."""
        functions = [self.function] + ([self.prove] if self.prove else [])
        return {
            p.name: p.default
            for function in functions
            for p in inspect.signature(function).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }

    def proof(self, function: ProofFunction) -> ProofFunction:
        """Register `function(finding, evidence…) -> finding`, run only after the check has fired.

        A proof that refutes the suspicion returns None: the finding is dropped, and the check has passed.
        """
        self.prove = function
        self.proof_needs = Needs.of(function, skip=1)
        return function

    def repair(self, function: RepairFunction) -> RepairFunction:
        """Register `function(evidence…) -> {evidence name: value once repaired}`: the fix, applied virtually.

        The ranking judges what is downstream of this fault on the repaired evidence.
        """
        self.mend = function
        return function

    def __call__(self, *args: Any, **kwargs: Any) -> list[Finding]:
        return list(self.function(*args, **kwargs))


def check(
    *,
    severity: Severity,
    explains: tuple[str, ...] = (),
    unexplained: Severity = Severity.INFO,
    area: str | None = None,
) -> Callable[[CheckFunction], Check]:
    """Make a generator function a check.

    Args:
        severity: how bad the finding is, unless the finding itself says otherwise.
        explains: names of the symptoms and lesser findings that this cause brings about.
        unexplained: for symptoms, what one counts as when no finding explains it.
        area: one of the six areas; the name of the module's folder when left out.
    """

    def decorate(function: CheckFunction) -> Check:
        home = area or function.__module__.rpartition(".")[0].rpartition(".")[2]
        if home not in AREAS:
            raise ValueError(f"check {function.__name__}: unknown area {home!r}; one of {', '.join(AREAS)}")
        return Check(function, severity, explains, unexplained, home)

    return decorate


@cache
def all_checks() -> Mapping[str, Check]:
    """Every check by name: the package's own and those of the entry point group `mlflow_clfaudit.checks`.

    What another package offers and cannot be loaded, or has the name of a check that is there already, is left out
    with a warning: it must not take the audits with it.
    """
    import mlflow_clfaudit.checks as package

    found: dict[str, Check] = {}
    for module in _modules(package):
        found |= {item.name: item for item in vars(module).values() if isinstance(item, Check)}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (_distribution(entry), entry.name)):
        for item in _offered(entry):
            if found.setdefault(item.name, item) is not item:
                _left_out(entry, f"a check named {item.name} is there already")
    return dict(sorted(found.items(), key=lambda pair: (AREAS.index(pair[1].area), pair[0])))


def _offered(entry: EntryPoint) -> list[Check]:
    """The checks of another package: the entry point names one of them, or a module that holds some."""
    try:
        loaded = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - code of another package, whatever it does
        _left_out(entry, " ".join(f"{type(error).__name__}: {error}".split())[:200])
        return []
    items = [loaded] if isinstance(loaded, Check) else getattr(loaded, "__dict__", {}).values()
    checks = [item for item in items if isinstance(item, Check)]
    if not checks:
        _left_out(entry, "it holds no check")
    return checks


def _left_out(entry: EntryPoint, reason: str) -> None:
    _logger.warning("clfaudit: %s of %s is left out: %s", entry.value, _distribution(entry), reason)


def _distribution(entry: EntryPoint) -> str:
    """The name of the installed package that declares the entry point."""
    return entry.dist.name if entry.dist is not None else "an unnamed package"


def _modules(package: Any) -> Iterator[Any]:
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not info.ispkg:
            yield importlib.import_module(info.name)


def select(names: Iterable[str] = ()) -> list[Check]:
    """The checks of those names or areas, all when none is given; UsageError for a name that is neither."""
    every = all_checks()
    wanted = list(names)
    if not wanted:
        return list(every.values())
    chosen: dict[str, Check] = {}
    for name in wanted:
        area = name.replace("-", "_")
        if name in every:
            chosen[name] = every[name]
        elif area in AREAS:
            chosen |= {item.name: item for item in every.values() if item.area == area}
        else:
            raise UsageError(f"no check or area is named {name!r}; `mlflow clfaudit list` shows them")
    return list(chosen.values())
