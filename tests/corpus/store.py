"""The cache of trained programs: one SQLite store, one small file per finished run."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from joblib import Parallel, delayed

from tests.corpus import log
from tests.corpus.program import Program, digest

ROOT = Path(__file__).parents[2] / ".corpus"
MODULES = ("cases", "healthy", "mutations")
LIBRARIES = ("keras", "tensorflow-cpu", "mlflow", "scikit-learn", "numpy")


@cache
def programs() -> dict[str, Program]:
    """Every program of the corpus by name."""
    found: dict[str, Program] = {}
    for module in MODULES:
        for program in import_module(f"tests.corpus.{module}").PROGRAMS:
            if program.name in found:
                raise ValueError(f"two programs are called {program.name}")
            found[program.name] = program
    return found


def tracking_uri(root: Path = ROOT) -> str:
    """The MLflow store that holds the trained runs."""
    return f"sqlite:///{root / 'mlflow.db'}"


@cache
def key(name: str, seed: int) -> str:
    """What the run of a program depends on: its code, the way it is logged, the seed and the libraries."""
    versions = [version(library) for library in LIBRARIES]
    return f"{name.replace('/', ' per ')}-{seed}-{digest(programs()[name].build, log.train_and_log, seed, versions)}"


def load(name: str, seed: int, root: Path = ROOT) -> log.Logged | None:
    """The finished run of a program, or None where it was not trained yet or has changed since."""
    path = root / "runs" / f"{key(name, seed)}.json"
    return log.Logged(**json.loads(path.read_text())) if path.exists() else None


def train(
    names: Sequence[str], seeds: Sequence[int], *, jobs: int = 2, root: Path = ROOT
) -> Iterator[tuple[str, int, log.Logged]]:
    """Train what is missing, yielding every run as it finishes; what is cached comes first."""
    wanted = [(name, seed) for name in names for seed in seeds]
    missing = []
    for name, seed in wanted:
        cached = load(name, seed, root)
        if cached is None:
            missing.append((name, seed))
        else:
            yield name, seed, cached
    if missing:
        create(root)
        work = (delayed(train_one)(name, seed, root) for name, seed in missing)
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(work)


def create(root: Path) -> None:
    """Make the store and its experiment before several processes race for them."""
    import mlflow

    (root / "runs").mkdir(parents=True, exist_ok=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    client = mlflow.MlflowClient(tracking_uri(root))
    if client.get_experiment_by_name("corpus") is None:
        client.create_experiment("corpus", artifact_location=(root / "artifacts").as_uri())


def train_one(name: str, seed: int, root: Path) -> tuple[str, int, log.Logged]:
    """Train one program in this process, quietly and on one thread, and remember its run."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(tracking_uri(root))
    logged = log.train_and_log(programs()[name], seed)
    target = root / "runs" / f"{key(name, seed)}.json"
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(asdict(logged)))
    partial.replace(target)
    return name, seed, logged
