"""Which device a model runs on, in a process of its own: a backend is chosen once in a process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


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
