"""`mlflow clfaudit repair`: the fixes that a run's audit has proven, applied one by one, each kept only if it helps."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow_clfaudit.audit import audit_run, evidence_of, judge, quiet
from mlflow_clfaudit.errors import AuditError, Missing, UsageError
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.reader import read_run, without_autologging
from mlflow_clfaudit.evidence.recipe import targets_of
from mlflow_clfaudit.evidence.run import run_url
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.names import REPAIR_OF
from mlflow_clfaudit.question import must_exist
from mlflow_clfaudit.registry import all_checks
from mlflow_clfaudit.repair.course import Course, Stand
from mlflow_clfaudit.repair.patient import SEED, Wards
from mlflow_clfaudit.repair.repaired import Repaired
from mlflow_clfaudit.repair.words import to_note
from mlflow_clfaudit.report.tags import tags
from mlflow_clfaudit.types import Finding, Grade, Report, Severity

MEASURED = (Grade.A, Grade.B)


def repair_run(
    run_id: str,
    *,
    tracking_uri: str | None = None,
    select_checks: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
    goal: str | None = None,
    budget: float = 60.0,
    device: str = "auto",
    allow_unsafe: bool = False,
    register: str | None = None,
    dry_run: bool = False,
    seed: int = SEED,
    telling: Callable[[str], None] = lambda _: None,
) -> Repaired:
    """Audit a run, apply the fixes that the audit proves, and log the mended model as a child run of it.

    The run itself gets one tag, clfaudit.repair, with the id of the child; nothing else of it is touched.

    Args:
        run_id: the run.
        tracking_uri: the store that has it; MLflow's own setting when left out.
        select_checks: names of checks whose findings are to be mended, also those that are information only; every
            proven finding at warn or above when empty.
        labels: labels that the run lacks, split → local file or artifact path.
        inputs: inputs that the run lacks, in the same way.
        goal: what a threshold is chosen for, as in audit_run.
        budget: seconds for all refits together.
        device: auto, cpu or gpu.
        allow_unsafe: run code that the model brings along, as in audit_run.
        register: a registered model that the repaired one becomes a version of.
        dry_run: write nothing to MLflow.
        seed: of everything that is drawn.
        telling: told what is being done at the moment.

    Raises:
        AuditError: the run could not be read, repaired or written; the message is one line with the next step.
    """
    run = read_run(run_id, tracking_uri)
    if REPAIR_OF in run.tags:
        original = run.tags[REPAIR_OF]
        raise UsageError(f"run {run_id} is a repair itself; repair what it was made from: {original}")
    wanted = set(select_checks)
    unknown = sorted(wanted - set(all_checks()))
    if unknown:
        raise UsageError(f"no check is named {unknown[0]!r}; `mlflow clfaudit list` shows them")
    telling("auditing the run")
    overrides = Overrides(labels or {}, inputs or {}, {}, goal)
    must_exist(run, overrides)
    evidence = evidence_of(run, device=device, overrides=overrides, allow_unsafe=allow_unsafe)
    report = judge(run, evidence)
    findings = proven(report, wanted)
    with tempfile.TemporaryDirectory() as folder, quiet(), without_autologging():
        try:
            course = Course(evidence, findings, Path(folder), budget=budget, seed=seed, telling=telling)
            last = course.run()
        except Missing as missing:
            advice = f"; {missing.how_to_supply}" if missing.how_to_supply else ""
            raise AuditError(f"run {run_id} cannot be repaired: {missing.reason}{advice}") from None
        repaired = course.result(run, report, last)
        if last is None or repaired.overall is None or dry_run:
            return repaired
        return _logged(repaired, course, last, register=register, budget=budget, device=device, unsafe=allow_unsafe)


def proven(report: Report, wanted: set[str]) -> list[Finding]:
    """The findings to be mended: with a measured proof, and at warn or above unless they are asked for."""
    return [
        finding
        for finding in report.findings
        if finding.counts
        and finding.proof is not None
        and finding.proof.grade in MEASURED
        and (finding.check in wanted if wanted else finding.level.at_least(Severity.WARN))
    ]


def _logged(
    repaired: Repaired,
    course: Course,
    last: Stand,
    *,
    register: str | None,
    budget: float,
    device: str,
    unsafe: bool,
) -> Repaired:
    """The repair with its child run, audited and linked."""
    from mlflow_clfaudit import attach, child

    run = repaired.run
    told: dict[str, Any] = {}

    def audit(run_id: str) -> None:
        course.telling("auditing the repaired model")
        told["after"] = audit_run(
            run_id,
            tracking_uri=run.tracking_uri,
            device=device,
            budget=min(budget, 20.0),
            allow_unsafe=unsafe,
            running=True,
        )

    course.telling("writing the child run")
    models = {"model": last.file}
    if last.scores is not None:
        models = {"predict_proba": last.scores, **models}
    written = child.write(
        run,
        child.Child(
            name=f"{run.name} repaired",
            tags={REPAIR_OF: run.run_id, "clfaudit.repaired": ", ".join(dict.fromkeys(a.check for a in repaired.kept))},
            note=to_note(repaired),
            metrics=_metrics(repaired, last),
            files={"repair.patch.md": repaired.patch},
            rows={split: (item.inputs, targets_of(item, item.head)) for split, item in _splits(last.wards)},
            models=models,
            original=last.evidence.get("model_folder"),
            unsafe=unsafe,
        ),
        audit,
        register=register,
    )
    if written.version is not None:
        attach.tag_versions(read_run(written.run_id, run.tracking_uri), tags(told["after"]))
    url = run_url(run.tracking_uri, run.experiment_id, written.run_id)
    return replace(repaired, child=written.run_id, version=written.version, url=url, **told)


def _splits(rows: Wards) -> Iterator[tuple[str, Served]]:
    """The rows as an audit of the repaired model knows them, by split."""
    yield from (("train", rows.learn), ("validation", rows.tune), ("test", rows.judge))


def _metrics(repaired: Repaired, last: Stand) -> dict[str, list[float]]:
    """What the child run plots: the curves of its training, and each measure before and after with its interval."""
    found = {name: list(values) for name, values in last.curves.items()}
    if repaired.overall is None:
        return found
    for when, estimates in (("before", repaired.overall.before), ("after", repaired.overall.after)):
        for name, estimate in estimates.items():
            key = f"clfaudit/{when}/{name.replace(' ', '_')}"
            found |= {key: [estimate.value], f"{key}_low": [estimate.low], f"{key}_high": [estimate.high]}
    return found
