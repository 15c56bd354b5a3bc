"""`mlflow clfaudit repair`: apply what an audit proves."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import click

from mlflow_clfaudit.commands.options import DEVICE, DRY_RUN, TRACKING_URI, form_option, pairs


@click.command("repair")
@click.argument("run_id")
@click.option(
    "--select", "selected", multiple=True, metavar="CHECK", help="Only this check's findings, of any severity."
)
@click.option("--labels", multiple=True, metavar="SPLIT=PATH", help="Labels that the run lacks.")
@click.option("--inputs", multiple=True, metavar="SPLIT=PATH", help="Inputs that the run lacks.")
@click.option("--goal", metavar="GOAL", help="What a threshold is chosen for: fp=1,fn=20 or recall=0.95.")
@click.option("--budget", default=60.0, show_default=True, help="Seconds for all refits together.")
@click.option("--seed", type=int, help="Of everything that is drawn; always the same one when left out.")
@click.option("--register", metavar="NAME", help="Make the repaired model the next version of this registered model.")
@click.option("--allow-unsafe", is_flag=True, help="Run code that the model brings along: Lambda layers, pickles.")
@DEVICE
@form_option(("text", "json"), "What is printed.")
@TRACKING_URI
@DRY_RUN
def repair_command(
    run_id: str, selected: tuple[str, ...], seed: int | None, form: str, dry_run: bool, **options: Any
) -> None:
    """Apply the fixes that an audit proves, measure them, and log the mended model as a child of the run.

    Exits with 0 where the model is better for it, with 1 where no repair is better beyond its interval.
    """
    from rich.console import Console
    from rich.markup import escape

    from mlflow_clfaudit.repair.mending import repair_run
    from mlflow_clfaudit.repair.words import to_dict, to_text

    options["labels"] = pairs(options["labels"], "--labels SPLIT=PATH")
    options["inputs"] = pairs(options["inputs"], "--inputs SPLIT=PATH")
    if seed is not None:
        options["seed"] = seed
    screen = Console(stderr=True)
    with screen.status("…") if screen.is_terminal else contextlib.nullcontext() as status:

        def tell(text: str) -> None:
            if status is not None:
                status.update(escape(text))

        repaired = repair_run(run_id, select_checks=selected, dry_run=dry_run, telling=tell, **options)
    if form == "json":
        click.echo(json.dumps(to_dict(repaired), indent=2))
    else:
        click.echo(to_text(repaired, dry_run=dry_run))
    sys.exit(0 if repaired.overall is not None else 1)
