"""`mlflow clfaudit repair`: the fixes that a run's audit has proven, applied one by one, each kept only if it helps."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlflow_clfaudit.audit import audit_run, evidence_of, judge, must_exist, quiet
from mlflow_clfaudit.errors import AuditError, Missing, UsageError
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.keras_backend import COMPILE_OPTIONS
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.reader import read_run, without_autologging
from mlflow_clfaudit.evidence.recipe import loss_of, optimizer_of, rate_of, targets_of
from mlflow_clfaudit.evidence.retraining import steady_random
from mlflow_clfaudit.evidence.run import Run, run_url
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.names import REPAIR_OF
from mlflow_clfaudit.registry import all_checks
from mlflow_clfaudit.repair.measured import Comparison, compare
from mlflow_clfaudit.repair.patient import SEED, Budget, Patient, Wards, wards
from mlflow_clfaudit.repair.registry import Repair, Stage, Treated, repairs_of
from mlflow_clfaudit.repair.script import Script, script_of
from mlflow_clfaudit.repair.words import patch_page, to_note
from mlflow_clfaudit.types import Finding, Grade, Report, Severity

MEASURED = (Grade.A, Grade.B)


@dataclass(frozen=True)
class Attempt:
    """One finding that was to be mended: what was done and what came of it.

    `kept` says whether it is part of the repaired model; else `why` says why not. `comparison` is with the model that
    was kept before, None where nothing could be tried or the step only prepares the next one. `with_step` is the
    place of the attempt that mends this finding, too.
    """

    check: str
    did: str = ""
    kept: bool = False
    why: str = ""
    measure: str = ""
    comparison: Comparison | None = None
    with_step: int | None = None
    prepares: bool = False


@dataclass(frozen=True)
class Repaired:
    """A run's repair: what was tried, and what the whole of it gives on the judged rows.

    `overall` compares the logged model with the repaired one, None where nothing was kept. `child` is the id of the run
    that holds the repaired model, None where none was written, `after` the audit of it.
    """

    run: Run
    before: Report
    attempts: Sequence[Attempt]
    rows: str = ""
    overall: Comparison | None = None
    patch: str = ""
    child: str | None = None
    after: Report | None = None
    version: str | None = None
    url: str | None = None

    @property
    def kept(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.kept]


@dataclass(frozen=True)
class Stand:
    """A model on its way: what is known about it, its rows and its script, and what was done to it so far."""

    evidence: Evidence
    wards: Wards
    script: Script
    steps: tuple[int, ...] = ()
    curves: Mapping[str, list[float]] = field(default_factory=dict)
    learning_rate: float | None = None
    scores: Path | None = None

    @property
    def file(self) -> Path:
        file: Path = self.evidence.get("keras_file")
        return file


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


class Course:
    """The repairs of one run, one after the other, each from the model that the last kept one left."""

    def __init__(
        self,
        evidence: Evidence,
        findings: Sequence[Finding],
        folder: Path,
        *,
        budget: float,
        seed: int,
        telling: Callable[[str], None],
    ) -> None:
        self.findings = sorted(findings, key=lambda item: min((r.stage for r in repairs_of(item.check)), default=99))
        self.evidence, self.folder, self.seed, self.telling = evidence, folder, seed, telling
        self.budget = Budget(budget)
        self.attempts: list[Attempt] = []
        self.first: Stand | None = None

    def run(self) -> Stand | None:
        """Try every finding's repairs; the last stand that was kept, None where no finding has a repair."""
        self.attempts = [
            Attempt(finding.check, why=f"no new model mends this; its fix: {finding.fix}")
            for finding in self.findings
            if not repairs_of(finding.check)
        ]
        findings = [finding for finding in self.findings if repairs_of(finding.check)]
        if not findings:
            return None
        spec: Spec = self.evidence.get("spec")
        if len(spec.heads) != 1:
            raise Missing("models of several outputs are not repaired")
        mixed = any(repair.stage is Stage.SPLIT for finding in findings for repair in repairs_of(finding.check))
        rows = wards(self.evidence, mixed=mixed)
        self.first = Stand(self.evidence, rows, script_of(spec, self.evidence.get("fit")))
        kept = current = self.first
        trainings = sum(any(repair.trains for repair in repairs_of(item.check)) for item in findings)
        done: dict[Any, int] = {}
        for finding in findings:
            for repair in repairs_of(finding.check):
                if repair.function in done:
                    self.attempts.append(Attempt(finding.check, with_step=done[repair.function]))
                    break
                attempt, stand = self._tried(finding, repair, current, kept, trainings)
                self.attempts.append(attempt)
                trainings -= repair.trains
                if stand is not current:
                    done[repair.function] = len(self.attempts) - 1
                    current = stand
                if attempt.kept:
                    kept = stand
                    # The same weights under the right activation are what was asked for; a training may leave room.
                    if attempt.measure == repair.improves[0] and repair.stage is Stage.ACTIVATION:
                        break
        return kept

    def _tried(
        self, finding: Finding, repair: Repair, current: Stand, kept: Stand, trainings: int
    ) -> tuple[Attempt, Stand]:
        """One repair: what came of it, and the stand to go on from, which is `current` where it was given up."""
        self.telling(f"{finding.check}: {repair.name}")
        seconds = self.budget.share(trainings) if repair.trains else self.budget.share(1)
        tell = lambda text: self.telling(f"{finding.check}: {text}")  # noqa: E731 - one line of progress
        patient = Patient(finding, current.evidence, current.wards, seconds, self.seed, tell)
        place = len(self.attempts)
        try:
            treated = repair.function(patient)
            stand = self._stand(patient, current, treated, place)
        except Missing as missing:
            return Attempt(finding.check, repair.name, why=f"not possible: {missing.reason}"), current
        except AuditError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises when it is edited
            text = str(error).splitlines()[0][:160] if str(error) else ""
            return Attempt(finding.check, repair.name, why=f"failed: {type(error).__name__}: {text}"), current
        comparison = compare(kept.wards.judge, stand.wards.judge, seed=self.seed)
        measure = comparison.telling(repair.improves)
        if repair.prepares:
            return Attempt(finding.check, treated.did, why="the repair after it did not help", prepares=True), stand
        attempt = Attempt(finding.check, treated.did, measure=measure, comparison=comparison)
        if comparison.improves(repair.improves):
            for earlier in current.steps:
                if not self.attempts[earlier].kept:
                    self.attempts[earlier] = replace(
                        self.attempts[earlier], kept=True, why="", measure="", comparison=None
                    )
            return replace(attempt, kept=True), replace(stand, steps=())
        why = "no better beyond its interval"
        return replace(attempt, why=why), stand if repair.lays_ground else current

    def _stand(self, patient: Patient, current: Stand, treated: Treated, place: int) -> Stand:
        """The treated model saved, read back and run on the rows."""
        file = self.folder / f"{place}" / "model.keras"
        scores = None
        head = replace(patient.head, loss=treated.loss or patient.head.loss)
        if treated.scores is not None:
            scores = file.with_name("scores.keras")
            self._save(patient, treated.scores, head, scores, treated.learning_rate)
        self._save(patient, treated.model, head if scores is None else None, file, treated.learning_rate)
        evidence = current.evidence.replaced(keras_file=file)
        network: Network = evidence.get("network")
        spec: Spec = evidence.get("spec")
        found: Head = evidence.get("head")
        return Stand(
            evidence=evidence,
            wards=current.wards.served_by(network, found),
            script=treated.patch(current.script, spec),
            steps=(*current.steps, place),
            curves={name: [*current.curves.get(name, []), *values] for name, values in treated.curves.items()}
            or current.curves,
            learning_rate=treated.learning_rate or current.learning_rate,
            scores=scores,
        )

    def _save(self, patient: Patient, model: Any, head: Head | None, file: Path, rate: float | None) -> None:
        """Save the model, compiled as it is to be trained on where its loss and optimizer are Keras's own."""
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            if head is not None:
                rate = rate or rate_of(patient.spec, patient.fit)
                metrics = [metric.name for metric in head.metrics if metric.by_string] or ["accuracy"]
                optimizer = optimizer_of(patient.keras, patient.spec, patient.fit, rate)
                options = COMPILE_OPTIONS.get(patient.backend, {})
                model.compile(optimizer=optimizer, loss=loss_of(patient.keras, head), metrics=metrics, **options)
        except Missing:
            pass
        with steady_random(self.seed):
            model.save(file)

    def _shown(self) -> Iterator[Attempt]:
        """The attempts without those that came to nothing beside one that did not, and without mere preparations."""
        mended = {attempt.check for attempt in self.attempts if attempt.kept and not attempt.prepares}
        for attempt in self.attempts:
            if attempt.with_step is not None:
                step = self.attempts[attempt.with_step]
                why = "" if step.kept else step.why
                yield replace(attempt, did=f"with {step.check}: {step.did}", kept=step.kept, why=why)
            elif attempt.kept or not (attempt.prepares or attempt.check in mended):
                yield attempt

    def result(self, run: Run, report: Report, last: Stand | None) -> Repaired:
        """What is to be told and logged."""
        attempts = tuple(self._shown())
        rows = "" if self.first is None else f"{self.first.wards.judge.rows} {self.first.wards.told}"
        if self.first is None or last is None or last is self.first:
            return Repaired(run, report, attempts, rows)
        overall = compare(self.first.wards.judge, last.wards.judge, seed=self.seed)
        repaired = Repaired(run, report, attempts, rows, overall)
        return replace(repaired, patch=patch_page(repaired, self.first.script, last.script))


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
        attach.tag_versions(read_run(written.run_id, run.tracking_uri), attach.tags(told["after"]))
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
