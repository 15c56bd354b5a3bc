"""What the saved model file says about itself: architecture, heads, losses, optimizer. No code of the model runs."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import keras_config, provides
from mlflow_clfaudit.evidence.architecture import Head, Layer, Loss, Metric, Optimizer, Spec
from mlflow_clfaudit.evidence.archives import read_member
from mlflow_clfaudit.evidence.run import LOG_MODEL

__all__ = ["Head", "Layer", "Loss", "Metric", "Optimizer", "Spec", "head", "keras_file", "loss", "spec"]

ESTIMATORS = ("sklearn", "xgboost", "lightgbm", "catboost")
MAX_CONFIG_BYTES = 32 * 2**20


@provides()
def keras_file(model_folder: Path, flavors: Mapping[str, Any]) -> Path:
    """The .keras file of the logged model."""
    if "keras" not in flavors and "tensorflow" not in flavors:
        if any(flavor in flavors for flavor in ESTIMATORS):
            raise Missing("an estimator has no layers, no loss function and no optimizer of Keras")
        raise Missing(f"the layers of a {_flavor(flavors)} model are not read; those of Keras are")
    found = sorted(model_folder.glob("data/*.keras")) or sorted(model_folder.glob("**/*.keras"))
    if not found:
        raise Missing("the logged model has no .keras file", LOG_MODEL)
    return found[0]


@provides()
def spec(keras_file: Path, flavors: Mapping[str, Any]) -> Spec:
    """The architecture and compile arguments from the .keras file's own JSON."""
    try:
        with zipfile.ZipFile(keras_file) as archive:
            config = _read_json(archive, "config.json")
            metadata = _read_json(archive, "metadata.json")
        parsed = keras_config.parse(config)
    except Exception as error:  # noqa: BLE001 - a stranger's file can be wrong in any way
        text = first_line(error)
        raise Missing(f"the model file cannot be read: {text}", LOG_MODEL) from None
    backend = (flavors.get("keras") or {}).get("keras_backend") or ("tensorflow" if "tensorflow" in flavors else None)
    return replace(
        parsed,
        keras_version=metadata.get("keras_version"),
        backend=backend,
        heads=tuple(replace(found, backend=backend) for found in parsed.heads),
    )


@provides()
def head(spec: Spec, output: int) -> Head:
    """The head that is being judged: the model's only output, or the one the audit has come to."""
    if not spec.heads:
        raise Missing(
            f"the model ({spec.kind}) does not describe its layers: a subclassed model keeps them in its code",
            "build it with keras.Model(inputs, outputs)",
        )
    return spec.heads[output]


@provides()
def loss(head: Head) -> Loss:
    """The compiled loss of the head."""
    if head.loss is None and head.is_known_by_answers:
        raise Missing("only models of Keras are saved with their loss")
    if head.loss is None:
        raise Missing("the model was saved without its loss", "model.compile(loss=…) before logging the model")
    return head.loss


def _flavor(flavors: Mapping[str, Any]) -> str:
    """The flavor to name a model by: pyfunc only where there is no other."""
    return next((name for name in sorted(flavors) if name != "python_function"), "pyfunc")


def _read_json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    parsed = json.loads(read_member(archive, name, MAX_CONFIG_BYTES))
    if not isinstance(parsed, dict):
        raise ValueError(f"{name} is not a JSON object")
    return parsed
