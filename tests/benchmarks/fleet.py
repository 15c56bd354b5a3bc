"""What auditing many runs costs, on two workers and, part by part, in one process.

CLFAUDIT_BENCH_SIZES names other numbers of runs than the usual ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.runs import store, train

SIZES = tuple(int(size) for size in os.environ.get("CLFAUDIT_BENCH_SIZES", "10 100 1000 10000").split())
# Of a larger store that many runs are audited: what one costs there shows in them.
MOST = 1_000
FULL = 60
PARTS = 100
GOAL_STATIC, GOAL_FULL = 60.0, 1.5
COMMAND = [str(Path(sys.executable).parent / "mlflow-clfaudit"), "--fail-on", "never", "--jobs", "2"]
WHOLE = ("--experiment", "bench")


@dataclass(frozen=True)
class Swept:
    """One sweep: seconds of wall clock until the first and the last run were done, and of the whole command."""

    runs: int
    first: float
    last: float
    whole: float

    @property
    def rate(self) -> float:
        """Runs a second once the workers are at work."""
        return (self.runs - 1) / (self.last - self.first)


@dataclass(frozen=True)
class Measured:
    """`static` and `parts` by the number of runs in the store."""

    static: dict[int, Swept]
    full: Swept
    untrained: Swept
    again: float
    parts: dict[int, dict[str, float]]


def sweep(uri: str, *options: str) -> Swept:
    """Time the command, a line as each run is done."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [*COMMAND, "--format", "jsonl", *options]
    began = time.perf_counter()
    times = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            json.loads(line)
            times.append(time.perf_counter() - began)
    assert process.returncode == 0
    whole = time.perf_counter() - began
    return Swept(len(times), min(times, default=whole), max(times, default=whole), whole)


def measure() -> Measured:
    """Sweeps in stores of growing size, full ones, one that finds all done, and the parts of a static audit."""
    from mlflow_clfaudit.evidence.reader import search_runs

    static: dict[int, Swept] = {}
    parts: dict[int, dict[str, float]] = {}
    again = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained = train(folder / "trained")

        def stored(count: int, kind: str) -> str:
            (folder / kind).mkdir()
            return store(folder / kind, trained, count)

        for size in filter(MOST.__ge__, SIZES):
            uri = stored(size, f"static-{size}")
            static[size] = sweep(uri, *WHOLE, "--tier", "static")
            told(f"static, {size} runs: {static[size]}")
            assert static[size].runs == size
            again = sweep(uri, *WHOLE, "--tier", "static").whole
        parts[PARTS] = measure_parts(uri := stored(PARTS, "parts"), list(search_runs("bench", tracking_uri=uri)))
        for size in filter(MOST.__lt__, SIZES):
            uri = stored(size, f"static-{size}")
            run_ids = sorted(search_runs("bench", tracking_uri=uri))  # ids are random: faulty and healthy runs mixed
            static[size] = sweep(uri, *run_ids[:MOST], "--tier", "static")
            told(f"static, in a store of {size} runs: {static[size]}")
            parts[size] = measure_parts(uri, run_ids[-PARTS:])
        full = sweep(stored(FULL, "full"), *WHOLE)
        told(f"full, {FULL} runs: {full}")
        untrained = sweep(stored(FULL, "untrained"), *WHOLE, "--budget", "0")
        told(f"full, {FULL} runs without trainings: {untrained}")
    return Measured(static, full, untrained, again, parts)


