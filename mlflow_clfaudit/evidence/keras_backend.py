"""Keras on the run's backend and the device asked, what it may load, and what its backends say of memory used up."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow_clfaudit.errors import Missing, OutOfMemory

# In the order of preference, with what a short training is best compiled with: XLA takes longer than the training.
COMPILE_OPTIONS: Mapping[str, Mapping[str, Any]] = {"tensorflow": {"jit_compile": False}, "jax": {}, "torch": {}}
PICKLED_OBJECTS = ("custom_objects.cloudpickle", "global_custom_objects.cloudpickle")


def import_keras(backend: str | None, device: str) -> Any:
    """Import Keras on the backend of the run where it is installed, else on one that is; quiet, on the device asked."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device == "cpu":
        os.environ |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    if "KERAS_BACKEND" not in os.environ:
        installed = [name for name in (backend, *COMPILE_OPTIONS) if name and importlib.util.find_spec(name)]
        if not installed:
            raise Missing("no Keras backend is installed here", 'pip install "mlflow-clfaudit[tensorflow]"')
        os.environ["KERAS_BACKEND"] = installed[0]
    try:
        with _quiet_first_import():
            import keras
    except ImportError as error:
        raise Missing(f"Keras cannot be imported: {error}", 'pip install "mlflow-clfaudit[tensorflow]"') from None
    if device == "gpu" and "GPU" not in device_name(keras):
        raise Missing("no GPU is visible to Keras", "--device auto")
    return keras


@contextlib.contextmanager
def _quiet_first_import() -> Iterator[None]:
    """Keep what TensorFlow's C++ prints while it loads off the terminal; it heeds no log level then."""
    if "keras" in sys.modules:
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def device_name(keras: Any) -> str:
    try:
        listed = keras.distribution.list_devices("gpu")
    except (ImportError, AttributeError, RuntimeError, ValueError):
        listed = []
    return f"GPU ({len(listed)})" if listed else "CPU"


def load_options(model_folder: Path, allow_unsafe: bool | None) -> dict[str, Any]:
    """How Keras may load the model: without code of its own, or with its Lambdas and its pickled custom objects.

    MLflow's own MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false forbids both, whatever else was allowed.
    """
    if not allow_unsafe or os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() in ("false", "0"):
        return {"safe_mode": True}
    import pickle

    objects: dict[str, Any] = {}
    for name in PICKLED_OBJECTS:
        path = model_folder / "data" / name
        if path.is_file():
            with path.open("rb") as file:
                objects |= pickle.load(file)  # noqa: S301 - --allow-unsafe asked for it
    return {"safe_mode": False, "custom_objects": objects}


def must_fit(error: Exception) -> None:
    """Raise OutOfMemory where that is what the error says: it tells nothing about the model, so nothing is judged."""
    if exhausted(error):
        raise OutOfMemory("the memory does not suffice to run the model; try --tier static") from None


def exhausted(error: Exception) -> bool:
    """Whether TensorFlow, JAX or torch says that memory, the host's or the device's, is used up."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")
        or "RESOURCE_EXHAUSTED" in str(error)
    )
