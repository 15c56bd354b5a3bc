"""`mlflow clfaudit diff`: from one run to the next."""

from __future__ import annotations

import sys

import click

from mlflow_clfaudit.commands.options import PAGE_FORMATS, TRACKING_URI, form_option
from mlflow_clfaudit.types import Severity


@click.command("diff")
@click.argument("run_a")
@click.argument("run_b")
@form_option(PAGE_FORMATS, "What is printed; markdown is for a pull request.")
@click.option(
    "--fail-on",
    type=click.Choice(["blocker", "error", "warn", "never"]),
    default="never",
    show_default=True,
    help="Exit with 1 when a finding of this severity or above appeared or got worse.",
)
@TRACKING_URI
def diff_command(run_a: str, run_b: str, form: str, fail_on: str, tracking_uri: str | None) -> None:
    """Show which findings appeared, went away or changed between two audited runs."""
    from mlflow_clfaudit.difference import difference, to_json, to_markdown, to_text
    from mlflow_clfaudit.evidence.audited import read_audited, stored_report

    found = difference(*(stored_report(read_audited(run_id, tracking_uri)) for run_id in (run_a, run_b)))
    if form == "text":
        click.echo(to_text(found, color=sys.stdout.isatty()), nl=False)
    else:
        click.echo(to_json(found) if form == "json" else to_markdown(found), nl=False)
    sys.exit(1 if fail_on != "never" and found.fails(Severity(fail_on)) else 0)