def measure_parts(uri: str, run_ids: Sequence[str]) -> dict[str, float]:
    """Processor milliseconds of a static audit, part by part, the mean over these runs, in one process that is warm.

    The last part is what MLflow's own calls take that no audit can do without, made on the same runs once more.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunTag

    from mlflow_clfaudit import attach
    from mlflow_clfaudit.audit import audit, audit_run
    from mlflow_clfaudit.evidence.reader import read_run

    client = MlflowClient(uri)
    for run_id in run_ids[:10]:
        audit_run(run_id, tracking_uri=uri, tier="static")
    spent = dict.fromkeys(
        ("read the run", "examine it", "draw the report", "write to MLflow", "MLflow's calls alone"), 0.0
    )

    def timed(part: str, function: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = function()
        spent[part] += time.process_time() - began
        return result

    def calls(run_id: str) -> None:
        """What reading and writing need of MLflow at the least: nothing of ours."""
        found = client.get_run(run_id)
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            client.get_metric_history(run_id, key)
        client.get_logged_model(found.outputs.model_outputs[0].model_id)
        client.get_experiment(found.info.experiment_id)
        client.set_tag(run_id, "bench.writing", "1")
        client.get_run(run_id)
        now = int(time.time() * 1000)
        client.log_batch(
            run_id,
            [Metric(f"bench/{place}", 1.0, now, 0) for place in range(4)],
            tags=[RunTag(f"bench.{place}", "value") for place in range(14)],
        )
        client.delete_tag(run_id, "bench.writing")
        client.search_model_versions(f"run_id = '{run_id}'")

    measured = run_ids[10:]
    for run_id in measured:
        run = timed("read the run", lambda run_id=run_id: read_run(run_id, uri))
        report = timed("examine it", lambda run=run: audit(run, tier="static"))
        timed("draw the report", lambda run=run, report=report: attach._rendered(run, report))
        timed("write to MLflow", lambda run=run, report=report: attach.write(run, report))
    # write() draws it, too.
    spent["write to MLflow"] -= spent["draw the report"]
    for run_id in measured:
        timed("MLflow's calls alone", lambda run_id=run_id: calls(run_id))
    return {part: seconds / len(measured) * 1000 for part, seconds in spent.items()}


def section() -> str:
    """The part of docs/performance.md about many runs."""
    measured = measure()
    swept = [("static", size, item) for size, item in measured.static.items()]
    swept += [("full, `--budget 0`", FULL, measured.untrained), ("full", FULL, measured.full)]
    rows = "\n".join(
        f"| {tier} | {item.runs} of {size} | {item.first:.1f} | {item.whole:.1f} | {item.rate:.1f} |"
        for tier, size, item in swept
    )
    largest = max(size for size in measured.static if size <= MOST)
    verdicts = [
        f"**{'met' if rate >= goal else 'missed'}**: {name} {rate:.1f} runs/s (goal {goal:g})"
        for name, rate, goal in (
            ("static", measured.static[largest].rate, GOAL_STATIC),
            ("full, trainings apart", measured.untrained.rate, GOAL_FULL),
            ("full, with trainings in every run", measured.full.rate, GOAL_FULL),
        )
    ]
    sizes = list(measured.parts)
    parts = "\n".join(
        f"| {part} | {' | '.join(f'{measured.parts[size][part]:.1f}' for size in sizes)} |"
        for part in measured.parts[PARTS]
    )
    *ours, floor = measured.parts[PARTS].values()
    return f"""`mlflow-clfaudit --experiment bench --jobs 2`, SQLite, small Keras networks, every fourth of them faulty.
Each run is written: report, tags, description.

| tier | runs of the store | seconds to the first | seconds in all | runs/s from then on |
|---|---|---|---|---|
{rows}

- {"; ".join(verdicts)}.
- The same sweep once more, everything audited already: {measured.again:.1f} s for {largest} runs.

Where the time of a static audit goes, in processor milliseconds a run, in one warm process:

| part | {" | ".join(f"{size} runs in the store" for size in sizes)} |
|---|{"---|" * len(sizes)}
{parts}

MLflow's own calls, without anything of ours, are {floor / sum(ours):.0%} of it in the small store: two processes that
did nothing else would come to {2000 / floor:.0f} runs/s on this machine. In the large one it is `get_metric_history`
that grows: SQLite answers it from the index that begins with the metric's name, and so passes that metric's points in
all runs.
"""


def told(text: str) -> None:
    sys.stderr.write(f"{text}\n")
