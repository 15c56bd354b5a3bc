"""What our own hook captured of the run's fit(): its real arguments, and which rows the kept inputs are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlflow_clfaudit.capture import MANIFEST
from mlflow_clfaudit.errors import Missing, first_line
from mlflow_clfaudit.evidence import provides
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.names import EVIDENCE_FOLDER

SWITCH_ON = "MLFLOW_CLFAUDIT_AUTO=1 in the environment of the training"
MAX_MANIFEST_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Captured:
    """The hook's manifest. `fits` counts the fit() calls of the run; the arguments are those of the last."""

    framework: str
    fits: int = 1
    arguments: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    digest: str = ""

    @property
    def class_weight(self) -> Mapping[object, float] | None:
        """The class weights by label; None where there were none or they were named, such as "balanced"."""
        given = self.arguments.get("class_weight")
        if not isinstance(given, dict):
            return None
        return {_label(key): float(weight) for key, weight in given.items()}

    @property
    def callbacks(self) -> Mapping[str, str]:
        """The settings of the first callback that watches a metric, as autologging writes them."""
        found = self.arguments.get("callbacks") or ()
        watching = next((item for item in found if isinstance(item, dict) and "monitor" in item), {})
        return {key: str(value) for key, value in watching.items() if key != "class"}

    def number(self, name: str) -> float | None:
        value = self.arguments.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
            return None
        return float(value)


@provides()
def captured(run: Run) -> Captured:
    """The manifest that the hook wrote; Missing for a run that was trained without it."""
    path = f"{EVIDENCE_FOLDER}/{MANIFEST}"
    if path not in run.artifacts:
        raise Missing("the run was trained without the hook", SWITCH_ON)
    try:
        local = run.fetch(path)
        if local.stat().st_size > MAX_MANIFEST_BYTES:
            raise ValueError("it is too large")
        content = json.loads(local.read_text(encoding="utf-8"))
        return Captured(
            framework=str(content["framework"]),
            fits=int(content["fits"]),
            arguments=dict(content["arguments"]),
            splits={str(name): dict(split) for name, split in content["splits"].items()},
            notes=tuple(str(note) for note in content["notes"]),
            digest=str(content["digest"]),
        )
    except Exception as error:  # noqa: BLE001 - whatever stands there in place of a manifest
        text = first_line(error, 120)
        raise Missing(f"the hook's manifest cannot be read: {text}") from None


def _label(key: str) -> object:
    try:
        return int(key)
    except ValueError:
        return key
