"""`make new-check` writes a check that passes what every check must pass, in a copy of the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_clfaudit.registry import Check, all_checks

PROJECT = Path(__file__).parents[1]
OF_TESTS = ("checks", "kit.py", "runs.py", "conftest.py", "bytecode.py")
COPIED = ("mlflow_clfaudit", "tools", *(f"tests/{name}" for name in OF_TESTS))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The part of the project that checks and their contract need, to write into."""
    left = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        source, target = PROJECT / name, tmp_path / "project" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=left)
        else:
            shutil.copy(source, target)
    for name in ("pyproject.toml", "Makefile"):
        shutil.copy(PROJECT / name, tmp_path / "project" / name)
    return tmp_path / "project"


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_a_new_check_passes_its_test_and_the_contract_as_it_is_written(project: Path) -> None:
    done = make(project, "new-check", "name=stratification/rows-too-many")
    assert done.returncode == 0, done.stderr
    assert (project / "mlflow_clfaudit/checks/stratification/rows_too_many.py").is_file()
    # A leading folder on the path, so that the copy is what is tested, not what is installed.
    environment = os.environ | {"PYTHONPATH": str(project)}
    written = ["tests/checks/stratification/test_rows_too_many.py", "tests/checks/test_contract.py"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *written,
        "-k",
        "rows-too-many or rows_too_many",
        "-p",
        "no:cacheprovider",
    ]
    tested = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout
    names = subprocess.run(
        [sys.executable, "-c", "from mlflow_clfaudit.registry import all_checks; print(*all_checks())"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rows-too-many" in names.stdout.split()
    # The test's own cases, and at least one of each question that the contract asks.
    contract = (project / "tests/checks/test_contract.py").read_text().count("\n@names\n")
    passed = int(tested.stdout.rsplit(" passed", 1)[0].split()[-1])
    assert passed >= 5 + contract


def test_the_name_may_stand_alone(project: Path) -> None:
    done = make(project, "new-check", "thresholding/cut-twice")
    assert done.returncode == 0, done.stderr
    assert (project / "tests/checks/thresholding/test_cut_twice.py").is_file()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("stratification/class-imbalance", "already: mlflow_clfaudit/checks/stratification/class_imbalance.py"),
        ("thresholding/class-imbalance", "already: mlflow_clfaudit/checks/stratification/class_imbalance.py"),
        ("spelling/odd-name", "one of these areas: activation_loss"),
        ("odd-name", "one of these areas: activation_loss"),
        ("../odd-name", "one of these areas: activation_loss"),
        ("stratification/Odd Name", "no name for a check"),
        ("stratification/class", "no name for a check"),
        ("", "make new-check name=area/name"),
    ],
)
def test_what_cannot_be_a_check_is_refused_in_a_line(project: Path, name: str, why: str) -> None:
    before = sorted(project.rglob("*.py"))
    done = make(project, "new-check", f"name={name}")
    assert done.returncode != 0
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(project.rglob("*.py")) == before


@pytest.mark.parametrize("check", all_checks().values(), ids=lambda check: check.name)
def test_nothing_of_the_scaffold_is_left(check: Check) -> None:
    assert "replace this" not in (check.function.__doc__ or "").lower()
