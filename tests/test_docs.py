"""The documentation says what the code does: pages are current, links lead somewhere, what it shows is run."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import click
import mlflow
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import mlflow_clfaudit
from mlflow_clfaudit.cli import cli
from tests.benchmarks import __main__ as bench
from tests.matrix import __main__ as matrix

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"
GENERATED = [DOCS / "cli.md", *(DOCS / "checks").glob("*.md")]
PAGES = [*DOCS.rglob("*.md"), *PROJECT.glob("*.md")]
WRITTEN = sorted({*PAGES} - {*GENERATED})
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:bin/)?(mlflow clfaudit|mlflow-clfaudit)\b")
SHELL = ("", "shell")
# Pages that quote files of the project, with "…" where they leave something out.
CODE_QUOTED = {
    "CONTRIBUTING.md": [
        "mlflow_clfaudit/checks/stratification/validation_split_ignored.py",
        "tests/checks/stratification/test_validation_split_ignored.py",
    ],
    "own-checks.md": ["examples/own_checks/house_checks/no_seed_logged.py"],
}


def blocks(page: Path, *languages: str) -> list[str]:
    """The page's fenced blocks of these languages; "" is a fence without one."""
    return [code for _, language, code in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def prose(page: Path) -> str:
    """The page without its code: neither fenced blocks nor words between backticks hold links or headings."""
    return re.sub(r"`[^`\n]*`", lambda found: found[0].strip("`").replace("[", "("), FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """The anchors of the page's headings, as GitHub and mkdocs make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = unicodedata.normalize("NFKD", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)).lower()
        found.add(re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", text).strip()))
    return found


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every `mlflow clfaudit …` line of the page, without comments and output."""
    for block in blocks(page, *SHELL):
        for line in block.replace("\\\n", " ").splitlines():
            found = COMMAND.match(line.strip())
            if found:
                yield shlex.split(line.strip()[found.end() :], comments=True)


def named(page: Path) -> str:
    return str(page.relative_to(PROJECT))


each = pytest.mark.parametrize("page", WRITTEN, ids=named)


def test_generated_pages_are_current() -> None:
    generate = runpy.run_path(str(DOCS / "generate.py"))
    for path, text in generate["pages"]():
        assert path.read_text() == text, f"{path.name} is not current: run `make docs`"
    assert generate["stale"]() == []


def test_the_page_of_versions_says_what_was_tried() -> None:
    assert matrix.PAGE.read_text() == matrix.page(matrix.remembered())


def test_a_section_of_the_performance_page_is_written_anew_and_the_others_stay() -> None:
    page = bench.PAGE.read_text()
    titles = [title for title, _ in bench.SECTIONS.values() if f"## {title}\n" in page]
    assert titles[0] == "One run"
    for title in titles:
        changed = bench.written(page, title, "Measured anew.")
        assert changed.count("Measured anew.") == 1
        kept = page.split(f"## {title}\n")[1].split("\n## ")[0]
        assert bench.written(changed, title, kept) == page


def test_every_command_and_option_has_help() -> None:
    for name, command in cli.commands.items():
        assert command.get_short_help_str(), name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (name, parameter.name)


def test_every_link_of_the_pages_leads_somewhere() -> None:
    """Files and anchors; addresses of the web are not asked for."""
    known = {page.resolve(): anchors(page) for page in PAGES}
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)\s]+)", prose(page))]
    assert len(links) > len(PAGES)
    lost = []
    for page, link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page.resolve()
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in known.get(target, ())):
            lost.append((named(page), link))
    assert lost == []


def test_the_index_leads_to_every_page_and_the_site_has_its_order() -> None:
    navigation = runpy.run_path(str(DOCS / "navigation.py"))
    listed = [(DOCS / path).resolve() for _, path in navigation["pages"]()]
    roots = [DOCS / name for name in navigation["ROOT_PAGES"]]
    pages = {page.resolve() for page in DOCS.glob("*.md") if page.name != "index.md"}
    assert {*listed} == {*pages, (DOCS / "checks" / "index.md").resolve(), *(root.resolve() for root in roots)}
    assert len(listed) == len({*listed})
    assert all((PROJECT / name).is_file() for name in navigation["ROOT_PAGES"])
    settings = yaml.safe_load((PROJECT / "mkdocs.yml").read_text())
    assert settings["hooks"] == ["docs/navigation.py"]
    assert all((PROJECT / hook).is_file() for hook in settings["hooks"])


