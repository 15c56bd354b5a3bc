"""The same programs on two Keras backends: trained, logged and audited there, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TRAIN = """
import sys, tempfile, json
import keras, mlflow, numpy as np
from sklearn.datasets import load_digits, make_moons

keras.utils.set_random_seed(0)
digits, moons = load_digits(return_X_y=True), make_moons(1200, noise=0.1, random_state=0)
PROGRAMS = {
    "double": ((64,), 10, "softmax", keras.losses.SparseCategoricalCrossentropy(from_logits=True), 0.005, digits),
    "one-unit": ((2,), 1, "softmax", "binary_crossentropy", 0.01, moons),
    "under": ((2,), 1, "sigmoid", "binary_crossentropy", 1e-5, moons),
    "healthy": ((2,), 1, "sigmoid", "binary_crossentropy", 0.01, moons),
}
mlflow.set_experiment("backends")
runs = {}
for name in sys.argv[1:]:
    shape, units, activation, loss, rate, (X, y) = PROGRAMS[name]
    X = (X / np.abs(X).max()).astype("float32")
    cut = int(0.8 * len(X))
    hidden, head = keras.layers.Dense(32, "relu"), keras.layers.Dense(units, activation)
    model = keras.Sequential([keras.Input(shape), hidden, head])
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    with mlflow.start_run() as run:
        mlflow.keras.autolog(log_models=False)
        model.fit(X[:cut], y[:cut], validation_data=(X[cut:], y[cut:]), epochs=30, verbose=0)
        mlflow.keras.log_model(model, name="model")
        with tempfile.TemporaryDirectory() as folder:
            for split, part in (("train", slice(0, cut)), ("val", slice(cut, None))):
                np.save(f"{folder}/X_{split}.npy", X[part])
                np.save(f"{folder}/y_{split}.npy", y[part])
            mlflow.log_artifacts(folder, "data")
    runs[name] = run.info.run_id
print(json.dumps(runs))
"""

AUDIT = """
import json, sys
from mlflow_clfaudit import audit_run
from mlflow_clfaudit.report.json import to_dict
print(json.dumps({name: to_dict(audit_run(run_id)) for name, run_id in json.loads(sys.argv[1]).items()}))
"""


def printed(folder: Path, code: str, *arguments: str, **environment: str) -> Any:
    """What a script printed last, as JSON."""
    inherited = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=inherited | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def audited(backend: str, folder: Path, *programs: str) -> dict[str, dict[str, Any]]:
    """The audits of programs trained on a backend; the audit itself is not told which."""
    pytest.importorskip(backend)
    runs = printed(folder, TRAIN, *programs, KERAS_BACKEND=backend)
    found: dict[str, dict[str, Any]] = printed(folder, AUDIT, json.dumps(runs))
    assert {report["environment"]["backend"] for report in found.values()} == {backend}
    assert not [item for report in found.values() for item in report["skipped"] if "fault" in item["reason"]]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "severity", "verdict"), [("tensorflow", "info", "healthy"), ("jax", "error", "faulty")]
)
def test_a_double_softmax_harms_where_the_backend_does_not_take_the_logits(
    backend: str, severity: str, verdict: str, tmp_path: Path
) -> None:
    report = audited(backend, tmp_path, "double")["double"]
    (finding,) = [item for item in report["findings"] if item["check"] == "double-activation"]
    assert (finding["severity"], report["verdict"]) == (severity, verdict)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_verdicts_do_not_depend_on_the_backend(backend: str, tmp_path: Path) -> None:
    found = audited(backend, tmp_path, "one-unit", "under", "healthy")
    assert found["one-unit"]["root_cause"] == "softmax-on-one-unit"
    assert found["one-unit"]["findings"][0]["severity"] == "blocker"
    assert found["under"]["root_cause"] == "under-trained"
    proof = found["under"]["findings"][0]["proof"]
    assert proof["grade"] == "B"
    assert proof["after"] > proof["before"] + 0.1
    assert found["healthy"]["verdict"] == "healthy"
