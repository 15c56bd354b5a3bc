"""The environments under .matrix/, made by uv, which shares files between them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

from tests.matrix.scripts import OPENING
from tests.matrix.trial import HOME, ROOT, Failed, Trial

DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OLDER_SQLALCHEMY = "sqlalchemy<2.1"


def lowest_versions() -> dict[str, str]:
    """The lowest version of every dependency that a user of Keras on TensorFlow has, on this kind of machine."""
    declared = [*DECLARED["dependencies"], *DECLARED["optional-dependencies"]["tensorflow"]]
    bounds = [item.split(";")[0].split(">=") for item in declared if "!=" not in item]
    return dict(bounds)


def uv(*words: object) -> str:
    """What uv says; it comes from PyPI into an environment of its own."""
    place = HOME / "uv"
    if not (place / "bin" / "uv").is_file():
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([place / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
    command = [str(word) for word in (place / "bin" / "uv", *words)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def install(trial: Trial) -> None:
    """Make the environment, unless one with these requirements is there."""
    stamp = trial.place / "installed"
    wanted = "\n".join([*trial.requirements, json.dumps(DECLARED)])
    if trial.shared or (stamp.is_file() and stamp.read_text() == wanted):
        return
    uv("venv", "--quiet", "--clear", "--seed", "--python", sys.executable, trial.place)
    add = ("pip", "install", "--quiet", "--python", trial.python)
    editable = [
        word for item in trial.requirements for word in (["-e", item] if item.startswith(str(ROOT)) else [item])
    ]
    uv(*add, *editable)
    if not any(item.startswith(str(ROOT)) for item in trial.requirements):
        # The package asks for the whole of MLflow.
        uv(*add, "--no-deps", "-e", ROOT)
    elif not opens(trial):
        (trial.place / "refused").write_text(versions(trial)["sqlalchemy"])
        uv(*add, OLDER_SQLALCHEMY)
    stamp.write_text(wanted)


def opens(trial: Trial) -> bool:
    """Whether this MLflow can open an SQLite store with the SQLAlchemy that came with it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trial.folder = Path(folder)
        try:
            trial.call("python", "-c", OPENING, MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db")
        except Failed as failure:
            print(f"{trial.name}: SQLAlchemy is too new: {str(failure).splitlines()[-1]}", flush=True)
            return False
    return True


def versions(trial: Trial) -> dict[str, str]:
    listed = json.loads(uv("pip", "list", "--quiet", "--format", "json", "--python", trial.python))
    found = {item["name"].lower().replace("_", "-"): item["version"] for item in listed}
    clusters = [path.parents[1].name for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return {**found, "postgresql": max(clusters, default="")}
