"""The logged model with the loss and the metrics that it was compiled with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.forward import batch_size
from mlflow_clfaudit.evidence.inputs import count
from mlflow_clfaudit.evidence.keras_backend import device_name, import_keras, load_options
from mlflow_clfaudit.evidence.network import as_model_input
from mlflow_clfaudit.evidence.spec import Spec
from mlflow_clfaudit.types import Tier


@dataclass(frozen=True)
class Compiled:
    """The logged model with the loss and the metrics that it was compiled with."""

    model: Any
    device: str

    @property
    def width(self) -> int | None:
        """The number of units of the only output, None for a model of several."""
        shape = getattr(self.model, "output_shape", None)
        return shape[-1] if isinstance(shape, tuple) and shape and isinstance(shape[-1], int) else None

    def evaluate(self, inputs: Any, labels: np.ndarray) -> Mapping[str, float]:
        """The compiled loss and metrics by name, as fit() computes them on validation rows.

        Raises:
            Missing: the rows are not what the model and its loss take.
        """
        if labels.dtype.kind not in "fiub":
            raise Missing("the loss takes numbers, and the labels were logged as text")
        values = labels.astype(np.float32) if labels.dtype.kind == "b" else labels
        given, batch = as_model_input(self.model, inputs), max(batch_size(inputs), 32)
        # To trace a graph for one batch takes ten times as long as the batch.
        self.model.run_eagerly = at_once = count(inputs) <= batch
        try:
            if at_once:
                found = self.model.test_on_batch(given, values, return_dict=True)
            else:
                found = self.model.evaluate(given, values, batch_size=batch, verbose=0, return_dict=True)
        except Exception as error:  # noqa: BLE001 - whatever the loss raises about its labels
            text = first_line(error, 160)
            raise Missing(f"the compiled loss does not take the logged rows: {text}") from None
        return {name: float(value) for name, value in found.items() if np.ndim(value) == 0}


@provides(tier=Tier.FORWARD)
def compiled(
    keras_file: Path, spec: Spec, device: str, model_folder: Path, allow_unsafe: bool | None = None
) -> Compiled:
    """The logged model loaded with its compile arguments; Missing where it has none or they are the user's own."""
    if not spec.compiled or any(item.loss is None for item in spec.heads):
        raise Missing("the model was saved without its loss", "model.compile(loss=…) before logging the model")
    keras = import_keras(spec.backend, device)
    try:
        with warnings.catch_warnings():
            # An optimizer that cannot take its saved state says so; nothing is trained here.
            warnings.simplefilter("ignore")
            model = keras.saving.load_model(keras_file, compile=True, **load_options(model_folder, allow_unsafe))
    except Exception as error:  # noqa: BLE001 - whatever a stranger's loss or metric raises
        text = first_line(error, 160)
        raise Missing(f"the model does not load with its loss and metrics: {text}") from None
    return Compiled(model, device_name(keras))
