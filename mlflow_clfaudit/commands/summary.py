"""`mlflow clfaudit summary`: an experiment at a glance."""

from __future__ import annotations

import sys

import click

from mlflow_clfaudit.commands.options import DRY_RUN, PAGE_FORMATS, TRACKING_URI, form_option, write_file


@click.command("summary")
@click.option("--experiment", required=True, help="The experiment, by name or id.")
@click.option("--filter", "filter_string", default="", help="An MLflow search filter; all runs when left out.")
@form_option(PAGE_FORMATS, "What is printed.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False), help="Write the page here too.")
@TRACKING_URI
@DRY_RUN
def summary_command(
    experiment: str, filter_string: str, form: str, html_file: str | None, tracking_uri: str | None, dry_run: bool
) -> None:
    """Sum up an experiment: verdicts over time, causes by count, worst runs, and what was not seen again."""
    from mlflow_clfaudit.evidence.audited import read_experiment
    from mlflow_clfaudit.report.overview import to_html
    from mlflow_clfaudit.report.summary import to_markdown, to_text
    from mlflow_clfaudit.summary import publish, summarise, to_json

    read = read_experiment(experiment, filter_string, tracking_uri)
    summary = summarise(read)
    if form == "text":
        click.echo(to_text(summary, color=sys.stdout.isatty()), nl=False)
    else:
        click.echo(to_json(summary) if form == "json" else to_markdown(summary), nl=False)
    if html_file:
        write_file(html_file, to_html(summary), "--html")
    if not dry_run:
        click.echo(f"  {'page':10}{publish(read, summary)}", err=form != "text")
