"""`mlflow clfaudit doctor`: what works here."""

from __future__ import annotations

import sys

import click

from mlflow_clfaudit.commands.options import TRACKING_URI


@click.command("doctor")
@TRACKING_URI
def doctor_command(tracking_uri: str | None) -> None:
    """Say in ten lines what works here: versions, device, hook, tracking store. Exits with 3 where an audit cannot."""
    from mlflow_clfaudit.doctor import show

    sys.exit(show(tracking_uri, color=sys.stdout.isatty()))
