"""`mlflow clfaudit doctor`: what works here and what does not, in ten lines, each with the next step."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from typing import TYPE_CHECKING

from mlflow_clfaudit.errors import AuditError, Missing, redacted
from mlflow_clfaudit.plugin import AUTO
from mlflow_clfaudit.report.plain import clean

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBE = "clfaudit.doctor"


class State(StrEnum):
    """How something stands: fine, worth knowing, or in the way of an audit."""

    OK = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    name: str
    state: State
    text: str


def examine(tracking_uri: str | None = None) -> Iterator[Line]:
    """Look at ten things, one after the other; never raises."""
    # One answer is enough, and who asks a doctor does not want to wait.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    yield _looked_at("package", _package)
    yield _looked_at("mlflow", _mlflow)
    yield _looked_at("keras", _keras)
    yield _looked_at("device", _device)
    yield _looked_at("optional", _optional)
    yield _looked_at("command", _command)
    yield _looked_at("hook", _hook)
    yield _looked_at("store", lambda: _store(tracking_uri))
    yield _looked_at("writing", lambda: _writing(tracking_uri))
    yield _looked_at("registry", lambda: _registry(tracking_uri))


def show(tracking_uri: str | None, *, color: bool) -> int:
    """Print the lines as they are found; the exit code: 3 where something is in the way of an audit."""
    import click

    colors = {State.OK: "green", State.NOTE: "yellow", State.BROKEN: "red"}
    broken = False
    for line in examine(tracking_uri):
        broken = broken or line.state is State.BROKEN
        state = click.style(f"{line.state:7}", fg=colors[line.state]) if color else f"{line.state:7}"
        click.echo(f"{state} {line.name:9} {line.text}")
    return AuditError.exit_code if broken else 0


def _looked_at(name: str, look: Callable[[], tuple[State, str]]) -> Line:
    try:
        state, text = look()
    except Exception as error:  # noqa: BLE001 - what is broken here may break in any way
        state, text = State.BROKEN, f"{type(error).__name__}: {error}"
    return Line(name, state, clean(redacted(text)).strip().partition("\n")[0][:300])


def _package() -> tuple[State, str]:
    too_old = []
    for requirement in requires("mlflow-clfaudit") or ():
        name, at_least = re.match(r"([\w.-]+)(?:>=([\d.]+))?", requirement).groups()  # type: ignore[union-attr]
        if "extra ==" in requirement or not at_least:
            continue
        installed, number = _installed(name)
        if _numbers(number) < _numbers(at_least):
            too_old.append(f"{installed} {number} is older than {at_least}")
    text = f"mlflow-clfaudit {version('mlflow-clfaudit')}, Python {platform.python_version()}"
    return (State.BROKEN, f"{text}: {', '.join(too_old)}") if too_old else (State.OK, text)


def _mlflow() -> tuple[State, str]:
    names = ("mlflow", "scikit-learn", "numpy", "pandas")
    return State.OK, ", ".join(" ".join(_installed(name)) for name in names)


def _installed(name: str) -> tuple[str, str]:
    """The name and version of an installed package; mlflow-skinny stands for mlflow where it is there alone."""
    try:
        return name, version(name)
    except PackageNotFoundError:
        if name != "mlflow":
            raise
        return "mlflow-skinny", version("mlflow-skinny")


def _keras() -> tuple[State, str]:
    from mlflow_clfaudit.evidence.keras_backend import import_keras

    try:
        keras = import_keras(None, "auto")
    except Missing as missing:
        return State.NOTE, f"{missing.reason}: Keras models are judged by their files alone; {missing.how_to_supply}"
    text = f"keras {keras.__version__} on {keras.backend.backend()} {_backend_version(keras.backend.backend())}"
    safe = _safe_keras()
    if _numbers(keras.__version__) < _numbers(safe):
        text = f"{text}: before {safe} a model can run its own code in safe mode"
        return State.NOTE, f'{text}; pip install "keras>={safe}"'
    return State.OK, text


def _safe_keras() -> str:
    """The lowest Keras that the extras ask for: no hole in its safe mode is known."""
    asked = (re.match(r"keras>=([\d.]+)", requirement) for requirement in requires("mlflow-clfaudit") or ())
    return next((found[1] for found in asked if found), "0")


def _backend_version(backend: str) -> str:
    for name in (backend, f"{backend}-cpu"):
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return ""


def _device() -> tuple[State, str]:
    from mlflow_clfaudit.evidence.keras_backend import device_name, import_keras

    try:
        device = device_name(import_keras(None, "auto"))
    except Missing:
        return State.NOTE, "no backend of Keras to ask"
    return State.OK, f"models run on the {device}, {os.cpu_count()} processor cores"


def _optional() -> tuple[State, str]:
    found = [
        name
        for name in ("skops", "tensorflow", "jax", "torch", "xgboost", "lightgbm", "catboost")
        if _is_installed(name)
    ]
    checks = [entry.name for entry in entry_points(group="mlflow_clfaudit.checks")]
    text = f"installed: {', '.join(found) or 'nothing'}; checks of other packages: {', '.join(checks) or 'none'}"
    return State.OK, text


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _command() -> tuple[State, str]:
    if not list(entry_points(group="mlflow.run_context_provider", name="clfaudit")):
        return State.BROKEN, "MLflow does not know the plugin: install the package with pip, do not only copy it"
    import mlflow.cli

    if "clfaudit" not in mlflow.cli.cli.commands:
        return State.BROKEN, "`mlflow clfaudit` is missing from MLflow's command line; `mlflow-clfaudit` works"
    return State.OK, "`mlflow clfaudit` and `mlflow-clfaudit`"


def _hook() -> tuple[State, str]:
    import mlflow  # noqa: F401 - what the environment asks for is installed by it

    from mlflow_clfaudit import hook
    from mlflow_clfaudit.hook.settings import problem_of_environment

    asked = os.environ.get(AUTO)
    settings = hook.active()
    if settings is not None:
        problem = problem_of_environment(os.environ)
        how = f"on: mode {settings.mode}, inputs {settings.inputs} up to {settings.max_input_mb:g} MB"
        return (State.NOTE, f"{how}; defaults, for {problem}") if problem else (State.OK, how)
    if asked is None:
        return State.OK, f"off: {AUTO} is not set; {AUTO}=1 audits every run that a script here ends"
    if asked.strip().lower() in ("1", "true"):
        return State.BROKEN, f"off though {AUTO}={asked}: MLflow did not load the plugin; see the line of the command"
    return State.NOTE, f"off: {AUTO}={asked!r} is neither 1 nor true"


def _client(tracking_uri: str | None) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri)


def _store(tracking_uri: str | None) -> tuple[State, str]:
    client = _client(tracking_uri)
    began = time.perf_counter()
    try:
        client.search_experiments(max_results=1)
    except Exception as error:  # noqa: BLE001 - requests' and SQLAlchemy's errors differ
        return State.BROKEN, f"{client.tracking_uri} did not answer: {error}"
    return State.OK, f"{client.tracking_uri} answered in {(time.perf_counter() - began) * 1000:.0f} ms"


def _writing(tracking_uri: str | None) -> tuple[State, str]:
    """Set a tag on the last run and delete it again: the one thing that leaves no trace."""
    client = _client(tracking_uri)
    try:
        experiments = [item.experiment_id for item in client.search_experiments(max_results=1000)]
        runs = client.search_runs(experiments, max_results=1)
    except Exception:  # noqa: BLE001 - the line before says why
        return State.NOTE, "not tried: the store did not answer"
    if not runs:
        return State.NOTE, "not tried: the store has no run yet"
    run_id = runs[0].info.run_id
    try:
        client.set_tag(run_id, PROBE, "a tag that is deleted at once")
        client.delete_tag(run_id, PROBE)
    except Exception as error:  # noqa: BLE001 - stores differ in what they raise
        return State.BROKEN, f"tags of run {run_id} cannot be written, only --dry-run works: {error}"
    try:
        client.list_artifacts(run_id)
    except Exception as error:  # noqa: BLE001 - the same
        return State.BROKEN, f"tags can be written, but the artifacts of run {run_id} cannot be read: {error}"
    return State.OK, f"a tag was set and deleted on run {run_id}, its artifacts were listed"


def _registry(tracking_uri: str | None) -> tuple[State, str]:
    try:
        found = _client(tracking_uri).search_registered_models(max_results=1)
    except Exception as error:  # noqa: BLE001 - not every store has one
        return State.NOTE, f"no model registry: {error}"
    return State.OK, "the model registry answered" + ("" if found else "; it has no models")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
