"""`make test-matrix`: the main path with each MLflow that the project claims, and on stores that are not SQLite.

Each MLflow lies in a virtual environment of its own under `.matrix/`; what runs in it are plain scripts and the
commands that a user types. The outcome is a table in docs/versions.md; a step that fails fails the target. Only the
standard library is imported here, so that any Python starts it.

    python -m tests.matrix            # everything
    python -m tests.matrix 2.22 S3    # the rows of these names; the page keeps what the others last came to
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
import urllib.request
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import free_port, mlflow_server, wait

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "versions.md"
HOME = ROOT / ".matrix"
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHOWN = ("sqlalchemy", "numpy", "pandas", "pyarrow", "scikit-learn", "keras", "tensorflow-cpu")
# These allow any SQLAlchemy 2 and fail on 2.1.
OLDER = ("sqlalchemy<2.1",)

ARRAYS = """
import sys
import mlflow, numpy as np

random = np.random.default_rng(0)
x = random.normal(size=(900, 4)).astype("float32")
y = (x.sum(axis=1) + random.normal(scale=0.5, size=900) > 0).astype("int64")
splits = {"train": slice(0, 500), "val": slice(500, 700), "test": slice(700, 900)}
named = {"name": "model"} if int(mlflow.__version__.split(".")[0]) >= 3 else {"artifact_path": "model"}

def log_arrays():
    for split, rows in splits.items():
        for kind, array in (("X", x), ("y", y)):
            np.save(f"{kind}_{split}.npy", array[rows])
            mlflow.log_artifact(f"{kind}_{split}.npy", "data")
"""

NETWORK = """
import keras

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, sys.argv[1])])
model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
held_out = (x[splits["val"]], y[splits["val"]])
"""

KERAS = f"""{ARRAYS}{NETWORK}
with mlflow.start_run() as run:
    history = model.fit(x[:500], y[:500], validation_data=held_out, epochs=15, verbose=0).history
    for name, curve in history.items():
        for step, value in enumerate(curve):
            mlflow.log_metric(name, value, step=step)
    log_arrays()
    mlflow.keras.log_model(model, pip_requirements=["keras"], **named)
print(run.info.run_id)
"""

AUTOLOGGED = f"""{ARRAYS}{NETWORK}
mlflow.keras.autolog()
with mlflow.start_run() as run:
    model.fit(x[:500], y[:500], validation_data=held_out, epochs=3, verbose=0)
print(run.info.run_id)
"""

SKLEARN = f"""{ARRAYS}
from sklearn.linear_model import LogisticRegression

with mlflow.start_run() as run:
    model = LogisticRegression().fit(x[:500], y[:500])
    mlflow.log_metric("test_accuracy", model.score(x[splits["test"]], y[splits["test"]]))
    log_arrays()
    mlflow.sklearn.log_model(model, pip_requirements=["scikit-learn"], **named)
print(run.info.run_id)
"""

LOOK = """
import json, sys
from mlflow import MlflowClient

client = MlflowClient()
run = client.get_run(sys.argv[1])
paths = [item.path for item in client.list_artifacts(sys.argv[1], "clfaudit")]
print(json.dumps({"tags": run.data.tags, "paths": paths, "status": run.info.status}))
"""


class Failed(Exception):
    """A step that did not do what it promises; the message says what it did."""


@dataclass
class Trial:
    """One row of the table: the environment that its steps run in, and what earlier steps left for later ones."""

    name: str
    requirements: tuple[str, ...]
    steps: Mapping[str, Callable[[Trial], None]]
    folder: Path = Path()
    environment: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    # The environment of this name is used instead of one of its own.
    shared: str = ""

    @property
    def place(self) -> Path:
        return HOME / f"mlflow-{self.shared or self.name}"

    @property
    def python(self) -> Path:
        return self.place / "bin" / "python"

    @property
    def memory(self) -> Path:
        """Where its last outcomes are kept."""
        return HOME / f"{self.name}.json"

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

    def trained(self, script: str, *arguments: str, **environment: str) -> str:
        """The id of the run that a training script leaves."""
        (self.folder / "training.py").write_text(script)
        return self.call("python", "training.py", *arguments, **environment).split()[-1]

    def look(self, run_id: str) -> dict[str, object]:
        """The tags, artifacts and status of a run, as this MLflow's client reads them."""
        found: dict[str, object] = json.loads(self.call("python", "-c", LOOK, run_id))
        return found


