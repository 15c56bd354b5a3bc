"""`make test-matrix`: the main path with each MLflow that the project claims, with the lowest version of every
dependency, and on stores that are not SQLite.

Each MLflow lies in a virtual environment of its own under `.matrix/`, made by uv, which shares files between them; what
runs in it are plain scripts and the commands that a user types. What a row came to is kept in tests/matrix.json, and
docs/versions.md is its table; a step that fails fails the target. Only the standard library is imported here, so that
any Python starts it.

    python -m tests.matrix            # everything
    python -m tests.matrix 2.22 S3    # the rows of these names; the page keeps what the others last came to
"""

from __future__ import annotations

import contextlib
import datetime as dt
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
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.servers import free_port, mlflow_server, wait

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "versions.md"
HOME = ROOT / ".matrix"
MEMORY = ROOT / "tests" / "matrix.json"
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHOWN = ("sqlalchemy", "numpy", "pandas", "pyarrow", "scikit-learn", "keras", "tensorflow-cpu")
NAMED = ("mlflow", *SHOWN)
OLDER_SQLALCHEMY = "sqlalchemy<2.1"

ARRAYS = """
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

held_out = (x[splits["val"]], y[splits["val"]])

def network(activation):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, activation)])
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    return model
"""

KERAS = f"""{ARRAYS}{NETWORK}
for activation in ("softmax", "sigmoid"):
    with mlflow.start_run() as run:
        model = network(activation)
        history = model.fit(x[:500], y[:500], validation_data=held_out, epochs=15, verbose=0).history
        for name, curve in history.items():
            for step, value in enumerate(curve):
                mlflow.log_metric(name, value, step=step)
        log_arrays()
        mlflow.keras.log_model(model, pip_requirements=["keras"], **named)
    print("trained", run.info.run_id)
"""

AUTOLOGGED = f"""{ARRAYS}{NETWORK}
mlflow.keras.autolog()
with mlflow.start_run() as run:
    network("softmax").fit(x[:500], y[:500], validation_data=held_out, epochs=3, verbose=0)
print("trained", run.info.run_id)
"""

SKLEARN = f"""{ARRAYS}
from sklearn.linear_model import LogisticRegression

with mlflow.start_run() as run:
    model = LogisticRegression().fit(x[:500], y[:500])
    mlflow.log_metric("test_accuracy", model.score(x[splits["test"]], y[splits["test"]]))
    log_arrays()
    mlflow.sklearn.log_model(model, pip_requirements=["scikit-learn"], **named)
print("trained", run.info.run_id)
"""

OPENING = """
import mlflow

with mlflow.start_run():
    mlflow.log_metric("loss", 1.0)
mlflow.search_runs()
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


def train(trial: Trial) -> None:
    """A network whose one unit has a softmax, and the same network with a sigmoid."""
    trial.runs["faulty"], trial.runs["healthy"] = trial.trained(KERAS)


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
    (run_id,) = trial.trained(AUTOLOGGED, MLFLOW_CLFAUDIT_AUTO="1")
    seen = trial.look(run_id)
    must(seen, seen["tags"].get("clfaudit.root_cause") == "softmax-on-one-unit")


def doctor(trial: Trial) -> None:
    told = trial.call("mlflow", "clfaudit", "doctor")
    must(told, "broken" not in told)


def fast_tests(trial: Trial) -> None:
    """The tests of the checks, of reading and of reporting that train nothing and start no server."""
    options = ["--config-file", ROOT / "pyproject.toml", "--rootdir", ROOT, "-p", "no:cacheprovider", "--quiet"]
    # What newer versions no longer warn of is no fault of the code under test.
    options += ["-W", "default", "-m", "not slow and not long"]
    folders = [ROOT / "tests" / name for name in ("checks", "evidence", "report")]
    print(trial.call("python", "-m", "pytest", *options, *folders).splitlines()[-1])


def estimator(trial: Trial) -> None:
    """A model of scikit-learn, which MLflow before 3.11 logs as a pickle."""
    audited_estimator(trial)


def audited_estimator(trial: Trial, **environment: str) -> None:
    (run_id,) = trial.trained(SKLEARN, **environment)
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

LOWEST = "lowest"
BESIDE = {
    LOWEST: "every dependency at the lowest version that is declared, named below: all of the columns above, and the "
    "tests of `tests/checks`, `tests/evidence` and `tests/report` that train nothing",
    "skinny": "`mlflow-skinny` {mlflow-skinny} as the client of a server: both commands, tags and report, doctor; "
    "without a backend of Keras the model is judged by its files alone, and the report says so",
    "PostgreSQL": "PostgreSQL {postgresql} as the tracking store: train, both commands, tags and report, doctor",
    "S3": "artifacts in S3 (moto {moto}): train, both commands, tags and report",
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

{refused}

The lowest versions, `make test-lowest`: {lowest}.
"""


def lowest_versions() -> dict[str, str]:
    """The lowest version of every dependency that a user of Keras on TensorFlow has, on this kind of machine."""
    declared = [*DECLARED["dependencies"], *DECLARED["optional-dependencies"]["tensorflow"]]
    bounds = [item.split(";")[0].split(">=") for item in declared if "!=" not in item]
    return dict(bounds)


