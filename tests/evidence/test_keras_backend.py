"""Which device a model runs on, in a process of its own, for a backend is chosen once; and what may be loaded."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_clfaudit.errors import OutOfMemory
from mlflow_clfaudit.evidence.keras_backend import load_options, must_fit


@pytest.mark.slow
def test_the_cpu_that_was_asked_for_wins_over_an_environment_that_names_a_gpu() -> None:
    pytest.importorskip("jax")
    code = (
        "import os\n"
        "from mlflow_clfaudit.evidence.keras_backend import device_name, import_keras\n"
        "keras = import_keras('jax', 'cpu')\n"
        "print(float(keras.ops.sum(keras.ops.ones(3))), device_name(keras), repr(os.environ['CUDA_VISIBLE_DEVICES']))"
    )
    # Without a GPU, JAX ends with an error where it is left to this platform.
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cuda", "CUDA_VISIBLE_DEVICES": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.stdout.strip() == "3.0 CPU ''", done.stderr[-2000:]


def test_pickled_objects_are_loaded_only_where_that_was_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    for name in ("custom_objects", "global_custom_objects"):
        (tmp_path / "data" / f"{name}.cloudpickle").write_bytes(pickle.dumps({name: len}))
    both = {"custom_objects": len, "global_custom_objects": len}
    monkeypatch.delenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", raising=False)
    assert load_options(tmp_path, allow_unsafe=None) == {"safe_mode": True}
    assert load_options(tmp_path, allow_unsafe=True) == {"safe_mode": False, "custom_objects": both}
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "False")
    assert load_options(tmp_path, allow_unsafe=True) == {"safe_mode": True}


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: 2 GiB")], ids=["host", "device"])
def test_memory_used_up_ends_the_audit_and_says_nothing_of_the_model(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match="--tier static"):
        must_fit(error)
    must_fit(ValueError("another shape"))
