"""Models that act when they are loaded: never in the static tier, and in the others only where that was allowed."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import files

pytestmark = pytest.mark.slow

# Three runs whose models act: a Lambda layer, a class from a module on the path, a pickled custom object.
SCRIPT = """
import keras, mlflow, numpy as np, os, pathlib, sys, tensorflow
sys.path.insert(0, os.getcwd())
random = np.random.default_rng(0)
X = random.normal(size=(200, 4)).astype("float32")
y = (X[:, 0] > 0).astype("int64")
np.save("X_val.npy", X); np.save("y_val.npy", y)
import acting

def log(model, flavor, **options):
    with mlflow.start_run() as run:
        flavor.log_model(model, name="model", **options)
        mlflow.log_artifact("X_val.npy", "data"); mlflow.log_artifact("y_val.npy", "data")
    print("RUN", run.info.run_id)

marker = str(pathlib.Path.cwd() / "lambda-acted")
hidden = keras.layers.Lambda(eval(f"lambda x: (open({marker!r}, 'w').close(), x * 1.0)[1]"))
model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(1, activation="softmax")])
model.compile("adam", "binary_crossentropy")
log(model, mlflow.keras)
model = keras.Sequential([keras.Input((4,)), acting.Layer(), keras.layers.Dense(1, activation="softmax")])
model.compile("adam", "binary_crossentropy")
log(model, mlflow.keras)
model = keras.Sequential([keras.Input((4,)), acting.Own(4), keras.layers.Dense(1, activation="softmax")])
model.compile("adam", "binary_crossentropy")
log(model, mlflow.tensorflow, custom_objects={"Own": acting.Own, "trap": acting.Trap()})
"""
MODULE = """
import keras, pathlib
pathlib.Path(__file__).with_name("class-acted").touch()

class Layer(keras.layers.Layer):
    def call(self, x):
        return x * 1.0

class Own(keras.layers.Dense):
    pass

def spring(folder):
    import pathlib
    pathlib.Path(folder, "pickle-acted").touch()
    return folder

class Trap:
    def __reduce__(self):
        return eval, (f"__import__('pathlib').Path({str(pathlib.Path(__file__).parent)!r}, 'pickle-acted').touch()",)
"""
MARKERS = ("lambda-acted", "class-acted", "pickle-acted")


def acted(folder: Path) -> list[str]:
    """The markers that were left since the last call."""
    found = [name for name in MARKERS if (folder / name).exists()]
    for name in found:
        (folder / name).unlink()
    return found


def audit(folder: Path, uri: str, *arguments: str, **environment: str) -> dict[str, str]:
    """What the command says of each run, by run id. The module of the acting classes is on the path."""
    done = subprocess.run(
        [sys.executable, "-m", "mlflow_clfaudit.cli", *arguments, "--dry-run", "--format", "jsonl"],
        env=os.environ | {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": f"{Path.cwd()}:{folder}"} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return {match[1]: line for line in done.stdout.splitlines() if (match := re.search(r'"run_id": "(\w+)"', line))}


def test_models_act_only_where_that_was_allowed(tracking_uri: str, tmp_path: Path) -> None:
    (tmp_path / "acting.py").write_text(MODULE)
    logged = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=os.environ | {"MLFLOW_TRACKING_URI": tracking_uri},
        capture_output=True,
        text=True,
        check=False,
    )
    runs = re.findall(r"RUN (\w+)", logged.stdout)
    assert len(runs) == 3, logged.stderr
    assert set(acted(tmp_path)) >= {"lambda-acted", "class-acted"}

    for tier in ("static", "probe"):
        said = audit(tmp_path, tracking_uri, *runs, "--tier", tier)
        assert acted(tmp_path) == []
        assert all("softmax-on-one-unit" in said[run] for run in runs)
    assert "--allow-unsafe, where you trust the model" in said[runs[0]]

    audit(tmp_path, tracking_uri, runs[0], runs[2], "--allow-unsafe", MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false")
    assert acted(tmp_path) == []

    said = audit(tmp_path, tracking_uri, runs[0], runs[2], "--allow-unsafe")
    assert {"lambda-acted", "pickle-acted"} <= set(acted(tmp_path))
    assert all("the model does not load" not in said[run] for run in (runs[0], runs[2]))


def test_the_trap_of_the_other_tests_does_act(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(files.Acts(tmp_path / "acted")))
    assert (tmp_path / "acted").exists()
