"""One row of the table: its environment, its commands, and what it came to."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.matrix.scripts import LOOK

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".matrix"


class Failed(Exception):
    """A step that did not do what it promises; the message says what it did."""


@dataclass
class Outcome:
    """What a row last came to."""

    date: str
    python: str
    packages: dict[str, str]
    # The SQLAlchemy that is installed unasked, where this MLflow cannot open a store with it.
    refused: str
    steps: dict[str, str]

    @property
    def failed(self) -> list[str]:
        return [name for name, word in self.steps.items() if word != "works"]


@dataclass
class Trial:
    """One row of the table: the environment that its steps run in, and what earlier steps left for later ones."""

    name: str
    requirements: tuple[str, ...]
    steps: Mapping[str, Callable[[Trial], None]]
    folder: Path = Path()
    environment: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    # The environment of this name is used instead of one of its own.
    shared: str = ""

    @property
    def place(self) -> Path:
        return HOME / f"mlflow-{self.shared or self.name}"

    @property
    def python(self) -> Path:
        return self.place / "bin" / "python"

    def call(self, *command: object, expected: int = 0, **environment: str) -> str:
        """The standard output of a command of the environment, its exit code being the expected one."""
        words = [str(word) for word in command]
        words[0] = str(self.place / "bin" / words[0])
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTHON"))}
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**clean, "TF_CPP_MIN_LOG_LEVEL": "3", "DO_NOT_TRACK": "true", **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )
        if done.returncode != expected:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
            raise Failed("\n".join([f"exit code {done.returncode} of {' '.join(command_of(words))}", *said]))
        return done.stdout

    def trained(self, script: str, **environment: str) -> list[str]:
        """The ids of the runs that a training script leaves."""
        (self.folder / "training.py").write_text(script)
        told = self.call("python", "training.py", **environment)
        return [line.split()[1] for line in told.splitlines() if line.startswith("trained ")]

    def look(self, run_id: str) -> dict[str, object]:
        """The tags, artifacts and status of a run, as this MLflow's client reads them."""
        found: dict[str, object] = json.loads(self.call("python", "-c", LOOK, run_id))
        return found


def command_of(words: list[str]) -> list[str]:
    return [Path(words[0]).name, *(word for word in words[1:] if len(word) < 100)]


def must(told: object, condition: bool) -> None:
    if not condition:
        raise Failed(str(told)[-1000:])
