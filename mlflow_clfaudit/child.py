"""The MLflow writer of repairs: a child run with the repaired model, complete or not there at all.

attach.py writes what audits say; this module writes the one other thing that this package leaves in MLflow.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_clfaudit import storage
from mlflow_clfaudit.attach import MAX_TAG, NOTE
from mlflow_clfaudit.errors import AuditError, NotWritable, first_line
from mlflow_clfaudit.evidence.keras_backend import import_keras, load_options
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.names import ERROR, LOGGED_FOLDER
from mlflow_clfaudit.report.plain import clean

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import Model

REPAIR = "clfaudit.repair"


@dataclass(frozen=True)
class Child:
    """What a child run is to hold.

    `metrics` are curves by name, of one value or one an epoch, `files` artifacts by path, `rows` inputs and targets by
    split, `models` .keras files by the names under which they are logged, the last one the model of the run.
    `original` is the folder of the logged model whose signature, input example and requirements they keep.
    """

    name: str
    tags: Mapping[str, str]
    note: str
    metrics: Mapping[str, list[float]]
    files: Mapping[str, str]
    rows: Mapping[str, tuple[Any, np.ndarray]]
    models: Mapping[str, Path]
    original: Path
    unsafe: bool = False


@dataclass
class Written:
    """What is in MLflow so far: the child run, its models and, last, the registered version of the repaired one."""

    run_id: str
    models: list[str] = field(default_factory=list)
    version: str | None = None


def write(run: Run, child: Child, audit: Callable[[str], None], *, register: str | None = None) -> Written:
    """Write the child run of `run`, have it audited, and link it from `run` by the tag clfaudit.repair, in this order.

    Whatever ends this before it is complete, Ctrl-C included, leaves nothing: the child run and its models are deleted,
    and where the store refuses that, the child is FAILED.

    Raises:
        NotWritable: the store refused.
    """
    from mlflow import MlflowClient

    client = MlflowClient(run.tracking_uri)
    written: Written | None = None
    try:
        made = client.create_run(
            run.experiment_id,
            tags={
                "mlflow.parentRunId": run.run_id,
                NOTE: child.note,
                **{key: clean(value)[:MAX_TAG] for key, value in child.tags.items()},
            },
            run_name=child.name,
        )
        written = Written(str(made.info.run_id))
        _fill(client, written, child)
        audit(written.run_id)
        # Unlike set_terminated, this does not tell the hook that a training has ended.
        client.update_run(written.run_id, status="FINISHED")
        if register is not None:
            written.version = _registered(client, written, register)
        client.set_tag(run.run_id, REPAIR, written.run_id)
        return written
    except BaseException as error:
        if written is not None:
            _undo(client, written)
        if isinstance(error, AuditError) or not isinstance(error, Exception):
            raise
        text = first_line(error)
        raise NotWritable(f"the repair of run {run.run_id} could not be written: {text}; try --dry-run") from None


def _fill(client: MlflowClient, written: Written, child: Child) -> None:
    """Files, rows, metrics and models of the child run."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    points = [
        Metric(name, float(value), now, step)
        for name, values in child.metrics.items()
        for step, value in enumerate(values)
        if np.isfinite(value)
    ]
    for start in range(0, len(points), 1000):
        client.log_batch(written.run_id, metrics=points[start : start + 1000])
    for path, text in child.files.items():
        client.log_text(written.run_id, text, path)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, (inputs, targets) in child.rows.items():
            storage.write_labels(folder / f"labels_{split}.parquet", targets)
            if inputs is not None:
                storage.write_inputs(folder, split, inputs)
        client.log_artifacts(written.run_id, name, LOGGED_FOLDER)
    for name, file in child.models.items():
        _log_model(client, written, child, name, file)


def _log_model(client: MlflowClient, written: Written, child: Child, name: str, file: Path) -> None:
    """Log a .keras file as a model of the Keras flavor, with the signature and the input example of the original."""
    import mlflow.keras
    from mlflow.models import Model

    original = Model.load(str(child.original))
    keras = import_keras(None, "auto")
    model = keras.saving.load_model(file, **load_options(child.original, child.unsafe))
    example = original.load_input_example(str(child.original)) if original.saved_input_example_info else None
    requirements = child.original / "requirements.txt"
    with tempfile.TemporaryDirectory() as folder:
        target = f"{folder}/model"
        described, finish = _announced(client, written, name, target)
        # MLflow 3.17 writes the input example before it makes the folder.
        Path(target).mkdir()
        mlflow.keras.save_model(
            model,
            target,
            mlflow_model=described,
            signature=_signature(original, model),
            input_example=example,
            # Inferring them would load the model in another process.
            pip_requirements=str(requirements) if requirements.is_file() else ["keras"],
        )
        finish()


def _announced(
    client: MlflowClient, written: Written, name: str, folder: str
) -> tuple[Model | None, Callable[[], None]]:
    """What the model is saved as, and how it is logged once `folder` holds it; MLflow 2 keeps it with the run."""
    from mlflow.models import Model

    if not hasattr(client, "create_logged_model"):
        described = Model(artifact_path=name, run_id=written.run_id)

        def keep() -> None:
            client.log_artifacts(written.run_id, folder, name)
            client._record_logged_model(written.run_id, described)  # type: ignore[no-untyped-call]

        return described, keep
    from mlflow.entities import LoggedModelOutput

    experiment = client.get_run(written.run_id).info.experiment_id
    logged = client.create_logged_model(experiment, name=name, source_run_id=written.run_id)
    written.models.append(logged.model_id)

    def log() -> None:
        client.log_model_artifacts(logged.model_id, folder)
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(written.run_id, [LoggedModelOutput(logged.model_id, step=0)])

    described = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        run_id=written.run_id,
        model_id=logged.model_id,
    )
    return described, log


def _signature(original: Model, model: Any) -> Any:
    """The original's signature; its outputs anew where the repaired model has another number of them."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = original.signature
    if signature is None or signature.outputs is None or not signature.outputs.is_tensor_spec():
        return signature
    shape = tuple(-1 if size is None else int(size) for size in model.output_shape)
    if [tuple(item.shape) for item in signature.outputs.inputs] == [shape]:
        return signature
    outputs = Schema([TensorSpec(np.dtype("float32"), shape)])
    return ModelSignature(inputs=signature.inputs, outputs=outputs, params=signature.params)


def _registered(client: MlflowClient, written: Written, name: str) -> str:
    """Make the repaired model the next version of a registered model: its number."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if not written.models:
        return str(client.create_model_version(name, f"runs:/{written.run_id}/model", written.run_id).version)
    model_id = written.models[-1]
    source = f"models:/{model_id}"
    return str(client.create_model_version(name, source, written.run_id, model_id=model_id).version)


def _undo(client: MlflowClient, written: Written) -> None:
    """Delete what was written; where the store does not let us, say on the child that it failed. Never raises."""
    for model_id in written.models:
        with contextlib.suppress(Exception):
            client.delete_logged_model(model_id)
    try:
        client.update_run(written.run_id, status="FAILED")
        client.delete_run(written.run_id)
    except Exception:  # noqa: BLE001 - the failure itself reaches the caller anyway
        with contextlib.suppress(Exception):
            client.set_tag(written.run_id, ERROR, "this repair was not completed")
