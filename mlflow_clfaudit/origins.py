"""What an audit rests on, in words: where its evidence was read from, and with what it was judged."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from mlflow_clfaudit.evidence import Evidence


def sources(evidence: Evidence) -> dict[str, str]:
    """What each piece of evidence was read from."""
    found: dict[str, str] = {}
    run = evidence.get("run")
    if run.models:
        found["model"] = run.models[-1].uri
    labels, inputs = evidence.peek("labels"), evidence.peek("inputs")
    if labels is not None:
        found |= {f"labels of {split}": item.source for split, item in labels.splits.items()}
    if inputs is not None:
        found |= {f"inputs of {split}": source for split, source in inputs.sources.items()}
    recorded = evidence.peek("recorded")
    if recorded is not None and evidence.peek("network") is None:
        found |= {f"predictions of {split}": source for split, source in recorded.sources.items()}
    history = evidence.peek("history")
    if history is not None:
        found["history"] = f"metrics of the run, {history.epochs} epochs"
    return found


def environment(evidence: Evidence) -> dict[str, str]:
    """The versions, the backend and the device that an audit was made with."""
    found = {"python": platform.python_version(), "mlflow_clfaudit": _version("mlflow-clfaudit")}
    found["mlflow"] = _version("mlflow")
    network, spec = evidence.peek("network"), evidence.peek("spec")
    if spec is not None and spec.keras_version:
        found["keras of the run"] = spec.keras_version
    if network is not None:
        library = {"keras": _version("keras")} if network.classes is None else {}
        found |= {**library, "backend": network.backend, "device": network.device}
    return found


def headline(evidence: Evidence) -> str:
    """The evidence in a few words: flavor, rows, backend and device."""
    flavors, served, network = (evidence.peek(name) for name in ("flavors", "served", "network"))
    parts = [next((name for name in flavors if name != "python_function"), "pyfunc") if flavors else "no model"]
    if served is not None:
        parts.append(f"{served.rows:,} {served.split} rows".replace(",", " "))
    if network is not None:
        parts.append(f"{network.backend}, {network.device}")
    return " · ".join(parts)


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
