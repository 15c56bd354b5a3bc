"""`mlflow clfaudit review`: what a person decided."""

from __future__ import annotations

import click

from mlflow_clfaudit.commands.options import TRACKING_URI, pairs
from mlflow_clfaudit.types import Word


@click.command("review")
@click.argument("run_id")
@click.option("--accept", metavar="WHY", help="The run may be used as it is: what is known no longer fails an audit.")
@click.option("--reject", metavar="WHY", help="The run must not be used: every audit of it fails.")
@click.option("--fixed", metavar="WHY", help="Mended in a later run: what is known no longer fails an audit.")
@click.option(
    "--ignore", multiple=True, metavar="NAME=REASON", help="A check that does not count on this run, and why."
)
@click.option("--withdraw", is_flag=True, help="Take the run's word back.")
@TRACKING_URI
def review_command(
    run_id: str,
    accept: str | None,
    reject: str | None,
    fixed: str | None,
    ignore: tuple[str, ...],
    withdraw: bool,
    tracking_uri: str | None,
) -> None:
    """Say what a person decided about an audited run, as tags that the next audit honours."""
    from mlflow_clfaudit.review import give

    words = {Word.ACCEPTED: accept, Word.REJECTED: reject, Word.FIXED: fixed}
    reasons = pairs(ignore, "--ignore NAME=REASON")
    click.echo(give(run_id, words, ignore=reasons, withdraw=withdraw, tracking_uri=tracking_uri))
