"""`mlflow clfaudit` and `mlflow-clfaudit`: parse, call audit_run, print."""

from __future__ import annotations

import contextlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from mlflow_clfaudit import __version__
from mlflow_clfaudit.errors import AuditError, redacted
from mlflow_clfaudit.fleet import BACKENDS, Fleet
from mlflow_clfaudit.sweep import Sweep, as_json, exit_code, show
from mlflow_clfaudit.types import Severity, Word

FORMATS = ("text", "json", "jsonl", "markdown", "github")
PAGE_FORMATS = ("text", "markdown", "json")

# Options that several commands share.
TIER = click.option(
    "--tier",
    type=click.Choice(["static", "forward", "probe"]),
    default="probe",
    show_default=True,
    help="The dearest tier: files only, one pass of the model, or short counterfactual trainings.",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="Where models run.",
)
BUDGET = click.option(
    "--budget", default=20.0, show_default=True, help="Seconds for the counterfactual trainings of a run."
)
TRACKING_URI = click.option("--tracking-uri", help="The tracking store; MLFLOW_TRACKING_URI when left out.")
REDACT = click.option("--redact", is_flag=True, help="Leave the names of classes, files and the run out of the report.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Write nothing to MLflow.")


def _format(choices: tuple[str, ...], text: str) -> Callable[[Any], Any]:
    return click.option("--format", "form", type=click.Choice(choices), default="text", show_default=True, help=text)


