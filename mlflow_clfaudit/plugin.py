"""What MLflow loads during `import mlflow`: how this package joins MLflow's own command line.

MLflow instantiates `Provider` from the entry point group mlflow.run_context_provider, and any exception there
but ImportError and AttributeError ends the user's `import mlflow`. So nothing here raises, nothing beyond the
standard library is imported, and the work is put off until MLflow imports the module that it concerns.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

COMMAND = "clfaudit"
SHORT_HELP = "Audit a finished classification run, root cause first."
AUTO = "MLFLOW_CLFAUDIT_AUTO"

_logger = logging.getLogger(__name__)


class Provider:
    """A run context provider that provides nothing: it is there to be instantiated by `import mlflow`."""

    def __init__(self) -> None:
        try:
            install()
        except Exception as error:  # noqa: BLE001 - whatever it is, `import mlflow` must go on
            _logger.warning("the clfaudit plugin is not active: %s: %s", type(error).__name__, error)

    def in_context(self) -> bool:
        return False

    def tags(self) -> dict[str, str]:
        return {}


def install() -> None:
    """Wait for MLflow's command line and, where the environment asks for it, its autologging. Idempotent."""
    when_imported("mlflow.cli", add_command)
    if os.environ.get(AUTO, "").strip().lower() in ("1", "true"):
        from mlflow_clfaudit import hook

        hook.install()


def when_imported(name: str, callback: Callable[[ModuleType], None]) -> None:
    """Call `callback` with the module `name`: now if it is imported already, else once it is.

    A callback that raises is reported in the log and has no other effect.
    """
    imported = sys.modules.get(name)
    if imported is not None and _is_importing(imported):
        sys.meta_path.insert(0, _Ender(imported, callback))
    elif imported is not None:
        _call(callback, imported)
    elif not any(isinstance(finder, _Finder) and finder.name == name for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name, callback))


def add_command(command_line: ModuleType) -> None:
    """Add `clfaudit` to the click group of the module `mlflow.cli`."""
    command_line.cli.add_command(_lazy_command(), COMMAND)


def _lazy_command() -> click.Command:
    import click

    class LazyCommand(click.Command):
        """Stands in `mlflow --help`; only its own invocation imports the audit."""

        def make_context(
            self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
        ) -> click.Context:
            from mlflow_clfaudit.cli import cli

            return cli.make_context(info_name, args, parent=parent, **extra)

    return LazyCommand(COMMAND, short_help=SHORT_HELP)


def _call(callback: Callable[[ModuleType], None], module: ModuleType) -> None:
    try:
        callback(module)
    except Exception as error:  # noqa: BLE001 - importing that module must succeed all the same
        reason = f"{type(error).__name__}: {error}"
        _logger.warning("the clfaudit plugin could not join %s: %s", module.__name__, reason)


def _is_importing(module: ModuleType) -> bool:
    """Whether the module is in the middle of its own import, which is where `import mlflow` loads this plugin."""
    return bool(getattr(module.__spec__, "_initializing", False))


class _Ender(MetaPathFinder):
    """Finds nothing. Whenever anything is imported it looks whether its module has come to the end of its import."""

    def __init__(self, module: ModuleType, callback: Callable[[ModuleType], None]) -> None:
        self.module = module
        self.callback = callback

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:  # noqa: ARG002
        if not _is_importing(self.module) and self in sys.meta_path:
            sys.meta_path.remove(self)
            _call(self.callback, self.module)


class _Finder(MetaPathFinder):
    """Finds one module through the finders behind it and wraps its loader. Leaves once that has loaded."""

    def __init__(self, name: str, callback: Callable[[ModuleType], None]) -> None:
        self.name = name
        self.callback = callback

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        finders = list(sys.meta_path)
        # Those in front have declined already, and asking them again could come back here.
        for finder in finders[finders.index(self) + 1 :] if self in finders else ():
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(fullname, path, target) if find else None
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None


class _Loader(Loader):
    """The module's own loader, then the callback. The module sees its own loader only."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        # get_code, is_package, get_resource_reader …: `python -m` and importlib ask a loader for them.
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
            _call(self._finder.callback, module)
