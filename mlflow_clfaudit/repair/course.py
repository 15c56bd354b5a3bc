"""The repairs of one run, one after the other, each measured against the model that the last kept one left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlflow_clfaudit.errors import AuditError, Missing, kind_and_first_line
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.keras_backend import COMPILE_OPTIONS
from mlflow_clfaudit.evidence.network import Network
from mlflow_clfaudit.evidence.recipe import loss_of, optimizer_of, rate_of
from mlflow_clfaudit.evidence.retraining import steady_random
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.spec import Head, Spec
from mlflow_clfaudit.repair.measured import compare
from mlflow_clfaudit.repair.patient import Budget, Patient, Wards, wards
from mlflow_clfaudit.repair.registry import Repair, Stage, Treated, repairs_of
from mlflow_clfaudit.repair.repaired import Attempt, Repaired
from mlflow_clfaudit.repair.script import Script, script_of
from mlflow_clfaudit.repair.words import patch_page
from mlflow_clfaudit.types import Finding, Report


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
            return Attempt(finding.check, repair.name, why=f"failed: {kind_and_first_line(error, 160)}"), current
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