def test_pictures_are_small() -> None:
    pictures = list((DOCS / "screenshots").glob("*.png"))
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size >= 200_000] == []


@each
def test_commands_on_the_page_are_understood(page: Path) -> None:
    """Every option and argument that a page shows exists; nothing is run."""
    for words in commands(page):
        context = click.Context(cli, info_name="mlflow clfaudit", **cli.context_settings)
        name, command, rest = cli.resolve_command(context, words if words[0] in cli.commands else ["run", *words])
        assert command is not None
        assert name is not None
        command.make_context(name, rest, parent=context)


def test_enough_commands_are_shown() -> None:
    """The test above would pass on pages whose commands it does not find."""
    shown = [words for page in WRITTEN for words in commands(page)]
    assert len(shown) > 20
    assert {words[0] for words in shown} >= {"watch", "diff", "promote", "review", "summary", "list", "explain"}


@each
def test_targets_and_files_on_the_page_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    assert {*re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)} <= targets
    mentioned = re.findall(r"\b((?:tests|docs|examples|mlflow_clfaudit)/[\w/]+\.(?:py|md|json))\b", text)
    assert [path for path in mentioned if not (PROJECT / path).exists()] == []


@each
def test_python_on_the_page_is_python_and_names_what_exists(page: Path) -> None:
    for code in blocks(page, "python"):
        if page.name in CODE_QUOTED:
            continue
        for node in ast.walk(ast.parse(code.replace("…", "..."))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "mlflow_clfaudit":
                    assert node.attr in mlflow_clfaudit.__all__
            elif isinstance(node, ast.ImportFrom) and node.module == "mlflow_clfaudit":
                assert {alias.name for alias in node.names} <= {*mlflow_clfaudit.__all__}


@pytest.mark.parametrize("page", [page for page in WRITTEN if page.name in CODE_QUOTED], ids=named)
def test_code_that_a_page_quotes_is_the_code(page: Path) -> None:
    sources = "\n".join((PROJECT / path).read_text() for path in CODE_QUOTED[page.name])
    quoted = [
        piece.strip() for code in blocks(page, "python") for piece in re.split(r"^ *…\n", code, flags=re.MULTILINE)
    ]
    assert quoted
    for piece in quoted:
        assert piece in sources, piece


def trained_as_the_quick_start_says(folder: Path) -> str:
    """Run the page's Python in a process of its own, on data and a model of two lines; the id of its run."""
    (code,) = blocks(DOCS / "quickstart.md", "python")
    before = """
import os
import keras, mlflow, numpy as np
keras.utils.set_random_seed(7)
X = np.random.default_rng(7).normal(size=(400, 4)).astype("float32")
y = (X.sum(axis=1) > 0).astype("float32")
X_train, X_val, y_train, y_val = X[:300], X[300:], y[:300], y[300:]
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="softmax")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
"""
    script = folder / "script.py"
    script.write_text(f"{before}\n{code.replace('epochs=50', 'epochs=5')}\nprint(mlflow.last_active_run().info.run_id)")
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


@pytest.mark.long
def test_the_quick_start_works_as_it_is_written(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    run_id = trained_as_the_quick_start_says(tmp_path)
    (words,) = commands(DOCS / "quickstart.md")
    told = CliRunner().invoke(cli, [run_id if word.endswith("…") else word for word in words])
    assert told.exit_code == 1
    assert "softmax-on-one-unit" in told.output
    paths = {item.path for item in mlflow.MlflowClient().list_artifacts(run_id, "clfaudit")}
    assert "clfaudit/report.html" in paths


def test_the_code_about_labels_and_goals_works_as_it_is_written(tracking_uri: str) -> None:
    """docs/labels.md and the notebook of docs/review.md, on a run of arrays."""
    y = np.random.default_rng(0).integers(0, 2, 200)
    (goal,) = blocks(DOCS / "labels.md", "python")
    with mlflow.start_run() as run:
        mlflow.log_metrics({"loss": 0.4, "accuracy": 0.8})
        mlflow_clfaudit.log_labels(y, split="validation")
        exec(goal, {"mlflow": mlflow})  # noqa: S102 - what the page shows
    assert mlflow.get_run(run.info.run_id).data.tags["clfaudit.goal"] == "fp=1,fn=20"
    (notebook,) = blocks(DOCS / "review.md", "python")
    names = {"mlflow_clfaudit": mlflow_clfaudit, "run_id": run.info.run_id}
    exec(notebook, names)  # noqa: S102 - the same
    assert names["report"].run_id == run.info.run_id  # type: ignore[attr-defined]
