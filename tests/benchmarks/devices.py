"""`python -m tests.benchmarks.devices`: the same audits on two devices or Keras backends, compared and timed.

Without options, the CPU and the GPU on the backend that Keras has here; `--places jax:cpu,torch:cpu` compares what is
named. Ends with 1 where findings differ or numbers are further apart than TOLERANCE.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tests.benchmarks.runs import store, train
from tests.benchmarks.scale import LOG_ROWS, last_line

# Relative, of every number of a finding and of the served quality. TF32 keeps 10 bits of a product's factors, XLA
# reorders sums: a logit moves by 1e-3, a share of rows by a few rows in a thousand.
TOLERANCE = 0.01
# What counterfactual trainings measure: they start from the same seed, but drift apart step by step.
TRAINED = 0.1
AUDITS = """
import json, sys, time
import numpy
from mlflow import MlflowClient, artifacts
from mlflow_clfaudit import audit_run
from mlflow_clfaudit.report.json import to_dict
device, large, *run_ids = sys.argv[1:]
reports = {run_id: to_dict(audit_run(run_id, device=device, dry_run=True)) for run_id in run_ids}
rates = []
for _ in range(3):
    report = audit_run(large, tier="forward", device=device, dry_run=True)
    rates.append(1_000_000 / report.seconds["served"])
import mlflow
run = MlflowClient().get_run(large)
model = mlflow.keras.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
rows = numpy.load(artifacts.download_artifacts(f"runs:/{large}/data/X_val.npy"))
bare = []
for size in (8192, 32768, 131072):
    started = time.perf_counter()
    model.predict(rows, batch_size=size, verbose=0)
    bare.append(len(rows) / (time.perf_counter() - started))
name = report.environment["device"]
try:
    import torch
    name = torch.cuda.get_device_name() if name.startswith("GPU") else name
except ImportError:
    pass
print(json.dumps({"reports": list(reports.values()), "rate": max(rates), "bare": max(bare), "device": name}))
"""


def audits(place: str, folder: str, run_ids: list[str]) -> dict[str, Any]:
    """The reports of every run and the rows a second, as one place (backend:device) has them."""
    backend, _, device = place.partition(":")
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    found: dict[str, Any] = json.loads(last_line(AUDITS, device, *run_ids, environment=environment, folder=folder))
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """What two reports of one run do not agree on."""
    name = one["run_name"]
    if (one["verdict"], one["root_cause"]) != (other["verdict"], other["root_cause"]):
        yield f"{name}: {one['verdict']}, {one['root_cause']} and {other['verdict']}, {other['root_cause']}"
    mine, its = _findings(one), _findings(other)
    if mine.keys() != its.keys():
        yield f"{name}: {mine.keys() ^ its.keys()}"
        return
    for key, proof in mine.items():
        for when in ("before", "after"):
            value, same = proof.get(when), its[key].get(when)
            bound = TRAINED if "train" in str(proof.get("how")) else TOLERANCE
            if value is not None and same is not None and abs(value - same) > bound * max(1.0, abs(value)):
                yield f"{name}: {key}: {when} {value:.4f} and {same:.4f}"


def _findings(report: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The proofs by check and severity.

    Which loss was logged is left out: TensorFlow takes the logits behind a softmax, other backends do not.
    """
    return {
        (item["check"], item["severity"]): item["proof"] or {}
        for item in report["findings"]
        if item["area"] != "reproduction"
    }


@click.command()
@click.option("--places", default="", help="backend:device, two or more, separated by commas.")
def main(places: str) -> None:
    """Log runs, audit them at every place, compare and time."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    chosen = places.split(",") if places else [f"{backend}:cpu", f"{backend}:gpu"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KERAS_BACKEND"] = chosen[0].partition(":")[0]
        store(Path(folder), train(Path(folder) / "trained"), 8)
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        large = last_line(LOG_ROWS, "1000000", environment=environment, folder=folder)
        listed = "import mlflow; print(*mlflow.search_runs(experiment_names=['bench']).run_id[:4])"
        run_ids = last_line(listed, environment=environment, folder=folder).split()
        found = {}
        for place in chosen:
            try:
                found[place] = audits(place, folder, [large, *run_ids])
            except subprocess.CalledProcessError as error:
                raise click.ClickException(f"{place}: {error.stderr.strip().splitlines()[-1]}") from None
    first, *others = found
    wrong = []
    for place, result in found.items():
        click.echo(
            f"{place}: {result['device']}, the audit's forward pass {result['rate']:,.0f} rows/s, "
            f"bare model.predict {result['bare']:,.0f} rows/s"
        )
    for place in others:
        for one, other in zip(found[first]["reports"], found[place]["reports"], strict=True):
            wrong += [f"{first} and {place}: {text}" for text in differences(one, other)]
    click.echo("\n".join(wrong) or f"findings are the same, numbers agree to {TOLERANCE:.0%}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
