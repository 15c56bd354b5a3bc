"""The documentation says what the code does: generated pages are current, and every option is on the page."""

import re
import runpy
from pathlib import Path

import click

from mlflow_clfaudit.cli import cli

DOCS = Path(__file__).parents[1] / "docs"


def test_generated_pages_are_current() -> None:
    generate = runpy.run_path(str(DOCS / "generate.py"))
    for path, text in generate["pages"]():
        assert path.read_text() == text, f"{path.name} is not current: run `make docs`"
    assert generate["stale"]() == []


def test_every_command_and_option_has_help() -> None:
    for name, command in cli.commands.items():
        assert command.get_short_help_str(), name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (name, parameter.name)


def test_every_link_of_the_pages_leads_somewhere() -> None:
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))]
    assert len(links) > len(pages)
    lost = [(page.name, link) for page, link in links if "://" not in link and not (page.parent / link).exists()]
    assert lost == []


def test_pictures_are_small() -> None:
    pictures = list((DOCS / "screenshots").glob("*.png"))
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size >= 200_000] == []