def trials() -> list[Trial]:
    """The rows."""
    project = f"{ROOT}[tensorflow]"
    lean = tuple(item for item in DECLARED["dependencies"] if not item.startswith("mlflow"))
    lowest = [f"{name}=={version}" for name, version in lowest_versions().items()]
    testing = ("pytest", "pytest-timeout", "hypothesis", "jsonschema", "markdown-it-py")
    return [
        *(Trial(name, (project, f"mlflow=={name}.*"), MAIN) for name in ("2.22", "3.1", "3.5")),
        Trial(NEWEST, (project, "mlflow", "psycopg2-binary", "boto3", "moto[server]"), MAIN),
        Trial(LOWEST, (project, *lowest, *testing), {**MAIN, "tests": fast_tests}),
        Trial("skinny", ("mlflow-skinny", *lean), {"client of a server": skinny}),
        Trial("PostgreSQL", (), {"end to end": postgres}, shared=NEWEST),
        Trial("S3", (), {"end to end": s3}, shared=NEWEST),
    ]


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


def tried(trial: Trial) -> Outcome:
    """Go through the steps; one that fails leaves a word and its traceback, and the others go on."""
    found = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trial.folder = Path(folder)
        trial.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        for name, step in trial.steps.items():
            start = time.monotonic()
            try:
                step(trial)
                found[name] = "works"
            except Exception:  # noqa: BLE001 - a row that breaks is a result
                found[name] = "FAILS"
                traceback.print_exc()
            print(f"{trial.name:12} {name:20} {found[name]} ({time.monotonic() - start:.0f} s)", flush=True)
    refused = trial.place / "refused"
    recorded = {*NAMED, *lowest_versions(), "mlflow-skinny", "moto", "postgresql"}
    return Outcome(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        python=sys.version.split()[0],
        packages={name: version for name, version in versions(trial).items() if name in recorded},
        refused=refused.read_text() if refused.is_file() else "",
        steps=found,
    )


def versions(trial: Trial) -> dict[str, str]:
    listed = json.loads(uv("pip", "list", "--quiet", "--format", "json", "--python", trial.python))
    found = {item["name"].lower().replace("_", "-"): item["version"] for item in listed}
    clusters = [path.parents[1].name for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return {**found, "postgresql": max(clusters, default="")}


def page(known: Mapping[str, Outcome]) -> str:
    """The page, in Markdown, of the rows that were tried."""
    main = [known[trial.name] for trial in trials() if trial.steps is MAIN and trial.name in known]
    outcomes = [[row.packages["mlflow"], row.date, *(row.steps[name] for name in MAIN)] for row in main]
    installed = [[row.packages.get(name, "–") for name in NAMED] for row in main]
    beside = [
        [text.format_map(row.packages), row.date, f"FAILS: {', '.join(row.failed)}" if row.failed else "works"]
        for name, text in BESIDE.items()
        if (row := known.get(name))
    ]
    refusing = {row.packages["mlflow"]: row.refused for row in known.values() if row.refused}
    refused = (
        f"MLflow {', '.join(refusing)} let pip choose SQLAlchemy {', '.join(sorted({*refusing.values()}))}, and cannot "
        f"open an SQLite store with it: `pip install '{OLDER_SQLALCHEMY}'`, as was done here."
    )
    lowest = "not tried yet"
    if row := known.get(LOWEST):
        lowest = ", ".join(f"{name} {row.packages[name]}" for name in sorted(lowest_versions()))
    return PAGE_TEXT.format(
        python=", ".join(sorted({row.python for row in known.values()})),
        outcomes=lines_of(["MLflow", "tried on", *MAIN], outcomes),
        beside=lines_of(["beside the newest MLflow", "tried on", "outcome"], beside),
        installed=lines_of(NAMED, installed),
        refused=refused if refusing else "All take the SQLAlchemy that pip chooses.",
        lowest=lowest,
    )


def lines_of(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table."""
    titles = list(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in (titles, ["---"] * len(titles), *rows))


def remembered() -> dict[str, Outcome]:
    """What the rows last came to."""
    return {name: Outcome(**row) for name, row in json.loads(MEMORY.read_text()).items()} if MEMORY.is_file() else {}


def main() -> None:
    words = sys.argv[1:]
    rows = trials()
    if unknown := {*words} - {trial.name for trial in rows}:
        sys.exit(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(trial.name for trial in rows)}")
    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        print("PostgreSQL is not installed here, and is left out: apt-get install postgresql", flush=True)
        rows = [trial for trial in rows if trial.name != "PostgreSQL"]
    for trial in rows:
        if not words or trial.name in words:
            install(trial)
            outcome = tried(trial)
            known = {**remembered(), trial.name: outcome}
            kept = {name: asdict(outcome) for name, outcome in known.items()}
            MEMORY.write_text(f"{json.dumps(kept, indent=2, sort_keys=True)}\n")
            PAGE.write_text(page(known))
    print(f"docs/{PAGE.name}")
    failed = [f"{name}: {step}" for name, outcome in remembered().items() for step in outcome.failed]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
