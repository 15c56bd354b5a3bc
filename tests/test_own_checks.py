"""Checks of other packages: the example is installed and takes part in audits; a broken package takes none away."""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_clfaudit import Severity, audit_run
from mlflow_clfaudit.registry import all_checks
from mlflow_clfaudit.types import Status
from tests.test_attach import log_ordered_run

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_checks"
OURS = set(all_checks())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as pip installs it, built by the backend of this environment: nothing is downloaded."""
    target = tmp_path_factory.mktemp("installed")
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--target", target]
    subprocess.run([sys.executable, "-m", "pip", "install", *flags, EXAMPLE], check=True)
    return target


@pytest.fixture(autouse=True)
def found_anew() -> Iterator[None]:
    """The checks are looked for once a process; here what is installed changes from test to test."""
    all_checks.cache_clear()
    before = set(sys.modules)
    yield
    all_checks.cache_clear()
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"house_checks", "broken_checks", "other_checks"}:
            del sys.modules[name]


def offer(folder: Path, package: str, code: str, *, value: str = "") -> None:
    """Install a package of one module by hand: its code, and the metadata that pip would have written."""
    (folder / f"{package}.py").write_text(code)
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[mlflow_clfaudit.checks]\nall = {value or package}\n")


def test_the_example_is_listed_and_explained(installed: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    code = (
        "from mlflow_clfaudit.cli import cli\n"
        "for words in (['list'], ['explain', 'no-seed-logged']):\n"
        "    cli(words, standalone_mode=False)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stderr == ""
    assert "  no-seed-logged " in told.stdout
    assert "names = ('seed', 'random_state', 'random_seed')" in told.stdout
    assert set(told.stdout.split()) >= OURS


def test_the_example_takes_part_in_an_audit(
    installed: Path, tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed)
    run_id = log_ordered_run(tmp_path)
    report = audit_run(run_id)
    assert report.root_cause == "tail-split-of-ordered-data"
    (finding,) = [finding for finding in report.findings if finding.check == "no-seed-logged"]
    assert finding.level is Severity.WARN
    assert audit_run(run_id, select_checks=["no-seed-logged"], dry_run=True).root_cause == "no-seed-logged"
    ignored = audit_run(run_id, ignore={"no-seed-logged": "drawn from the clock"}, dry_run=True)
    assert not next(item for item in ignored.findings if item.check == "no-seed-logged").counts


def test_the_tests_of_the_example_pass(installed: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", EXAMPLE, EXAMPLE / "tests"]
    tested = subprocess.run(command, env=environment, cwd=EXAMPLE, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "6 passed" in tested.stdout


CHECK = '''
from mlflow_clfaudit import Finding, Severity, check

@check(severity=Severity.BLOCKER, area="stratification")
def {name}({evidence}):
    """Something of another package's own."""
    {body}
'''
BROKEN = {
    "raises": ("raise RuntimeError('no licence\\nfor you')", "", "RuntimeError: no licence for you"),
    "ends the process": ("import sys; sys.exit(3)", "", "SystemExit: 3"),
    "imports what is not there": ("import surely_not_installed", "", "ModuleNotFoundError"),
    "has a syntax error": ("def", "", "SyntaxError"),
    "names what it does not hold": ("", "broken_checks:nothing", "AttributeError"),
    "holds no check": ("number = 7", "", "it holds no check"),
    "offers something else": ("number = 7", "broken_checks:number", "it holds no check"),
    "names an area that does not exist": (
        "from mlflow_clfaudit import Severity, check\n@check(severity=Severity.INFO)\ndef odd(run): yield\n",
        "",
        "unknown area ''",
    ),
    "has the name of one of ours": (
        CHECK.format(name="class_imbalance", evidence="run", body="yield Finding('ours no more')"),
        "",
        "a check named class-imbalance is there already",
    ),
}


@pytest.mark.parametrize(("code", "value", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_package_is_left_out_with_one_line(
    code: str,
    value: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    offer(tmp_path, "broken_checks", code, value=value)
    offer(tmp_path, "other_checks", CHECK.format(name="another", evidence="run", body="yield Finding('seen')"))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with caplog.at_level(logging.WARNING, "mlflow_clfaudit"):
        found = all_checks()
    assert set(found) == OURS | {"another"}
    assert inside_the_package(found["class-imbalance"].function.__module__)
    (line,) = caplog.messages
    assert line.startswith("clfaudit: broken_checks")
    assert "of broken-checks is left out: " in line
    assert reason in line
    assert "\n" not in line


def inside_the_package(module: str) -> bool:
    return module.startswith("mlflow_clfaudit.")


def test_two_packages_with_one_name_and_one_that_passes_ours_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The package that comes first by its name is heard. A check of ours that a module imports is no second one."""
    passed_on = "from mlflow_clfaudit.checks.stratification.class_imbalance import class_imbalance\n"
    offer(tmp_path, "broken_checks", passed_on + CHECK.format(name="another", evidence="run", body="yield"))
    offer(tmp_path, "other_checks", CHECK.format(name="another", evidence="labels", body="yield"))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert all_checks()["another"].needs.required == ("run",)
    assert caplog.messages == [
        "clfaudit: other_checks of other-checks is left out: a check named another is there already"
    ]


def test_a_check_that_fails_or_asks_for_what_is_not_known_fails_alone(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "installed"
    folder.mkdir()
    code = CHECK.format(name="fails", evidence="run", body="yield 1 / 0")
    code += CHECK.format(name="asks", evidence="horoscope", body="yield")
    code += CHECK.format(name="yields_no_finding", evidence="run", body="yield 'a fault'")
    code += CHECK.format(
        name="odd_evidence", evidence="run", body="yield Finding('<b>odd</b>', evidence={'o': object()})"
    )
    offer(folder, "other_checks", code)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    run_id = log_ordered_run(tmp_path)
    report = audit_run(run_id)
    status = {outcome.check: outcome.status for outcome in report.outcomes}
    assert status["fails"] is status["yields-no-finding"] is Status.FAILED
    assert status["asks"] is Status.SKIPPED
    assert status["odd-evidence"] is Status.FIRED
    assert report.fired("tail-split-of-ordered-data")
    import mlflow

    written = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/clfaudit/report.json"))
    assert {error["check"] for error in written["errors"]} == {"fails", "yields-no-finding"}
    assert "<b>odd</b>" not in mlflow.artifacts.load_text(f"runs:/{run_id}/clfaudit/report.html")
