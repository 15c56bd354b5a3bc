"""Write the pages that the code is the source of: one a check, their index, and the command line.

`python docs/generate.py` writes them; with `--check` it writes nothing and fails where one is not current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.registry import Check, all_checks
from mlflow_clfaudit.types import AREAS

DOCS = Path(__file__).parent


def pages() -> Iterator[tuple[Path, str]]:
    """Every generated page: its path and its text. Checks of other packages that are installed have none."""
    checks = [check for check in all_checks().values() if check.function.__module__.startswith("mlflow_clfaudit.")]
    for check in checks:
        yield DOCS / "checks" / f"{check.name}.md", check_page(check)
    yield DOCS / "checks" / "index.md", index_page(checks)
    yield DOCS / "cli.md", command_page()


def check_page(check: Check) -> str:
    """The page of one check, from its docstring and its signature."""
    parts = [f"# {check.name}", check.summary, f"Area `{check.area}`, severity `{check.severity}`."]
    if check.explains:
        links = ", ".join(f"[{name}]({name}.md)" for name in check.explains)
        parts.append(f"Explains {links}.")
    for title, text in check.sections.items():
        parts += [f"## {title}", text]
    if check.thresholds:
        rows = "\n".join(f"| `{name}` | `{value}` |" for name, value in check.thresholds.items())
        parts += ["## Thresholds", f"| name | value |\n|---|---|\n{rows}"]
    return "\n\n".join(parts) + "\n"


def index_page(checks: list[Check]) -> str:
    """All checks by area."""
    parts = ["# Checks", f"{len(checks)} checks in {len(AREAS)} areas; `mlflow clfaudit explain NAME` shows a page."]
    for area in AREAS:
        rows = "\n".join(
            f"| [{check.name}]({check.name}.md) | {check.severity} | {check.summary} |"
            for check in checks
            if check.area == area
        )
        parts += [f"## {area}", f"| check | severity | what it finds |\n|---|---|---|\n{rows}"]
    return "\n\n".join(parts) + "\n"


def command_page() -> str:
    """The help of every command."""
    parts = ["# Command line", "`mlflow clfaudit …` and `mlflow-clfaudit …` are the same command."]
    width = {"max_content_width": 100, "terminal_width": 100}
    group = click.Context(cli, info_name="mlflow clfaudit", **cli.context_settings, **width)
    for name in sorted(cli.commands):
        context = click.Context(cli.commands[name], info_name=name, parent=group, **width)
        title = "mlflow clfaudit RUN_ID" if name == "run" else f"mlflow clfaudit {name}"
        parts += [f"## {title}", f"```text\n{cli.commands[name].get_help(context)}\n```"]
    return "\n\n".join(parts) + "\n"


def stale() -> list[str]:
    """The generated pages that differ from what would be written, and those of checks that are gone."""
    wanted = dict(pages())
    found = [path.name for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    return found + [path.name for path in (DOCS / "checks").glob("*.md") if path not in wanted]


def main() -> None:
    if "--check" in sys.argv:
        names = stale()
        if names:
            sys.exit(f"not current, run `make docs`: {', '.join(names)}")
        return
    wanted = dict(pages())
    (DOCS / "checks").mkdir(exist_ok=True)
    for path, text in wanted.items():
        path.write_text(text)
    for path in (DOCS / "checks").glob("*.md"):
        if path not in wanted:
            path.unlink()
    print(f"{len(wanted)} pages under {DOCS.name}/")


if __name__ == "__main__":
    main()
