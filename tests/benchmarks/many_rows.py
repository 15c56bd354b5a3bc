"""What an audit takes on ten million labels and on a million rows."""

from __future__ import annotations

import json
import os
import tempfile
from functools import partial
from typing import Any

from tests.benchmarks import scale

MANY_LABELS = """
import keras, mlflow, numpy as np, tempfile
random = np.random.default_rng(0)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1000, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
    mlflow.keras.log_model(model, name="model")
    np.save(f"{folder}/y_train.npy", random.integers(0, 1000, 10_000_000))
    np.save(f"{folder}/y_val.npy", random.integers(0, 1000, 1_000_000))
    mlflow.log_artifacts(folder, "data")
print(run.info.run_id)
"""
AUDIT = """
import json, resource, sys
from mlflow_clfaudit import audit_run
report = audit_run(sys.argv[1], tier=sys.argv[2], dry_run=True)
used = resource.getrusage(resource.RUSAGE_SELF)
found = {"seconds": report.seconds, "processor": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1024}
if sys.argv[2] == "forward":
    import keras, mlflow, numpy, time
    run = mlflow.MlflowClient().get_run(sys.argv[1])
    model = mlflow.keras.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    rows = numpy.load(mlflow.artifacts.download_artifacts(f"runs:/{sys.argv[1]}/data/X_val.npy"), mmap_mode="r")
    taken = []
    for size in (1024, 4096, 8192, 32768):
        started = time.perf_counter()
        model.predict(rows, batch_size=size, verbose=0)
        taken.append(time.perf_counter() - started)
    found["predict"] = min(taken)
print(json.dumps(found))
"""
BARE = """
import json, keras, mlflow, numpy, resource, sys
run = mlflow.MlflowClient().get_run(sys.argv[1])
model = mlflow.keras.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
rows = numpy.load(mlflow.artifacts.download_artifacts(f"runs:/{sys.argv[1]}/data/X_val.npy"), mmap_mode="r")
model.predict(rows, batch_size=8192, verbose=0)
print(json.dumps({"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def measure() -> dict[str, dict[str, Any]]:
    """What an audit takes on many labels and on many rows."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "TF_CPP_MIN_LOG_LEVEL": "3"}
        ask = partial(scale.last_line, environment=environment, folder=folder)
        labels, rows = ask(MANY_LABELS), ask(scale.LOG_ROWS, "1000000")
        return {
            "labels": json.loads(ask(AUDIT, labels, "static")),
            "rows": json.loads(ask(AUDIT, rows, "forward")),
            "bare": json.loads(ask(BARE, rows)),
        }


def section() -> str:
    """The part of docs/performance.md about many labels and many rows."""
    many = measure()
    labels, passed = many["labels"], many["rows"]
    share, above = passed["seconds"]["served"] / passed["predict"], passed["megabytes"] - many["bare"]["megabytes"]
    return f"""- 11 million labels of 1,000 classes, static tier: {labels["processor"]:.1f} processor seconds,
  {labels["megabytes"]:.0f} MB at most (goal 20 s on two cores, 1,500 MB).
- 1,000,000 rows × 100 columns through three layers: the forward pass takes
  **{share:.2f}** × `model.predict` with the best of four batch sizes, in
  the same process (goal 1.10), and the audit {above:.0f} MB more than a process that
  only predicts (goal 400 MB).
- GPU: not measured.
"""
