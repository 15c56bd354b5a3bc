"""Train one program with one seed and log it as the ordinary MLflow run that its author would have logged."""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score

from tests.corpus.program import Array, Inputs, Program, Training


@dataclass(frozen=True)
class Logged:
    """A run in the store, with what was measured on rows that it never saw; `seconds` are processor time.

    `balanced_accuracy` of the served decision on the clean held-out rows, `brier` of the served probabilities
    against them (mean squared error over the class indicators; None when the outputs are no probabilities),
    `accuracy` of the decision there, and `reported`, the last number the run shows for held-out accuracy.
    """

    run_id: str
    seconds: float
    balanced_accuracy: float | None = None
    accuracy: float | None = None
    brier: float | None = None
    reported: float | None = None
    failed: str | None = None
    metrics: Mapping[str, float] | None = None


def train_and_log(program: Program, seed: int) -> Logged:
    """Train `program` in the current tracking store under the experiment "corpus".

    An exception in fit is the program's own: the run ends as FAILED, as it would for its author.
    """
    import keras
    import mlflow

    started = time.process_time()
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    mlflow.set_experiment("corpus")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        training = program.build(seed)
        failed = None
        with mlflow.start_run(run_name=f"{program.name} seed {seed}") as run:
            mlflow.log_params(dict(training.params))
            log_files(data_files(training) | dict(training.files))
            try:
                fit_and_log_model(training)
            except Exception as error:  # noqa: BLE001  what the program raises is its own
                failed = f"{type(error).__name__}: {error}"[:300]
            if failed is None and training.scoring is not None:
                scored = training.scoring(training.model)
                mlflow.log_metrics(dict(scored.metrics))
                log_files(scored.files)
        if failed is not None:
            mlflow.MlflowClient().set_terminated(run.info.run_id, "FAILED")
        metrics = dict(mlflow.get_run(run.info.run_id).data.metrics)
        measured = {} if failed else measure(training)
    reported = next((metrics[name] for name in REPORTED if name in metrics), None)
    return Logged(
        run.info.run_id,
        time.process_time() - started,
        failed=failed,
        metrics=metrics,
        reported=reported,
        **measured,
    )


REPORTED = ("test_accuracy", "val_accuracy", "val_binary_accuracy", "val_acc", "accuracy")

REQUIREMENTS = ["keras", "tensorflow", "scikit-learn"]
"""Given, because inferring them reloads each model in a new process: 8 to 12 s a run."""


def fit_and_log_model(training: Training) -> None:
    """Fit under MLflow's autologging of its library and log the model."""
    import mlflow

    if not hasattr(training.model, "compile"):
        mlflow.sklearn.autolog(log_models=False, log_post_training_metrics=False, silent=True)
        training.model.fit(training.x, training.y, **training.fit)
        mlflow.sklearn.log_model(
            training.model, name="model", pip_requirements=REQUIREMENTS, serialization_format="cloudpickle"
        )
        return
    mlflow.keras.autolog(log_models=False, silent=True)
    # A store on SQL can lose the model that autologging logs (a unique constraint): log it by hand.
    training.model.fit(training.x, training.y, **{"verbose": 0, **training.fit})
    if training.finish is not None:
        training.finish(training.model)
    mlflow.keras.log_model(training.model, name="model", pip_requirements=REQUIREMENTS)


def data_files(training: Training) -> dict[str, Any]:
    """The arrays of the run, under the names that people give them."""
    files: dict[str, Any] = {}

    def add(split: str, pair: tuple[Inputs, Array]) -> None:
        x, y = pair[0], pair[1]
        files[f"data/X_{split}.{'npz' if isinstance(x, Mapping) else 'npy'}"] = x
        files[f"data/y_{split}.npy"] = y

    add("train", (training.x, training.y))
    if "validation_data" in training.fit:
        add("val", training.fit["validation_data"])
    if training.test is not None:
        add("test", training.test)
    return {path: content for path, content in files.items() if path not in training.files}


def log_files(files: Mapping[str, Any]) -> None:
    """Log each value as the artifact its path names; None leaves a file out."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        for path, content in files.items():
            if content is None:
                continue
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            match target.suffix:
                case ".npy":
                    np.save(target, content, allow_pickle=False)
                case ".npz":
                    np.savez(target, **content)
                case ".json":
                    target.write_text(json.dumps(content))
                case ".csv":
                    pd.DataFrame(content).to_csv(target, index=False)
                case suffix:
                    raise ValueError(f"no writer for {suffix} files: {path}")
        mlflow.log_artifacts(folder)


def measure(training: Training) -> dict[str, float | None]:
    """Quality on the clean held-out rows, of the decision and of the served probabilities."""
    if training.held_out is None:
        return {}
    x, truth = training.held_out
    predict = getattr(training.model, "predict_proba", training.model.predict)
    served = np.asarray(predict(x) if not hasattr(training.model, "compile") else predict(x, verbose=0), dtype=float)
    decide = training.decide or default_decision
    decided = np.asarray(decide(served))
    if truth.ndim == 2:
        columns = range(truth.shape[1])
        balanced = float(np.mean([balanced_accuracy_score(truth[:, k], decided[:, k]) for k in columns]))
        indicators = truth
    else:
        balanced = float(balanced_accuracy_score(truth, decided))
        indicators = truth[:, None] if served.ndim == 1 or served.shape[-1] == 1 else np.eye(served.shape[-1])[truth]
    served = served.reshape(len(truth), -1)
    probabilities = bool(np.all((served >= 0) & (served <= 1))) and served.shape == indicators.shape
    brier = float(np.mean((served - indicators) ** 2)) if probabilities else None
    return {"balanced_accuracy": balanced, "accuracy": float(np.mean(decided == truth)), "brier": brier}


def default_decision(served: Array) -> Array:
    """One column is cut at .5, several by argmax."""
    if served.ndim == 1 or served.shape[-1] == 1:
        return (served.reshape(len(served)) > 0.5).astype(int)
    return np.asarray(served.argmax(axis=-1))
