"""Passes the rows through the model once: served outputs, head logits, penultimate features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.class_indices import class_indices, known_indices
from mlflow_clfaudit.evidence.inputs import Rows, count, take
from mlflow_clfaudit.evidence.keras_backend import exhausted, must_fit
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.network import Network, as_model_input
from mlflow_clfaudit.evidence.served import Served, stratified
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Tier

BATCH_VALUES = 2**22
# More than that are computed anew for the rows of a trial only.
MAX_FEATURE_BYTES = 2**28
SAMPLE_ROWS = 6_000


@provides(tier=Tier.FORWARD)
def served(network: Network, evaluation_rows: Rows, head: Head) -> Served:
    """What the model says about the evaluation rows."""
    return serve(network, evaluation_rows, head)


@provides(tier=Tier.FORWARD)
def served_train(network: Network, training_rows: Rows, evaluation_rows: Rows, head: Head, served: Served) -> Served:
    """What the model says about the training rows: all of them, or a stratified sample of a large set."""
    if evaluation_rows.split == training_rows.split:
        return served
    return serve(network, training_rows, head, limit=4 * SAMPLE_ROWS)


def serve(network: Network, rows: Rows, head: Head, *, limit: int | None = None) -> Served:
    """Pass rows through the model once. Features and inputs are kept only of a sample that probes can use."""
    if rows.labels.form in ("multi-hot", "matrix", "continuous"):
        raise Missing(f"{rows.labels.form} labels are not judged row by row")
    inputs, labels = _learnt_from(rows, head)
    if network.classes is not None:
        truth, classes = known_indices(labels, network.classes)
    else:
        truth, classes = class_indices(labels, _width(network, head))
    if limit is not None and len(truth) > limit:
        chosen = stratified(truth, limit)
        inputs, truth = take(inputs, chosen), truth[chosen]
    features, logits, outputs = forward(network, inputs)
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if outputs.ndim != 2:
        raise Missing(f"outputs of shape {outputs.shape} (one decision per position) are not judged")
    return Served(
        split=rows.split,
        held_out=rows.held_out,
        head=network.head or head,
        outputs=outputs,
        truth=truth,
        classes=max(classes, outputs.shape[1], 2),
        logits=logits,
        features=features,
        inputs=inputs,
        total=rows.count,
        answers=network.decide(inputs) if network.decide is not None else None,
    )


def _learnt_from(rows: Rows, head: Head) -> tuple[Any, LabelSet]:
    """The inputs and labels of the rows that the loss counts: those of its `ignore_class` are nobody's mistake."""
    ignored = head.loss.options.get("ignore_class") if head.loss is not None else None
    labels = rows.labels
    if ignored is None or labels.codes.dtype.kind not in "iu":
        return rows.inputs, labels
    labels = replace(labels, scale=None if labels.scale is None else labels.scale[labels.scale != ignored])
    if ignored not in labels.classes:
        return rows.inputs, labels
    kept = np.flatnonzero(labels.codes != ignored)
    return take(rows.inputs, kept), replace(labels, values=labels.values[kept])


def _width(network: Network, head: Head) -> int | None:
    shape = getattr(network.tapped, "output_shape", None)
    return shape[2][-1] if shape else head.units


def forward(network: Network, inputs: Any) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Features (N, D), logits (N, C) and outputs of every row, in large batches. Too many features are None.

    Batch by batch, for `model.predict` spends twice as long on its own pipeline; a batch that the memory does not hold
    is tried again at half its size.
    """
    model = network.tapped or network.model
    parts: list[list[np.ndarray]] = []
    start, rows, batch = 0, count(inputs), batch_size(inputs)
    while start < rows:
        chunk = take(inputs, slice(start, start + batch))
        try:
            passed = model.predict_on_batch(as_model_input(model, chunk))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises
            if exhausted(error) and batch > 1:
                batch //= 2
                continue
            must_fit(error)
            text = first_line(error, 160)
            raise Missing(
                f"the logged inputs do not fit the model: {text}", "log the inputs exactly as fit() was given them"
            ) from None
        start += batch
        parts.append([np.asarray(part) for part in passed] if network.tapped else [np.asarray(_only(passed))])
        if network.tapped and parts[-1][0].nbytes * rows > MAX_FEATURE_BYTES * len(parts[-1][0]):
            parts[-1][0] = parts[-1][0][:0]
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    if not network.tapped:
        return None, None, joined[0]
    features, logits, outputs = joined
    if logits.ndim == 3 and outputs.ndim == 2 and logits.shape[0] == outputs.shape[0]:
        logits = logits.reshape(len(logits), -1)
    return features.reshape(len(features), -1) if len(features) == len(outputs) else None, logits, outputs


def _only(passed: Any) -> Any:
    if isinstance(passed, dict):
        passed = list(passed.values())
    return passed[0] if isinstance(passed, list | tuple) else passed


def batch_size(inputs: Any) -> int:
    first = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    values = int(np.prod(first.shape[1:])) or 1
    return int(np.clip(BATCH_VALUES // values, 32, 32_768))