def command_of(words: list[str]) -> list[str]:
    return [Path(words[0]).name, *(word for word in words[1:] if len(word) < 100)]


def must(told: object, condition: bool) -> None:
    if not condition:
        raise Failed(str(told)[-1000:])


def train(trial: Trial) -> None:
    """A network whose one unit has a softmax, and the same network with a sigmoid."""
    trial.runs["faulty"] = trial.trained(KERAS, "softmax")
    trial.runs["healthy"] = trial.trained(KERAS, "sigmoid")


def audit(trial: Trial) -> None:
    told = trial.call("mlflow", "clfaudit", trial.runs["faulty"], expected=1)
    must(told, "softmax-on-one-unit" in told)


def audit_json(trial: Trial) -> None:
    report = json.loads(trial.call("mlflow-clfaudit", trial.runs["healthy"], "--format", "json"))
    must(report["headline"], report["verdict"] == "healthy" and "200 validation rows" in report["headline"])


def written(trial: Trial) -> None:
    """What the audits left: verdicts as tags, reports as artifacts, and the run FINISHED as it was."""
    for kind, cause in (("faulty", "softmax-on-one-unit"), ("healthy", "none")):
        seen = trial.look(trial.runs[kind])
        must(seen, seen["tags"].get("clfaudit.verdict") == kind)
        must(seen, seen["tags"].get("clfaudit.root_cause") == cause)
        must(seen, {"clfaudit/report.html", "clfaudit/report.json"} <= {*seen["paths"]})
        must(seen, seen["status"] == "FINISHED")


def hook(trial: Trial) -> None:
    """An unchanged script with autologging: nothing but a variable of the environment asks for the audit."""
    run_id = trial.trained(AUTOLOGGED, "softmax", MLFLOW_CLFAUDIT_AUTO="1")
    seen = trial.look(run_id)
    must(seen, seen["tags"].get("clfaudit.root_cause") == "softmax-on-one-unit")


def doctor(trial: Trial) -> None:
    told = trial.call("mlflow", "clfaudit", "doctor")
    must(told, "broken" not in told)


def estimator(trial: Trial) -> None:
    """A model of scikit-learn, which MLflow before 3.11 logs as a pickle."""
    audited_estimator(trial)


def audited_estimator(trial: Trial, **environment: str) -> None:
    run_id = trial.trained(SKLEARN, **environment)
    told = trial.call("mlflow-clfaudit", run_id, "--allow-unsafe", "--format", "json", **environment)
    report = json.loads(told)
    must(report["headline"], report["verdict"] == "healthy" and "200 validation rows" in report["headline"])


def server(trial: Trial) -> None:
    """Through this MLflow's own server, which proxies the artifacts."""
    (folder := trial.folder / "server").mkdir()
    with mlflow_server(folder, python=trial.python) as address:
        audited_estimator(trial, MLFLOW_TRACKING_URI=address)


def files(trial: Trial) -> None:
    """A file store, where this MLflow allows one."""
    audited_estimator(trial, MLFLOW_TRACKING_URI=(trial.folder / "files").as_uri(), MLFLOW_ALLOW_FILE_STORE="true")


def end_to_end(trial: Trial) -> None:
    """Train, audit, look."""
    train(trial)
    audit(trial)
    audit_json(trial)
    written(trial)


