"""A repair from end to end: real networks, a real store, and what is in MLflow afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.models import infer_signature

from mlflow_clfaudit import Verdict, audit_run, child
from mlflow_clfaudit.cli import cli
from mlflow_clfaudit.errors import NotWritable, UsageError
from mlflow_clfaudit.evidence.architecture import Layer, Spec
from mlflow_clfaudit.finder import Finder
from mlflow_clfaudit.measures import balanced_accuracy
from mlflow_clfaudit.names import REPAIR_OF
from mlflow_clfaudit.repair.measured import compare
from mlflow_clfaudit.repair.mending import repair_run
from mlflow_clfaudit.repair.script import layer_line, script_of, unified_diff
from mlflow_clfaudit.repair.words import to_text
from tests.kit import make_fit, make_served

quiet = pytest.mark.filterwarnings("ignore:[\\s\\S]*softmax over axis:UserWarning")


def blobs(rows: int, seed: int, rare: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = random.permutation((np.arange(rows) % rare == 0).astype(int))
    return (random.normal(0, 0.7, (rows, 3)) + y[:, None]).astype("float32"), y


def log_run(activation: str = "softmax", *, example: bool = True, rare: int = 2) -> str:
    """Train three layers on two overlapping clouds and log them with their rows, as a user would; the run's id.

    One row in `rare` is of class 1.
    """
    import keras

    keras.utils.set_random_seed(1)
    x, y = blobs(300 * rare, 1, rare)
    x_val, y_val = blobs(150 * rare, 2, rare)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, activation)])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    with mlflow.start_run(run_name="stork") as run:
        mlflow.keras.autolog(log_models=False, log_datasets=False)
        try:
            model.fit(x, y, epochs=10, validation_data=(x_val, y_val), verbose=0)
        finally:
            mlflow.keras.autolog(disable=True)
        if example:
            # In MLflow 3.17, models of the Keras flavor cannot be logged with an input example.
            signature = infer_signature(x, model.predict(x, verbose=0))
            given = {"signature": signature, "input_example": x[:2], "pip_requirements": ["tensorflow"]}
            mlflow.tensorflow.log_model(model, name="model", **given)
        else:
            mlflow.keras.log_model(model, name="model", pip_requirements=["keras", "tensorflow"])
        with tempfile.TemporaryDirectory() as folder:
            for name, array in (("X_train", x), ("y_train", y), ("X_val", x_val), ("y_val", y_val)):
                np.save(f"{folder}/{name}.npy", array)
            mlflow.log_artifacts(folder, "data")
    return str(run.info.run_id)


def seen(run_id: str) -> Mapping[str, Any]:
    """Everything that MLflow tells of a run."""
    client = MlflowClient()
    run = client.get_run(run_id)
    files = [item.path for folder in ("", "data", "clfaudit") for item in client.list_artifacts(run_id, folder or None)]
    return {"info": dict(run.info), "data": run.data.to_dictionary(), "files": files, "outputs": str(run.outputs)}


def children(run_id: str, view: int = ViewType.ALL) -> list[Run]:
    run = MlflowClient().get_run(run_id)
    query = f"tags.`mlflow.parentRunId` = '{run_id}'"
    return list(MlflowClient().search_runs([run.info.experiment_id], query, run_view_type=view))


@pytest.mark.slow
@quiet
def test_a_repair_from_the_command_line_to_the_registered_version(tracking_uri: str, tmp_path: Path) -> None:
    run_id = log_run()
    before = seen(run_id)
    command = [
        sys.executable,
        "-m",
        "mlflow_clfaudit.cli",
        "repair",
        run_id,
        "--register",
        "storks",
        "--format",
        "json",
    ]
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri, "MLFLOW_CLFAUDIT_AUTO": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (made,) = children(run_id)
    assert made.info.run_id == told["child"]

    after = seen(run_id)
    assert after["data"]["tags"].pop("clfaudit.repair") == made.info.run_id
    assert after == before

    tags = made.data.tags
    assert tags[REPAIR_OF] == run_id
    assert tags["clfaudit.repaired"] == "softmax-on-one-unit"
    assert tags["clfaudit.verdict"] == told["verdict_of_child"] == "healthy"
    assert made.info.status == "FINISHED"
    metrics = made.data.metrics
    assert metrics["clfaudit/before/balanced_accuracy"] == 0.5
    assert metrics["clfaudit/after/balanced_accuracy_low"] > 0.75
    patch = mlflow.artifacts.load_text(f"runs:/{made.info.run_id}/repair.patch.md")
    assert '-        keras.layers.Dense(1, activation="softmax"),' in patch
    assert '+        keras.layers.Dense(1, activation="sigmoid"),' in patch

    version = MlflowClient().get_model_version("storks", told["version"])
    assert version.run_id == made.info.run_id
    assert version.tags["clfaudit.verdict"] == "healthy"
    x, y = blobs(300, 2)
    model = mlflow.keras.load_model("models:/storks/1")
    assert np.mean((model.predict(x, verbose=0)[:, 0] > 0.5) == y) > 0.8
    logged = mlflow.models.get_model_info("models:/storks/1")
    original = mlflow.models.get_model_info(
        f"models:/{MlflowClient().get_run(run_id).outputs.model_outputs[0].model_id}"
    )
    assert logged.signature == original.signature
    assert logged.saved_input_example_info == original.saved_input_example_info

    # The hook was on, and the watcher looks at children: neither audits it again, and it is not repaired in turn.
    finder = Finder(MlflowClient(), children=True, again=True)
    assert finder.look() == [run_id]
    with pytest.raises(UsageError, match="is a repair itself"):
        repair_run(made.info.run_id)
    assert audit_run(made.info.run_id, dry_run=True).verdict is Verdict.HEALTHY


@pytest.mark.slow
@quiet
def test_what_is_interrupted_leaves_nothing(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = log_run()
    before = seen(run_id)
    dry = repair_run(run_id, dry_run=True)
    assert dry.overall is not None
    assert dry.child is None
    assert "not logged: --dry-run" in to_text(dry, dry_run=True)
    assert children(run_id) == []

    written = child._log_model

    def interrupted(*given: Any) -> None:
        written(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(child, "_log_model", interrupted)
    pressed = CliRunner().invoke(cli, ["repair", run_id])
    assert pressed.exit_code == 130
    assert children(run_id, ViewType.ACTIVE_ONLY) == []
    assert [run.info.status for run in children(run_id)] == ["FAILED"]
    models = MlflowClient().search_logged_models([MlflowClient().get_run(run_id).info.experiment_id])
    assert {model.source_run_id for model in models} == {run_id}
    assert seen(run_id) == before

    def refused(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(child, "_log_model", refused)
    with pytest.raises(NotWritable, match=r"could not be written: No space left on device; try --dry-run"):
        repair_run(run_id)
    assert children(run_id, ViewType.ACTIVE_ONLY) == []
    assert seen(run_id) == before


@pytest.mark.long
def test_a_threshold_is_logged_as_a_model_of_decisions_beside_one_of_scores(tracking_uri: str) -> None:
    run_id = log_run("sigmoid", example=False, rare=12)
    assert repair_run(run_id, dry_run=True).attempts == ()
    repaired = repair_run(run_id, select_checks=["threshold-off"])
    assert [attempt.check for attempt in repaired.kept] == ["threshold-off"]
    assert repaired.after is not None
    assert repaired.after.verdict is Verdict.HEALTHY, [finding.message for finding in repaired.after.findings]
    x, y = blobs(1200, 3, 12)
    decisions = mlflow.keras.load_model(f"runs:/{repaired.child}/model").predict(x, verbose=0)
    assert set(np.unique(decisions)) == {0.0, 1.0}
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(f"runs:/{repaired.child}/model").predict(x), decisions)
    scores = mlflow.pyfunc.load_model(f"runs:/{repaired.child}/predict_proba").predict(x)
    np.testing.assert_allclose(scores, original(run_id).predict(x, verbose=0), atol=1e-6)
    assert balanced_accuracy(y, decisions[:, 0].astype(int)) > balanced_accuracy(y, (scores[:, 0] > 0.5).astype(int))


def original(run_id: str) -> Any:
    return mlflow.keras.load_model(f"runs:/{run_id}/model")


@pytest.mark.long
def test_a_healthy_run_is_left_as_it_is(tracking_uri: str) -> None:
    run_id = log_run("sigmoid", example=False)
    before = seen(run_id)
    result = CliRunner().invoke(cli, ["repair", run_id])
    assert result.exit_code == 1
    assert "nothing to repair: the audit has proven no finding at warn or above" in result.stdout
    assert children(run_id) == []
    assert seen(run_id) == before


def test_what_cannot_be_repaired_is_one_line(tracking_uri: str) -> None:
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", -3.0)
    unknown = CliRunner().invoke(cli, ["repair", run.info.run_id, "--select", "no-such-check"])
    assert (unknown.exit_code, unknown.stderr.count("\n")) == (2, 1)
    lost = CliRunner().invoke(cli, ["repair", run.info.run_id, "--labels", "validation=nowhere.npy"])
    assert (lost.exit_code, lost.stderr.count("\n")) == (2, 1)
    assert CliRunner().invoke(cli, ["repair", "0" * 32]).exit_code == 3
    nothing = CliRunner().invoke(cli, ["repair", run.info.run_id])
    assert nothing.exit_code == 1


def test_runs_of_repairs_are_not_watched() -> None:
    finder = Finder(MlflowClient("sqlite://"), children=True, again=True)
    assert not finder.wants({REPAIR_OF: "1"})
    assert not finder.wants({REPAIR_OF: "1", "clfaudit.verdict": "healthy", "clfaudit.version": "0.0.1"})


def test_gains_have_intervals_and_noise_has_no_gain() -> None:
    random = np.random.default_rng(0)
    truth = np.tile([0, 1], 200)
    right = np.clip(truth * 0.6 + 0.2 + random.normal(0, 0.1, 400), 0.01, 0.99)
    before = make_served(np.full(400, 0.4), truth)
    better = compare(before, make_served(right, truth))
    assert better.gain["balanced accuracy"].value == pytest.approx(0.5, abs=0.01)
    assert better.gain["log loss"].low > 0
    assert better.improves(("balanced accuracy",))
    noise = [compare(before, make_served(random.uniform(size=400), truth, held_out=True)) for _ in range(20)]
    assert sum(item.improves(("balanced accuracy", "log loss")) for item in noise) <= 1
    assert all(item.gain["accuracy"].low <= item.gain["accuracy"].value <= item.gain["accuracy"].high for item in noise)


def test_worse_decisions_are_no_repair_of_better_probabilities() -> None:
    truth = np.tile([0, 1], 200)
    sure = make_served(np.where(truth == 1, 0.501, 0.499), truth)
    wrong = np.where(np.arange(400) % 10 == 0, 1 - truth, truth)
    found = compare(sure, make_served(np.where(wrong == 1, 0.9, 0.1), truth))
    assert found.gain["log loss"].low > 0
    assert not found.improves(("log loss",))


def test_class_shares_are_no_repair_of_probabilities() -> None:
    truth = np.tile([0, 1], 200)
    found = compare(make_served(np.full(400, 1.0), truth), make_served(np.full(400, 0.5), truth))
    assert found.gain["log loss"].low > 0
    assert not found.improves(("log loss",))


def test_layers_are_written_as_in_a_script() -> None:
    def line(kind: str, **config: Any) -> str:
        return layer_line(Layer(kind.lower(), kind, config))

    assert line("InputLayer", batch_shape=[None, 8, 8, 1]) == "keras.Input((8, 8, 1))"
    assert line("Dense", units=4, activation="relu") == 'keras.layers.Dense(4, activation="relu")'
    assert line("Dense", units=4, activation="linear", trainable=False) == "keras.layers.Dense(4, trainable=False)"
    assert line("Conv2D", filters=8, kernel_size=[3, 3], strides=[1, 1], padding="same") == (
        'keras.layers.Conv2D(8, 3, padding="same")'
    )
    assert line("MaxPooling2D", pool_size=[2, 2], strides=[2, 2]) == "keras.layers.MaxPooling2D(strides=2)"
    assert line("BatchNormalization", momentum=0.99, epsilon=0.001) == "keras.layers.BatchNormalization()"
    assert line("Reshape", target_shape=[4, 4]) == "keras.layers.Reshape((4, 4))"
    initializer = {"class_name": "HeUniform"}
    assert line("Dense", units=2, kernel_initializer=initializer) == (
        'keras.layers.Dense(2, kernel_initializer="he_uniform")'
    )


def test_a_patch_shows_what_changes() -> None:
    layers = (Layer("input", "InputLayer", {"batch_shape": [None, 2]}), Layer("head", "Dense", {"units": 1}))
    before = script_of(Spec("Sequential", layers, ()), make_fit(epochs=5, validation_split=0.2))
    after = (
        before.with_fit("validation_split", None).with_fit("validation_data", "(X_val, y_val)").with_fit("epochs", "9")
    )
    assert unified_diff(before, after, context=0).splitlines()[2:] == [
        "@@ -14,2 +14,2 @@",
        "-    epochs=5,",
        "-    validation_split=0.2,",
        "+    epochs=9,",
        "+    validation_data=(X_val, y_val),",
    ]
