"""`mlflow clfaudit watch`: audit what finishes."""

from __future__ import annotations

import sys
from typing import Any

import click

from mlflow_clfaudit.commands.options import BUDGET, DEVICE, REDACT, TIER, TRACKING_URI


@click.command("watch")
@click.option("--experiment", "experiments", multiple=True, help="Only this experiment, by name or id; repeatable.")
@click.option("--once", is_flag=True, help="Audit what there is and end, for cron.")
@click.option("--children", is_flag=True, help="Audit nested runs as well.")
@click.option("--again", is_flag=True, help="Also audit runs anew whose verdict is of an earlier major version.")
@click.option(
    "--every", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds between two looks."
)
@TIER
@DEVICE
@BUDGET
@REDACT
@TRACKING_URI
def watch_command(
    experiments: tuple[str, ...],
    once: bool,
    children: bool,
    again: bool,
    every: float,
    tracking_uri: str | None,
    **options: Any,
) -> None:
    """Audit finished runs of any client as they come; several watchers share the work."""
    from mlflow_clfaudit.watch import follow

    scope = {"experiments": experiments, "children": children, "again": again}
    sys.exit(follow(tracking_uri, scope, options, once=once, every=every))