class RunIdGroup(click.Group):
    """A group whose unknown first word is a run id: `clfaudit RUN_ID` is `clfaudit run RUN_ID`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {*self.commands, "--help", "-h", "--version"}
        if args and args[0] not in known:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """The one error boundary: whatever is not foreseen is one line and exit 3, never a traceback or exit 1."""
        try:
            return super().invoke(ctx)
        except AuditError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted; runs that were audited keep their reports", err=True)
            ctx.exit(130)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - said above
            text = redacted(f"error: {type(error).__name__}: {error}; this is a fault of mlflow-clfaudit")
            click.echo(text, err=True)
            ctx.exit(AuditError.exit_code)


@click.group("clfaudit", cls=RunIdGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlflow-clfaudit")
def cli() -> None:
    """Find out why a logged classifier is wrong, and prove it.

    \b
    mlflow clfaudit RUN_ID        audit a run
    mlflow clfaudit explain NAME  what a check looks for
    mlflow clfaudit repair RUN_ID apply the proven fixes, log the result beside the run
    mlflow clfaudit review RUN_ID what a person decided about it
    mlflow clfaudit diff A B      what changed from one run to the next
    mlflow clfaudit summary       an experiment at a glance
    mlflow clfaudit watch         audit every run that finishes
    mlflow clfaudit promote N V   move an alias to a version that passes
    mlflow clfaudit doctor        what works here and what does not
    """


@cli.command("run")
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
@_format(FORMATS, "What is printed; a machine-readable format prints nothing else on stdout.")
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
    options["labels"] = _pairs(options["labels"], "--labels SPLIT=PATH")
    options["inputs"] = _pairs(options["inputs"], "--inputs SPLIT=PATH")
    options["metrics"] = _pairs(options["metrics"], "--metric NAME=METRIC")
    options["ignore"] = _pairs(options["ignore"], "--ignore NAME=REASON")
    ids = list(_run_ids(run_ids, model_uri, experiment, filter_string, options["tracking_uri"]))
    if model_uri:
        options["model_uri"] = model_uri
    fleet = Fleet(backend or "loky", jobs, gpus_per_run) if jobs or backend or gpus_per_run else None
    options["again"] = again or options["dry_run"] or experiment is None
    sweep = Sweep(ids, form, fail_on, keep=json_file is not None, attached=not options["dry_run"])
    sweep.run(fleet, select_checks=selected, **options)
    if json_file:
        _write(json_file, sweep.as_json(), "--json")
    sys.exit(sweep.exit_code)


@cli.command("list")
def list_command() -> None:
    """List every check by area."""
    from mlflow_clfaudit.registry import all_checks

    area = ""
    for check in all_checks().values():
        if check.area != area:
            area = check.area
            click.echo(f"\n{area}" if area else area)
        click.echo(f"  {check.name:32} {check.severity:8} {check.summary}")


@cli.command("explain")
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


@cli.command("repair")
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
@_format(("text", "json"), "What is printed.")
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

    options["labels"] = _pairs(options["labels"], "--labels SPLIT=PATH")
    options["inputs"] = _pairs(options["inputs"], "--inputs SPLIT=PATH")
    if seed is not None:
        options["seed"] = seed
    screen = Console(stderr=True)
    with screen.status("…") if screen.is_terminal else contextlib.nullcontext() as status:

        def tell(text: str) -> None:
            if status is not None:
                status.update(escape(text))

        repaired = repair_run(run_id, select_checks=selected, dry_run=dry_run, telling=tell, **options)
    if form == "json":
        import json

        click.echo(json.dumps(to_dict(repaired), indent=2))
    else:
        click.echo(to_text(repaired, dry_run=dry_run))
    sys.exit(0 if repaired.overall is not None else 1)


@cli.command("review")
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
    reasons = _pairs(ignore, "--ignore NAME=REASON")
    click.echo(give(run_id, words, ignore=reasons, withdraw=withdraw, tracking_uri=tracking_uri))


@cli.command("diff")
@click.argument("run_a")
@click.argument("run_b")
@_format(PAGE_FORMATS, "What is printed; markdown is for a pull request.")
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


@cli.command("summary")
@click.option("--experiment", required=True, help="The experiment, by name or id.")
@click.option("--filter", "filter_string", default="", help="An MLflow search filter; all runs when left out.")
@_format(PAGE_FORMATS, "What is printed.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False), help="Write the page here too.")
@TRACKING_URI
@DRY_RUN
def summary_command(
    experiment: str, filter_string: str, form: str, html_file: str | None, tracking_uri: str | None, dry_run: bool
) -> None:
    """Sum up an experiment: verdicts over time, causes by count, worst runs, and what was not seen again."""
    from mlflow_clfaudit.evidence.audited import read_experiment
    from mlflow_clfaudit.report.overview import to_html
    from mlflow_clfaudit.summary import publish, summarise, to_json, to_markdown, to_text

    read = read_experiment(experiment, filter_string, tracking_uri)
    summary = summarise(read)
    if form == "text":
        click.echo(to_text(summary, color=sys.stdout.isatty()), nl=False)
    else:
        click.echo(to_json(summary) if form == "json" else to_markdown(summary), nl=False)
    if html_file:
        _write(html_file, to_html(summary), "--html")
    if not dry_run:
        click.echo(f"  {'page':10}{publish(read, summary)}", err=form != "text")


@cli.command("watch")
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


@cli.command("promote")
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
@_format(FORMATS, "How the report is printed; what became of the alias is on stderr.")
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


@cli.command("doctor")
@TRACKING_URI
def doctor_command(tracking_uri: str | None) -> None:
    """Say in ten lines what works here: versions, device, hook, tracking store. Exits with 3 where an audit cannot."""
    from mlflow_clfaudit.doctor import show

    sys.exit(show(tracking_uri, color=sys.stdout.isatty()))


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


def _pairs(given: tuple[str, ...], form: str) -> dict[str, str]:
    pairs = [item.partition("=") for item in given]
    if any(not separator or not value for _, separator, value in pairs):
        raise click.UsageError(f"expected {form}")
    return {key: value for key, _, value in pairs}


def _write(path: str, text: str, option: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{option} {path}: {error.strerror}") from None


def main() -> None:
    """The console script."""
    cli(prog_name="mlflow-clfaudit")


if __name__ == "__main__":
    main()
