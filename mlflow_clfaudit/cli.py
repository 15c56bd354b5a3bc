"""`mlflow clfaudit` and `mlflow-clfaudit`: the group of commands, and where every error becomes an exit code."""

from __future__ import annotations

from typing import Any

import click

from mlflow_clfaudit import __version__
from mlflow_clfaudit.commands.diff import diff_command
from mlflow_clfaudit.commands.doctor import doctor_command
from mlflow_clfaudit.commands.explain import explain_command, list_command
from mlflow_clfaudit.commands.promote import promote_command
from mlflow_clfaudit.commands.repair import repair_command
from mlflow_clfaudit.commands.review import review_command
from mlflow_clfaudit.commands.run import run_command
from mlflow_clfaudit.commands.summary import summary_command
from mlflow_clfaudit.commands.watch import watch_command
from mlflow_clfaudit.errors import AuditError, redacted


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


for command in (
    run_command,
    list_command,
    explain_command,
    repair_command,
    review_command,
    diff_command,
    summary_command,
    watch_command,
    promote_command,
    doctor_command,
):
    cli.add_command(command)


def main() -> None:
    """The console script."""
    cli(prog_name="mlflow-clfaudit")


if __name__ == "__main__":
    main()
