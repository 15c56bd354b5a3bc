"""`python -m tests.corpus`: train the corpus, and list what it holds."""

from __future__ import annotations

import time

import click

from tests.corpus.program import Program
from tests.corpus.store import programs, train


def chosen(family: str | None, only: tuple[str, ...]) -> list[Program]:
    """The programs of a family, or the named ones, or all."""
    everything = programs().values()
    unknown = set(only) - {program.name for program in everything}
    if unknown:
        raise click.BadParameter(f"no program is called {', '.join(sorted(unknown))}")
    return [p for p in everything if (not family or p.family == family) and (not only or p.name in only)]


def numbers(_: click.Context, __: click.Parameter, text: str) -> list[int]:
    """Comma-separated seeds."""
    return [int(word) for word in text.split(",")]


@click.group()
def corpus() -> None:
    """Training programs with known faults, logged as MLflow runs under .corpus/."""


@corpus.command("train")
@click.option("--family", help="Only this family.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this program; may be repeated.")
@click.option("--seeds", default="0,1,2,3,4,5", callback=numbers, help="Comma-separated seeds.")
@click.option("--jobs", default=2, help="Processes.")
def train_command(family: str | None, only: tuple[str, ...], seeds: list[int], jobs: int) -> None:
    """Train what is not trained yet, and print what was measured on each run."""
    started = time.perf_counter()
    count = 0
    for name, seed, run in train([program.name for program in chosen(family, only)], seeds, jobs=jobs):
        count += 1
        shown = " ".join(
            f"{label} {value:.3f}"
            for label, value in (
                ("balanced", run.balanced_accuracy),
                ("accuracy", run.accuracy),
                ("reported", run.reported),
                ("brier", run.brier),
                ("loss", (run.metrics or {}).get("loss")),
            )
            if value is not None
        )
        click.echo(f"{name:44s} {seed}  {run.seconds:5.1f} s  {shown}  {run.failed or ''}  {run.run_id}")
    click.echo(f"{count} runs in {time.perf_counter() - started:.0f} s")


@corpus.command("list")
@click.option("--family", help="Only this family.")
def list_command(family: str | None) -> None:
    """Print every program with its truth."""
    for program in chosen(family, ()):
        expected = "healthy" if program.healthy else ", ".join(program.truth)
        click.echo(f"{program.family:16s} {program.name:44s} {expected}{' (harmless)' if program.harmless else ''}")


@corpus.command("matrix")
def matrix_command() -> None:
    """Write fault_matrix.json anew."""
    from tests.corpus import matrix

    matrix.write()


if __name__ == "__main__":
    corpus()
