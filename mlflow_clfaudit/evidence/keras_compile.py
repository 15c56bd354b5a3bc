"""Reads what compile() was given from a Keras config: losses, metrics, the optimizer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlflow_clfaudit.evidence.architecture import KNOWN_LOSSES, Loss, Metric, Optimizer

LOSS_ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kldivergence": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "huber_loss": "huber",
}


def per_output(value: object, outputs: Sequence[str], keys: Sequence[str | None]) -> list[object]:
    """One value for each output: by the key it is returned under, by its layer's name, or by its place."""
    if isinstance(value, dict) and "class_name" not in value:
        names = [
            {str(key)} if key is not None else {output, output.rsplit("/", maxsplit=1)[-1], output.split("/")[0]}
            for output, key in zip(outputs, keys, strict=True)
        ]
        found = [next((item for name, item in value.items() if str(name) in known), None) for known in names]
        if any(item is not None for item in found):
            return found
        value = list(value.values())
    if isinstance(value, list):
        return [value[place] if place < len(value) else None for place in range(len(outputs))]
    return [value for _ in outputs]


def metrics_per_output(value: object, outputs: Sequence[str], keys: Sequence[str | None]) -> list[object]:
    nested = isinstance(value, dict) and "class_name" not in value
    # A flat list as long as the outputs is one metric for each of them, as compile() takes it.
    listed = isinstance(value, list) and len(outputs) > 1 and len(value) == len(outputs)
    if nested or listed:
        return [item or [] for item in per_output(value, outputs, keys)]
    return [value or [] for _ in outputs]


def read_loss(value: object) -> Loss | None:
    name = name_of(value)
    if name is None:
        return None
    custom = False
    options: Mapping[str, Any] = {}
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        options = value["config"]
        name = _snake(str(value.get("class_name")))
        module = str(value.get("module") or "")
        custom = module.partition(".")[0] != "keras" or ">" in str(value.get("registered_name") or "")
    elif name not in KNOWN_LOSSES and name.lower() not in LOSS_ALIASES:
        name = _snake(name) if ">" not in name else name
    lowered = name.lower()
    name = LOSS_ALIASES.get(lowered, lowered)
    return Loss(
        name=name,
        from_logits=bool(options.get("from_logits", False)),
        known=name in KNOWN_LOSSES and not custom,
        options={key: item for key, item in options.items() if key not in ("name", "dtype")},
    )


def read_metrics(values: object) -> Iterator[Metric]:
    for value in values if isinstance(values, list) else [values]:
        if isinstance(value, list):
            yield from read_metrics(value)
        elif isinstance(value, dict):
            options = value.get("config")
            if isinstance(options, dict):
                yield Metric(_snake(str(value.get("class_name"))), by_string=False, options=options)
            else:
                yield Metric(name_of(value) or "custom", by_string=False)
        elif isinstance(value, str):
            yield Metric(value.lower())


def read_optimizer(value: object) -> Optimizer | None:
    if isinstance(value, str):
        return Optimizer(value.lower())
    if not isinstance(value, dict):
        return None
    options = value.get("config")
    options = options if isinstance(options, dict) else {}
    inner = options.get("inner_optimizer")
    if value.get("class_name") == "LossScaleOptimizer" and isinstance(inner, dict):
        return read_optimizer(inner)
    return Optimizer(str(value.get("class_name", "")).lower(), options)


def name_of(value: object) -> str | None:
    """The canonical name of a function or object in a Keras config."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        inner = value.get("config")
        if value.get("class_name") == "function" and isinstance(inner, str):
            return inner
        return _snake(str(value.get("registered_name") or value.get("class_name") or "custom"))
    return None


def _snake(name: str) -> str:
    """BinaryCrossentropy → binary_crossentropy, KLDivergence → kldivergence."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.rpartition(">")[2]).lower()