@contextlib.contextmanager
def started(command: list[str], folder: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is ended with the block."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def postgres(trial: Trial) -> None:
    """A cluster of Debian's PostgreSQL, made and ended here; it refuses to run as root."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    (folder := trial.folder / "postgres").mkdir()
    options: dict[str, object] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        trial.folder.chmod(0o755)
        options = {"user": "postgres", "group": "postgres", "extra_groups": []}
    tools = installed[-1].parent
    command = [tools / "initdb", "--pgdata", folder / "data", "--username", "audits", "--auth", "trust"]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    port = free_port()
    serve = [tools / "postgres", "-D", folder / "data", "-p", port, "-k", folder, "-h", "127.0.0.1"]
    with started([str(word) for word in serve], folder, **options):
        deadline = time.monotonic() + 60
        ready = [str(tools / "pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", str(port)]
        while subprocess.run(ready, check=False).returncode != 0:
            must((folder / "log").read_text(), time.monotonic() < deadline)
            time.sleep(0.2)
        trial.environment["MLFLOW_TRACKING_URI"] = f"postgresql+psycopg2://audits@127.0.0.1:{port}/postgres"
        end_to_end(trial)
        doctor(trial)


def s3(trial: Trial) -> None:
    """Artifacts in a bucket of moto's server, which speaks S3's protocol."""
    (folder := trial.folder / "s3").mkdir()
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(trial.place / "bin" / "moto_server"), "--host", "127.0.0.1", "--port", str(port)]
    with started(command, folder) as process:
        wait(address, process, folder / "log")
        request = urllib.request.Request(f"{address}/audits", method="PUT")  # noqa: S310 - ours
        urllib.request.urlopen(request).close()  # noqa: S310 - ours
        trial.environment |= {
            "MLFLOW_S3_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "audits",
            "AWS_SECRET_ACCESS_KEY": "audits",
            "AWS_DEFAULT_REGION": "us-east-1",
            "MLFLOW_EXPERIMENT_NAME": "s3",
        }
        trial.call("mlflow", "experiments", "create", "-n", "s3", "-l", "s3://audits/runs")
        end_to_end(trial)


def skinny(trial: Trial) -> None:
    """A run that others trained, on their server, audited by a client without TensorFlow and without full MLflow."""
    (folder := trial.folder / "server").mkdir()
    trainer = Trial("trainer", (), {}, trial.folder, shared=NEWEST)
    with mlflow_server(folder, python=trainer.python) as address:
        trainer.environment["MLFLOW_TRACKING_URI"] = trial.environment["MLFLOW_TRACKING_URI"] = address
        train(trainer)
        trial.runs = trainer.runs
        audit(trial)
        told = trial.call("mlflow-clfaudit", trial.runs["healthy"])
        must(told, "no Keras backend is installed here" in told)
        seen = trial.look(trial.runs["faulty"])
        must(seen, seen["tags"].get("clfaudit.root_cause") == "softmax-on-one-unit")
        must(seen, "clfaudit/report.html" in seen["paths"])
        doctor(trial)


MAIN = {
    "train": train,
    "`mlflow clfaudit`": audit,
    "`--format json`": audit_json,
    "tags and report": written,
    "hook": hook,
    "doctor": doctor,
    "scikit-learn": estimator,
    "server": server,
    "file store": files,
}
NEWEST = "newest"

BESIDE = {
    "skinny": "`mlflow-skinny` {} as the client of a server: both commands, tags and report, doctor; without a backend "
    "of Keras the model is judged by its files alone, and the report says so",
    "PostgreSQL": "PostgreSQL {} as the tracking store: train, both commands, tags and report, doctor",
    "S3": "artifacts in S3 (moto {}): train, both commands, tags and report",
}
PAGE_TEXT = """\
# Versions

What was tried with which MLflow, each in an environment of its own: plain scripts that train, and the commands that a
user types. Written by `make test-matrix`, which fails where a step does. Python {python} on Linux; other Pythons and
other systems were not tried.

{outcomes}

- train: a Keras network with a softmax on its one unit, and the same with a sigmoid, logged by
  `mlflow.keras.log_model` with the arrays of all splits as artifacts. The store is SQLite.
- `mlflow clfaudit` names softmax-on-one-unit and exits with 1; `mlflow-clfaudit RUN_ID --format json` finds the other
  network healthy, judged on its 200 validation rows.
- hook: an unchanged script with `mlflow.keras.autolog()` under `MLFLOW_CLFAUDIT_AUTO=1`.
- scikit-learn, server, file store: a LogisticRegression, audited with `--allow-unsafe` because older MLflow logs
  pickles; on SQLite, through `mlflow server` of that version, which proxies the artifacts, and on a file store (with
  `MLFLOW_ALLOW_FILE_STORE=true` where MLflow asks for it).

{beside}

The package asks pip for the whole of MLflow. Beside mlflow-skinny it is installed with `pip install --no-deps`, and
the rest of its dependencies by name.

{installed}

MLflow up to 3.5 allows any SQLAlchemy 2, is given 2.1, and fails on it: `pip install 'sqlalchemy<2.1'`.
"""


def trials() -> list[Trial]:
    """The rows."""
    project = f"{ROOT}[tensorflow]"
    lean = tuple(item for item in DECLARED["dependencies"] if not item.startswith("mlflow"))
    return [
        *(Trial(name, (project, f"mlflow=={name}.*", *OLDER), MAIN) for name in ("2.22", "3.1", "3.5")),
        Trial(NEWEST, (project, "mlflow", "psycopg2-binary", "boto3", "moto[server]"), MAIN),
        Trial("skinny", ("mlflow-skinny", *lean), {"client of a server": skinny}),
        Trial("PostgreSQL", (), {"end to end": postgres}, shared=NEWEST),
        Trial("S3", (), {"end to end": s3}, shared=NEWEST),
    ]


def install(trial: Trial) -> None:
    """Make the environment, unless one with these requirements is there."""
    stamp = trial.place / "installed"
    wanted = "\n".join([*trial.requirements, json.dumps(DECLARED)])
    if trial.shared or (stamp.is_file() and stamp.read_text() == wanted):
        return
    venv.create(trial.place, with_pip=True, clear=True)
    pip = [str(trial.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    editable = [
        word for item in trial.requirements for word in (["-e", item] if item.startswith(str(ROOT)) else [item])
    ]
    subprocess.run([*pip, *editable], check=True)
    if not any(item.startswith(str(ROOT)) for item in trial.requirements):
        # The package asks for the whole of MLflow.
        subprocess.run([*pip, "--no-deps", "-e", str(ROOT)], check=True)
    stamp.write_text(wanted)


def tried(trial: Trial) -> None:
    """Go through the steps; one that fails leaves a word and its traceback, and the others go on."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trial.folder = Path(folder)
        trial.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        for name, step in trial.steps.items():
            start = time.monotonic()
            try:
                step(trial)
                trial.outcomes[name] = "works"
            except Exception:  # noqa: BLE001 - a row that breaks is a result
                trial.outcomes[name] = "FAILS"
                traceback.print_exc()
            print(f"{trial.name:12} {name:20} {trial.outcomes[name]} ({time.monotonic() - start:.0f} s)", flush=True)
    trial.memory.write_text(json.dumps(trial.outcomes))


def versions(trial: Trial) -> dict[str, str]:
    listed = subprocess.run(
        [str(trial.python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {item["name"].lower().replace("_", "-"): item["version"] for item in json.loads(listed.stdout)}
    clusters = [path.parents[1].name for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return {**found, "postgresql": max(clusters, default="")}


def page(rows: list[Trial]) -> str:
    """The page, in Markdown, of the rows that were tried."""
    found = {trial.name: versions(trial) for trial in rows}
    main = [trial for trial in rows if trial.steps is MAIN]
    outcomes = [[found[trial.name]["mlflow"], *(trial.outcomes[name] for name in MAIN)] for trial in main]
    installed = [[found[trial.name].get(name, "–") for name in ("mlflow", *SHOWN)] for trial in main]
    packages = {"PostgreSQL": "postgresql", "S3": "moto", "skinny": "mlflow-skinny"}
    beside = [
        [BESIDE[trial.name].format(found[trial.name][packages[trial.name]]), *trial.outcomes.values()]
        for trial in rows
        if trial not in main
    ]
    return PAGE_TEXT.format(
        python=sys.version.split()[0],
        outcomes=lines_of(["MLflow", *MAIN], outcomes),
        beside=lines_of(["beside the newest MLflow", "outcome"], beside),
        installed=lines_of(["MLflow", *SHOWN], installed),
    )


def lines_of(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table."""
    titles = list(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in (titles, ["---"] * len(titles), *rows))


def main() -> None:
    words = sys.argv[1:]
    rows = trials()
    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        print("PostgreSQL is not installed here, and is left out: apt-get install postgresql", flush=True)
        rows = [trial for trial in rows if trial.name != "PostgreSQL"]
    for trial in rows:
        if not words or trial.name in words:
            install(trial)
            tried(trial)
        elif trial.memory.is_file():
            trial.outcomes = json.loads(trial.memory.read_text())
    known = [trial for trial in rows if trial.outcomes]
    PAGE.write_text(page(known))
    print(f"docs/{PAGE.name}")
    failed = [f"{trial.name}: {name}" for trial in known for name, found in trial.outcomes.items() if found != "works"]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
