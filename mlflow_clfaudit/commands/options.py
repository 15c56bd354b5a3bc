"""The options that several commands share, and how their words are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FORMATS = ("text", "json", "jsonl", "markdown", "github")
PAGE_FORMATS = ("text", "markdown", "json")

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


def form_option(choices: tuple[str, ...], text: str) -> Callable[[Any], Any]:
    return click.option("--format", "form", type=click.Choice(choices), default="text", show_default=True, help=text)


def pairs(given: tuple[str, ...], form: str) -> dict[str, str]:
    pairs = [item.partition("=") for item in given]
    if any(not separator or not value for _, separator, value in pairs):
        raise click.UsageError(f"expected {form}")
    return {key: value for key, _, value in pairs}


def write_file(path: str, text: str, option: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{option} {path}: {error.strerror}") from None
