"""`mlflow clfaudit list` and `explain`: what is checked."""

from __future__ import annotations

import re
import textwrap

import click


@click.command("list")
def list_command() -> None:
    """List every check by area."""
    from mlflow_clfaudit.registry import all_checks

    area = ""
    for check in all_checks().values():
        if check.area != area:
            area = check.area
            click.echo(f"\n{area}" if area else area)
        click.echo(f"  {check.name:32} {check.severity:8} {check.summary}")


@click.command("explain")
@click.argument("name")
def explain_command(name: str) -> None:
    """Explain one check: what it looks for, how, and how to fix what it finds."""
    from mlflow_clfaudit.registry import all_checks

    check = all_checks().get(name)
    if check is None:
        raise click.UsageError(f"no check is named {name!r}; `mlflow clfaudit list` shows them")
    click.echo(f"{check.name}  ({check.area}, {check.severity})\n\n{check.summary}\n")
    for title, text in check.sections.items():
        click.echo(f"{title}\n{_unfenced(text)}\n")
    if check.thresholds:
        click.echo("Thresholds\n" + "\n".join(f"{key} = {value}" for key, value in check.thresholds.items()))


def _unfenced(text: str) -> str:
    """Markdown with its fenced code indented instead, as a terminal shows it."""
    blocks = re.split(r"^```(?:\w+)?\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    shown = [textwrap.indent(block, "    ") if place % 2 else block for place, block in enumerate(blocks)]
    return "".join(shown).rstrip()
