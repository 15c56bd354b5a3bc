"""`python -m tests.benchmarks [SECTION ...]`: what an audit costs; writes the sections of docs/performance.md.

A section that is not named stays as it was measured last. Each is written as soon as it is measured.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from tests.benchmarks import fleet, many_rows, one_run, other_tools, scale
from tests.bytecode import write_bytecode

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
HEAD = """# Performance

Written by `make bench`, section by section (`python -m tests.benchmarks NAME`): each says when and where it was
measured.
"""
SECTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "run": ("One run", one_run.section),
    "rows": ("Many labels, many rows", many_rows.section),
    "growth": ("How it grows", scale.section),
    "fleet": ("Many runs", fleet.section),
    "others": ("Beside other tools", other_tools.section),
}


def written(page: str, title: str, text: str) -> str:
    """The page with this section's text in place of the one it had, the sections in their order."""
    found = dict(re.findall(r"^## (.+?)\n\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)) | {title: text}
    ordered = [f"## {name}\n\n{found[name].strip()}\n" for name, _ in SECTIONS.values() if name in found]
    return "\n".join([HEAD, *ordered])


def machine() -> str:
    """When and where a section was measured."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("mlflow", "keras", "tensorflow-cpu"))
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({platform.machine()}), Python "
        f"{platform.python_version()},\n{libraries}, SQLite store.\n"
    )


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SECTIONS)))
def bench(names: tuple[str, ...]) -> None:
    """Measure the named sections, or all, and write them."""
    write_bytecode()
    for name in names or SECTIONS:
        title, measured = SECTIONS[name]
        text = f"{machine()}\n{measured()}"
        PAGE.write_text(written(PAGE.read_text() if PAGE.is_file() else "", title, text))
        sys.stdout.write(f"## {title}\n\n{text}\n")


if __name__ == "__main__":
    bench()
