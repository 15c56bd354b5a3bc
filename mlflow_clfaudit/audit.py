"""The one way through: from a run id to a report, and from a report to the run."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mlflow_clfaudit import redaction
from mlflow_clfaudit.errors import AlreadyAudited, AuditError, LeftAlone, OutOfMemory
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.budget import Budget
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.reader import read_run, without_autologging
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.examine import examine_outputs, examine_repaired
from mlflow_clfaudit.isolated import Limits, audit_isolated
from mlflow_clfaudit.origins import environment, headline, sources
from mlflow_clfaudit.question import Question, must_exist
from mlflow_clfaudit.rank import Ranked, rank
from mlflow_clfaudit.registry import Check, all_checks, select
from mlflow_clfaudit.report.figures import figures
from mlflow_clfaudit.review import ignored_checks, review_of
from mlflow_clfaudit.suspicious import suspicious_rows
from mlflow_clfaudit.types import Outcome, Report, Severity, Status, Tier, Verdict

# Evidence that is there for every run, whatever it logged.
PARAMS_ALONE = {"run", "fit", "overrides", "output", "device", "budget"}


def audit_run(
    run_id: str,
    *,
    tracking_uri: str | None = None,
    model_uri: str | None = None,
    tier: str = "probe",
    device: str = "auto",
    labels: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
    metrics: Mapping[str, str] | None = None,
    goal: str | None = None,
    select_checks: Iterable[str] = (),
    ignore: Mapping[str, str] | None = None,
    budget: float = 20.0,
    allow_unsafe: bool = False,
    time_limit: float | None = None,
    unless: Callable[[Run], str | None] | None = None,
    again: bool = True,
    running: bool = False,
    redact: bool = False,
    dry_run: bool = False,
) -> Report:
    """Audit one finished MLflow run and, unless `dry_run`, write the report and the verdict to it.

    Args:
        run_id: the run.
        tracking_uri: the store that has it; MLflow's own setting when left out.
        model_uri: the model to audit in place of the one that the run logged.
        tier: the dearest tier allowed: static, forward or probe.
        device: auto, cpu or gpu.
        labels: labels that the run lacks, split → local file or artifact path.
        inputs: inputs that the run lacks, in the same way.
        metrics: curves that the run logged by names of its own: Keras's name ("accuracy", "val_loss") → metric.
        goal: what thresholds are judged by: "fp=1,fn=20", "recall=0.95" or "precision=0.9"; the run's tag
            clfaudit.goal, else balanced accuracy, when left out.
        select_checks: names of checks or areas; all when empty.
        ignore: check names with the reason why they do not count.
        budget: seconds for all counterfactual trainings together.
        allow_unsafe: run code that the model brings along: Lambda layers, pickled custom objects. Never where
            MLFLOW_ALLOW_PICKLE_DESERIALIZATION is false.
        time_limit: seconds after which no model is run any more; the checks that would need it are skipped.
        unless: asked once the run has been read; a reason ends the audit with LeftAlone, and nothing is written.
        again: audit the run although its verdict is that of this version on the same evidence; without it, such an
            audit ends with AlreadyAudited.
        running: audit a run that is still going on by what it has logged so far.
        redact: leave the names of classes, files and the run out of the report.
        dry_run: write nothing to MLflow.

    Raises:
        AuditError: the run could not be read or written; the message is one line with the next step.
    """
    from mlflow_clfaudit import attach

    select_checks = tuple(select_checks)
    checks = select(select_checks)
    overrides = Overrides(labels or {}, inputs or {}, metrics or {}, goal)
    started = time.perf_counter()
    run = read_run(run_id, tracking_uri, model_uri, running=running)
    read = time.perf_counter() - started
    must_exist(run, overrides)
    reason = unless(run) if unless is not None else None
    if reason:
        raise LeftAlone(f"run {run_id} is left alone: {reason}")
    question = Question(Tier.parse(tier), select_checks, overrides, ignore or {}, allow_unsafe, redact)
    if not again and question.answered(run):
        raise AlreadyAudited(run_id, run.tags)
    try:
        report = audit(
            run,
            tier=tier,
            device=device,
            overrides=overrides,
            checks=checks,
            ignore=ignore,
            budget=budget,
            allow_unsafe=allow_unsafe,
            deadline=None if time_limit is None else time.monotonic() + time_limit - read,
            seconds={"read": read},
            redact=redact,
        )
    except AuditError as error:
        if not dry_run:
            attach.note_failure(run.run_id, run.tracking_uri, str(error))
        raise
    report = replace(report, digest=question.digest(run))
    if not dry_run:
        attach.write(run, report)
    return report


def audit_runs(
    run_ids: Iterable[str],
    *,
    map: Callable[..., Iterable[Any]] = map,  # noqa: A002 - it is that function
    limits: Limits | None = None,
    **options: Any,
) -> Iterator[Report | AuditError]:
    """Audit many runs with any `map`; a run that could not be audited yields its error instead of a report.

    With `limits`, in a child process that may crash, loop or run out of memory; that, too, is the error of one run.
    """
    audit = audit_run if limits is None else partial(audit_isolated, limits=limits)
    return iter(map(partial(audit_or_error, audit=audit, **options), run_ids))


def audit(
    run: Run,
    *,
    tier: str = "probe",
    device: str = "auto",
    overrides: Overrides | None = None,
    checks: Iterable[Check] | None = None,
    ignore: Mapping[str, str] | None = None,
    budget: float = 20.0,
    allow_unsafe: bool = False,
    deadline: float | None = None,
    seconds: Mapping[str, float] | None = None,
    redact: bool = False,
) -> Report:
    """Judge a run that has been read. Touches MLflow only to fetch the run's own files.

    After `deadline`, on the clock of time.monotonic(), no model is run any more.
    """
    evidence = evidence_of(
        run,
        tier=tier,
        device=device,
        overrides=overrides,
        budget=budget,
        allow_unsafe=allow_unsafe,
        deadline=deadline,
    )
    report = judge(run, evidence, checks=checks, ignore=ignore, seconds=seconds)
    return redaction.redact(report, evidence) if redact else report


def evidence_of(
    run: Run,
    *,
    tier: str = "probe",
    device: str = "auto",
    overrides: Overrides | None = None,
    budget: float = 20.0,
    allow_unsafe: bool = False,
    deadline: float | None = None,
) -> Evidence:
    """What is known about a run that has been read: nothing yet, each piece when it is asked for."""
    return Evidence(
        {
            "run": run,
            "overrides": overrides or Overrides(),
            "device": device,
            "budget": Budget(budget),
            "allow_unsafe": allow_unsafe,
            "output": 0,
        },
        cap=Tier.parse(tier),
        deadline=deadline,
    )


def judge(
    run: Run,
    evidence: Evidence,
    *,
    checks: Iterable[Check] | None = None,
    ignore: Mapping[str, str] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> Report:
    """Judge a run by its evidence, which is complete afterwards as far as the checks asked for it."""
    chosen = list(all_checks().values() if checks is None else checks)
    ignored = {**ignored_checks(run.experiment_tags), **ignored_checks(run.tags), **(ignore or {})}
    started = time.perf_counter()
    with quiet(), without_autologging():
        outcomes, ranked = _ranked(evidence, chosen, examine_outputs(evidence, chosen, ignored))
    examined = time.perf_counter() - started
    return Report(
        run_id=run.run_id,
        run_name=run.name,
        experiment_id=run.experiment_id,
        verdict=ranked.verdict if _judged(run, evidence, outcomes, ranked, chosen) else Verdict.NOT_AUDITED,
        root_cause=ranked.root_cause,
        findings=ranked.findings,
        symptoms=ranked.symptoms,
        outcomes=tuple(outcomes),
        sources=sources(evidence),
        environment=environment(evidence),
        seconds={**(seconds or {}), "examine": examined, **evidence.seconds},
        figures=figures(evidence),
        url=run.url,
        digest=run.digest,
        headline=headline(evidence),
        review=review_of(run),
        rows=suspicious_rows(evidence),
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what Keras, TensorFlow and scikit-learn warn about: it is what the checks are for, or noise on stderr."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _judged(run: Run, evidence: Evidence, outcomes: Sequence[Outcome], ranked: Ranked, checks: Sequence[Check]) -> bool:
    """Whether anything was found, or a check ran on more than the names and params that every run has.

    A run that failed is not called healthy where its model was never run.
    """
    if ranked.verdict is not Verdict.HEALTHY or any(not finding.counts for finding in ranked.findings):
        return True
    if run.status in ("FAILED", "KILLED") and evidence.peek("network") is None:
        return False
    needs = {check.name: set(check.needs.required) for check in checks}
    head = evidence.peek("head")
    # What only the name of its flavor tells of a model is nothing that it could be healthy by.
    unseen = head is not None and (head.opaque or head.kind == "Estimator") and evidence.peek("served") is None
    given = PARAMS_ALONE | ({"head"} if unseen else set())
    return any(
        outcome.status in (Status.PASSED, Status.FIRED)
        and outcome.area != "reproduction"
        and needs[outcome.check] - given
        for outcome in outcomes
    )


def _ranked(evidence: Evidence, checks: Sequence[Check], outcomes: list[Outcome]) -> tuple[list[Outcome], Ranked]:
    """Rank; where the first cause can be mended virtually, judge what is downstream of it on the mended model."""
    served = evidence.peek("served")
    unexplained = {check.name: check.unexplained for check in checks if check.severity is Severity.SYMPTOM}
    quality = served.balanced_accuracy if served is not None else None
    ranked = rank(outcomes, unexplained=unexplained, quality=quality)
    first = next((check for check in checks if check.name == ranked.root_cause), None)
    mended = examine_repaired(evidence, first, checks) if first is not None else []
    if not mended:
        return outcomes, ranked
    renewed = {outcome.check: outcome for outcome in mended}
    outcomes = [renewed.get(outcome.check, outcome) for outcome in outcomes]
    residual = frozenset(outcome.check for outcome in mended if outcome.findings)
    return outcomes, rank(
        outcomes, unexplained=unexplained, quality=quality, repaired=ranked.root_cause, residual=residual
    )


def audit_or_error(run_id: str, *, audit: Callable[..., Report] = audit_run, **options: Any) -> Report | AuditError:
    """The report of an audit or what went wrong; never raises an exception of the run's."""
    try:
        return audit(run_id, **options)
    except AuditError as error:
        return error
    except MemoryError:
        return OutOfMemory(f"run {run_id}: the memory does not suffice to audit it; try --tier static")
    except Exception as error:  # noqa: BLE001 - one run's surprise must not end a sweep
        return AuditError(f"run {run_id}: {type(error).__name__}: {error}; this is a fault of mlflow-clfaudit")
