"""What is shipped: a wheel with its data files and entry points, importing as little as promised."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import venv
from email.message import Message
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest

import mlflow_clfaudit

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "mlflow_clfaudit"

# ruff's rule TID251 guards the imports of all three libraries by one list of exempt files; this one runs models.
LISTED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["per-file-ignores"]
EXEMPT = {
    path.relative_to(PACKAGE).as_posix()
    for pattern, rules in LISTED.items()
    if pattern.startswith("mlflow_clfaudit/") and "TID251" in rules
    for path in PROJECT.glob(pattern)
}
RUNS_MODELS = {"evidence/keras_backend.py"}
LIBRARIES = {"mlflow": EXEMPT - RUNS_MODELS, "tensorflow": RUNS_MODELS, "keras": RUNS_MODELS}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as built from this tree with the build backend of the environment: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *flags, PROJECT], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = {
        path.relative_to(PROJECT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == tracked
    assert "mlflow_clfaudit/py.typed" in shipped


def test_wheel_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "mlflow-clfaudit"
    assert metadata["Version"] == mlflow_clfaudit.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert not [line for line in required if line.startswith(("tensorflow", "keras"))]
    assert {"tensorflow", "gpu", "keras", "dask", "ray", "docs", "dev"} == set(metadata.get_all("Provides-Extra", []))


def test_installed_wheel_offers_its_entry_points(wheel: Path, tmp_path: Path) -> None:
    """In a virtual environment with nothing else in it: the plugin needs the standard library only."""
    venv.create(tmp_path / "venv", with_pip=False)
    fresh = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", fresh]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    code = (
        "from importlib.metadata import entry_points\n"
        "(plugin,) = entry_points(group='mlflow.run_context_provider')\n"
        "(script,) = entry_points(group='console_scripts')\n"
        "print(plugin.name, plugin.value, plugin.load()().in_context(), script.name, script.value)\n"
    )
    asked = subprocess.run([fresh, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout == ("clfaudit mlflow_clfaudit.plugin:Provider False mlflow-clfaudit mlflow_clfaudit.cli:main\n")
    assert (tmp_path / "venv" / "bin" / "mlflow-clfaudit").is_file()


def test_every_declared_entry_point_loads() -> None:
    ours = distribution("mlflow-clfaudit").entry_points
    assert {entry.group for entry in ours} >= {"console_scripts", "mlflow.run_context_provider"}
    for entry in ours:
        assert callable(entry.load())


def test_importing_the_package_loads_no_library() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, mlflow_clfaudit; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "mlflow_clfaudit" in loaded
    assert not {"mlflow", "tensorflow", "keras", "numpy", "pandas", "sklearn", "scipy", "click"} & set(loaded)


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_is_imported_only_where_it_belongs(library: str) -> None:
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if library in imported(node)
    }
    assert importers <= LIBRARIES[library]


def imported(node: ast.AST) -> set[str]:
    """Top-level packages that a node imports."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {node.module.partition(".")[0]}
    return set()
