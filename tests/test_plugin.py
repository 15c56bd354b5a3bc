"""The plugin in a real interpreter: found by `import mlflow`, in MLflow's command line, never in the way."""

from __future__ import annotations

import importlib
import json
import logging
import os
import statistics
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from mlflow_clfaudit import hook, plugin

SCRIPTS = Path(sys.executable).parent


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
    )


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-c", code, **environment)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package `waited_for` with a submodule `late` that notes which loader it was run by."""
    folder = tmp_path / "waited_for"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "late.py").write_text("value = 7\nloader = type(__loader__).__name__\nprint(__name__)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for name in ("waited_for", "waited_for.late"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


# The plugin itself, loaded by MLflow in this process, may still wait for modules that no test here is about.
BEFORE = {id(finder) for finder in sys.meta_path}


@pytest.fixture(autouse=True)
def finders_of_before() -> None:
    BEFORE.update(id(finder) for finder in sys.meta_path)


def waiting() -> list[object]:
    ours = [finder for finder in sys.meta_path if type(finder).__module__ == plugin.__name__]
    return [finder for finder in ours if id(finder) not in BEFORE]


def test_mlflow_lists_the_command_without_loading_the_audit() -> None:
    """One look at MLflow's own command line, in process, for all that listing it must and must not do."""
    ran = python(
        "import json, sys, mlflow\n"
        "before = sorted(name for name in ('tensorflow', 'keras', 'mlflow.cli') if name in sys.modules)\n"
        "import mlflow.cli\n"
        "from click.testing import CliRunner\n"
        "shown = CliRunner().invoke(mlflow.cli.cli, ['--help'], terminal_width=100).output\n"
        "print(json.dumps(dict(\n"
        "    before=before,\n"
        "    line=[line.split(maxsplit=1) for line in shown.splitlines() if line.startswith('  clfaudit')],\n"
        "    loaded='mlflow_clfaudit.cli' in sys.modules,\n"
        "    loader=type(mlflow.cli.__loader__).__name__,\n"
        "    spec_loader=type(mlflow.cli.__spec__.loader).__name__,\n"
        "    waiting=[type(finder).__module__ for finder in sys.meta_path])))\n"
    )
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["before"] == []
    assert seen["line"] == [["clfaudit", plugin.SHORT_HELP]]
    assert not seen["loaded"]
    assert seen["loader"] == seen["spec_loader"] == "SourceFileLoader"
    assert plugin.__name__ not in seen["waiting"]


@pytest.mark.parametrize("command", [[str(SCRIPTS / "mlflow")], [sys.executable, "-m", "mlflow"]], ids=["script", "-m"])
def test_help_through_mlflow(command: list[str]) -> None:
    ran = run(*command, "clfaudit", "--help")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("Usage: ")
    assert "mlflow clfaudit [OPTIONS]" in ran.stdout


def test_usage_errors_and_their_exit_code_come_through_mlflow() -> None:
    ran = run(str(SCRIPTS / "mlflow"), "clfaudit", "--no-such-option")
    assert ran.returncode == 2
    assert "Usage: mlflow clfaudit" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_broken_plugin_does_not_break_mlflow() -> None:
    ran = python(
        "import mlflow_clfaudit.plugin as plugin\n"
        "def broken():\n"
        "    raise ValueError('on purpose')\n"
        "plugin.install = broken\n"
        "import mlflow\n"
        "print(mlflow.active_run())\n"
    )
    assert (ran.returncode, ran.stdout) == (0, "None\n")
    assert ran.stderr == "the clfaudit plugin is not active: ValueError: on purpose\n"


def test_broken_command_does_not_break_mlflows_command_line() -> None:
    ran = python(
        "import mlflow_clfaudit.plugin as plugin\n"
        "def broken():\n"
        "    raise ValueError('on purpose')\n"
        "plugin._lazy_command = broken\n"
        "import mlflow.cli\n"
        "print('runs' in mlflow.cli.cli.commands, 'clfaudit' in mlflow.cli.cli.commands)\n"
    )
    assert (ran.returncode, ran.stdout) == (0, "True False\n")
    assert "could not join mlflow.cli: ValueError: on purpose" in ran.stderr


def test_costs_import_mlflow_less_than_five_milliseconds() -> None:
    """Loading, instantiating and installing, in processor time, on top of what MLflow imports itself."""
    code = (
        "import importlib.metadata, importlib.util, logging, time\n"
        "entries = importlib.metadata.entry_points(group='mlflow.run_context_provider')\n"
        "entry = next(entry for entry in entries if entry.name == 'clfaudit')\n"
        "start = time.process_time()\n"
        "entry.load()()\n"
        "print(time.process_time() - start)\n"
    )
    seconds = [float(python(code).stdout) for _ in range(7)]
    print(f"plugin: median {statistics.median(seconds) * 1000:.2f} ms of {len(seconds)}")
    assert statistics.median(seconds) < 0.005


def test_provider_adds_nothing_to_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    provider = plugin.Provider()
    assert provider.in_context() is False
    assert provider.tags() == {}


def test_callback_gets_the_module_once_it_has_run(package: Path) -> None:
    seen: list[ModuleType] = []
    plugin.when_imported("waited_for.late", seen.append)
    assert len(waiting()) == 1

    late = importlib.import_module("waited_for.late")

    assert seen == [late]
    assert late.value == 7
    assert late.loader == "SourceFileLoader"
    assert type(late.__loader__) is type(late.__spec__.loader) is SourceFileLoader
    assert waiting() == []
    importlib.reload(late)
    assert seen == [late]


def test_callback_is_called_at_once_for_an_imported_module(package: Path) -> None:
    seen: list[ModuleType] = []
    late = importlib.import_module("waited_for.late")
    plugin.when_imported("waited_for.late", seen.append)
    assert seen == [late]
    assert waiting() == []


def test_installing_twice_waits_once(package: Path) -> None:
    seen: list[ModuleType] = []
    plugin.when_imported("waited_for.late", seen.append)
    plugin.when_imported("waited_for.late", seen.append)
    importlib.import_module("waited_for.late")
    assert len(seen) == 1


def test_module_that_fails_to_import_fails_as_itself_and_may_try_again(package: Path) -> None:
    seen: list[ModuleType] = []
    source = (package / "late.py").read_text()
    (package / "late.py").write_text("raise KeyError('its own')")
    plugin.when_imported("waited_for.late", seen.append)
    with pytest.raises(KeyError, match="its own"):
        importlib.import_module("waited_for.late")
    assert seen == []

    (package / "late.py").write_text(source + "# longer, so that no stale bytecode is taken for it\n")
    importlib.invalidate_caches()
    assert importlib.import_module("waited_for.late") is seen[0]


def test_raising_callback_is_logged_and_swallowed(package: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: ModuleType) -> None:
        raise RuntimeError("on purpose")

    plugin.when_imported("waited_for.late", broken)
    with caplog.at_level(logging.WARNING):
        late = importlib.import_module("waited_for.late")
    assert late.value == 7
    assert "could not join waited_for.late: RuntimeError: on purpose" in caplog.text


def test_looking_for_the_module_does_not_use_up_the_wait(package: Path) -> None:
    """`importlib.util.find_spec` is how other tools ask whether a module is there; it imports nothing."""
    seen: list[ModuleType] = []
    plugin.when_imported("waited_for.late", seen.append)
    spec = find_spec("waited_for.late")
    assert spec is not None
    assert spec.origin == str(package / "late.py")
    assert seen == []
    importlib.import_module("waited_for.late")
    assert len(seen) == 1


def test_module_that_does_not_exist_is_still_not_found(package: Path) -> None:
    plugin.when_imported("waited_for.never", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"waited_for\.never"):
        importlib.import_module("waited_for.never")


def test_awaited_module_can_be_run_with_dash_m(package: Path) -> None:
    """As `python -m mlflow.cli` is with MLflow up to 3.1: run as __main__, it must run, and nothing joins."""
    ran = run(
        sys.executable,
        "-c",
        "import runpy\n"
        "from mlflow_clfaudit import plugin\n"
        "plugin.when_imported('waited_for.late', lambda module: print('joined'))\n"
        "runpy.run_module('waited_for.late', run_name='__main__', alter_sys=True)\n",
        PYTHONPATH=str(package.parent),
    )
    assert (ran.returncode, ran.stdout) == (0, "__main__\n"), ran.stderr


@pytest.mark.parametrize(("value", "asked"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_automatic_audit_waits_for_autologging_only_when_asked(
    value: str, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if finder not in waiting()])
    monkeypatch.delitem(sys.modules, "mlflow.cli", raising=False)
    installed: list[str] = []
    monkeypatch.setattr(hook, "install", lambda: installed.append(value))
    monkeypatch.setenv(plugin.AUTO, value)
    plugin.install()
    assert installed == ([value] if asked else [])
    assert "mlflow.cli" in {finder.name for finder in sys.meta_path if isinstance(finder, plugin._Finder)}


def test_a_module_in_the_middle_of_its_import_is_waited_for(package: Path) -> None:
    (package / "late.py").write_text(
        "from mlflow_clfaudit import plugin\n"
        "import sys\n"
        "seen = []\n"
        "plugin.when_imported(__name__, lambda module: seen.append(module.value))\n"
        "import waited_for.other\n"
        "before = list(seen)\n"
        "value = 7\n"
    )
    for name in ("other", "later"):
        (package / f"{name}.py").touch()
    late = importlib.import_module("waited_for.late")
    assert late.before == late.seen == []
    importlib.import_module("waited_for.later")
    assert late.seen == [7]
    assert waiting() == []
