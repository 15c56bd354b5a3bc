"""`mlflow clfaudit promote`: an alias moves only to a version that passes."""

from __future__ import annotations

import sys

import click

from mlflow_clfaudit.commands.options import FORMATS, TIER, TRACKING_URI, form_option
from mlflow_clfaudit.sweep import as_json, exit_code, show


@click.command("promote")
@click.argument("name")
@click.argument("version")
@click.option("--alias", required=True, help="The alias to move, such as champion.")
@click.option(
    "--fail-on",
    type=click.Choice(["blocker", "error", "warn"]),
    default="error",
    show_default=True,
    help="Do not move it at this severity or above.",
)
@TIER
@form_option(FORMATS, "How the report is printed; what became of the alias is on stderr.")
@TRACKING_URI
def promote_command(
    name: str, version: str, alias: str, fail_on: str, tier: str, form: str, tracking_uri: str | None
) -> None:
    """Audit a registered version and move an alias to it only if the audit passes."""
    from mlflow_clfaudit.promote import promote

    report, told = promote(
        name,
        version,
        alias,
        lambda report: exit_code([report], 0, fail_on) == 0,
        tier=tier,
        tracking_uri=tracking_uri,
    )
    if form == "json":
        click.echo(as_json([report], many=False))
    else:
        show(report, form, attached=True)
    click.echo(told, err=True)
    sys.exit(exit_code([report], 0, fail_on))
