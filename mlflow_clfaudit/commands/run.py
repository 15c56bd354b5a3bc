"""`mlflow clfaudit RUN_ID`: audit runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import click

from mlflow_clfaudit.commands.options import (
    BUDGET,
    DEVICE,
    DRY_RUN,
    FORMATS,
    REDACT,
    TIER,
    TRACKING_URI,
    form_option,
    pairs,
    write_file,
)
from mlflow_clfaudit.fleet import BACKENDS, Fleet
from mlflow_clfaudit.sweep import Sweep


@click.command("run")
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID]...")
@click.option("--model-uri", help="Audit this registered model version; its run is the source.")
@click.option("--experiment", help="Audit the runs of this experiment.")
@click.option("--filter", "filter_string", default="", help="With --experiment: an MLflow search filter.")
@click.option("--labels", multiple=True, metavar="SPLIT=PATH", help="Labels that the run lacks.")
@click.option("--inputs", multiple=True, metavar="SPLIT=PATH", help="Inputs that the run lacks.")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME=METRIC", help="A curve by another name: accuracy=acc_top1."
)
@click.option(
    "--goal",
    "--cost",
    metavar="GOAL",
    help="What thresholds are judged by: fp=1,fn=20 or recall=0.95 or precision=0.9; else balanced accuracy.",
)
@TIER
@DEVICE
@click.option("--select", "selected", multiple=True, metavar="NAME", help="Only this check or area.")
@click.option("--ignore", multiple=True, metavar="NAME=REASON", help="A check that does not count, and why.")
@click.option(
    "--fail-on",
    type=click.Choice(["blocker", "error", "warn", "never"]),
    default="error",
    show_default=True,
    help="Exit with 1 at this severity or above.",
)
@form_option(FORMATS, "What is printed; a machine-readable format prints nothing else on stdout.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="Write the report as JSON here too.")
@BUDGET
@click.option("--allow-unsafe", is_flag=True, help="Run code that the model brings along: Lambda layers, pickles.")
@click.option("--jobs", type=click.IntRange(min=1), help="Audit that many runs at a time; one when left out.")
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="Who audits them: processes of this machine (loky), or a Dask or Ray cluster, all of it without --jobs.",
)
@click.option(
    "--gpus-per-run", type=click.FloatRange(min=0), default=0.0, help="With --backend ray: what each run gets of a GPU."
)
@click.option(
    "--again", is_flag=True, help="With --experiment: also runs that have a verdict of this version on what they hold."
)
@REDACT
@TRACKING_URI
@DRY_RUN
def run_command(
    run_ids: tuple[str, ...],
    model_uri: str | None,
    experiment: str | None,
    filter_string: str,
    selected: tuple[str, ...],
    fail_on: str,
    form: str,
    json_file: str | None,
    jobs: int | None,
    backend: str | None,
    gpus_per_run: float,
    again: bool,
    **options: Any,
) -> None:
    """Audit finished runs and leave the verdict on them.

    Runs of an experiment that were audited before, on the same evidence and by this version, are skipped.
    """
    options["labels"] = pairs(options["labels"], "--labels SPLIT=PATH")
    options["inputs"] = pairs(options["inputs"], "--inputs SPLIT=PATH")
    options["metrics"] = pairs(options["metrics"], "--metric NAME=METRIC")
    options["ignore"] = pairs(options["ignore"], "--ignore NAME=REASON")
    ids = list(_run_ids(run_ids, model_uri, experiment, filter_string, options["tracking_uri"]))
    if model_uri:
        options["model_uri"] = model_uri
    fleet = Fleet(backend or "loky", jobs, gpus_per_run) if jobs or backend or gpus_per_run else None
    options["again"] = again or options["dry_run"] or experiment is None
    sweep = Sweep(ids, form, fail_on, keep=json_file is not None, attached=not options["dry_run"])
    sweep.run(fleet, select_checks=selected, **options)
    if json_file:
        write_file(json_file, sweep.as_json(), "--json")
    sys.exit(sweep.exit_code)


def _run_ids(
    run_ids: tuple[str, ...],
    model_uri: str | None,
    experiment: str | None,
    filter_string: str,
    tracking_uri: str | None,
) -> Iterable[str]:
    from mlflow_clfaudit.evidence.reader import run_of_model, search_runs

    if model_uri:
        return [run_of_model(model_uri, tracking_uri)]
    if experiment:
        return list(search_runs(experiment, filter_string, tracking_uri))
    if not run_ids:
        raise click.UsageError("give a RUN_ID, --experiment NAME or --model-uri models:/NAME/VERSION")
    return run_ids
