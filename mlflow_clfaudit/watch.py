"""Audits finished runs of any client or language: a generator that claims what is found and yields what came of it.

Any number of watchers share the runs of a store by leases; what a killed one had claimed is free when its lease ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from mlflow_clfaudit.errors import (
    AuditError,
    LeftAlone,
    NotWritable,
    TrackingUnreachable,
    first_line,
    kind_and_first_line,
)
from mlflow_clfaudit.finder import Finder
from mlflow_clfaudit.lease import Owner
from mlflow_clfaudit.names import LEFT_ALONE, VERDICT
from mlflow_clfaudit.registered import audited, passed_on, uri_of, without_verdict
from mlflow_clfaudit.report.plain import clean

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from mlflow_clfaudit.types import Report

LONGEST_WAIT = 60.0
VERSIONS_AFTER = 60.0
ATTEMPTS = 3

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watched:
    """A run that the watcher took up, or a registered version, by its URI: its report, or why there is none."""

    run_id: str
    report: Report | None = None
    error: str | None = None


@dataclass
class Watcher:
    """Audits what a finder finds, as `owner`. `audit` is what is done with a run; LeftAlone says that it is none.

    `telling` is told what the watcher does at the moment.
    """

    finder: Finder
    audit: Callable[..., Report]
    owner: Owner = field(default_factory=Owner)
    stop: threading.Event = field(default_factory=threading.Event)
    telling: Callable[[str], None] = lambda _: None
    attempts: Counter[str] = field(default_factory=Counter)
    versions_done: set[str] = field(default_factory=set)
    versions_at: float = 0.0

    def __post_init__(self) -> None:
        # Two watchers that begin at the same end would meet at every run.
        self.order = random.Random(self.owner.name)  # noqa: S311 - no secret

    def watch(self, *, every: float = 5.0, warning: Callable[[str], None] = lambda _: None) -> Iterator[Watched]:
        """Audit finished runs as they come, until `stop` is set.

        Args:
            every: seconds between two looks at a store where there was nothing to do; longer while it is down.
            warning: told that the store does not answer.

        Raises:
            AuditError: an experiment does not exist.
        """
        failures = 0
        while not self.stop.is_set():
            try:
                found = yield from self._round(patient=True)
                failures = 0
            except Exception as error:
                if isinstance(error, AuditError) and not isinstance(error, TrackingUnreachable | NotWritable):
                    raise
                seconds = min(LONGEST_WAIT, every * 2**failures)
                failures += 1
                warning(f"{first_line(error)}; trying again in {seconds:.0f} s")
                self.stop.wait(seconds)
                continue
            if not found:
                self.telling("waiting for runs to finish")
                self.stop.wait(every)

    def once(self) -> Iterator[Watched]:
        """Audit what there is to audit.

        Raises:
            AuditError: an experiment does not exist.
            TrackingUnreachable: the store did not answer.
        """
        found = True
        while found and not self.stop.is_set():
            try:
                found = yield from self._round(patient=False)
            except AuditError:
                raise
            except Exception as error:  # noqa: BLE001 - requests' and SQLAlchemy's errors differ
                uri = self.finder.client.tracking_uri
                raise TrackingUnreachable(f"{uri} did not answer: {first_line(error)}; is the server up?") from None

    def _round(self, *, patient: bool) -> Generator[Watched, None, bool]:
        """Audit what one look finds; whether it found anything."""
        self.telling("looking for runs that have finished")
        found = self.finder.look()
        self.order.shuffle(found)
        taken = False
        for run_id in found:
            if self.stop.is_set():
                break
            tags = self.owner.claim(self.finder.client, run_id)
            if tags is None:
                continue
            taken = True
            watched = None
            with self.owner.renewing(self.finder.client, run_id):
                if self.finder.wants(tags):
                    self.telling(f"auditing {clean(tags.get('mlflow.runName', run_id))}")
                    watched = self._audited(run_id, patient=patient)
            if watched is not None:
                yield watched
        if found and not taken:
            # All were somebody else's, or two gave way to each other.
            self.stop.wait(self.order.random())
        # Where runs never stop coming, versions would wait for ever.
        if (patient or not found) and time.monotonic() >= self.versions_at:
            yield from self._versions()
            self.versions_at = time.monotonic() + VERSIONS_AFTER
        return bool(found)

    def _versions(self) -> Iterator[Watched]:
        """See to the registered versions that have no verdict though their run has one."""
        client, done = self.finder.client, self.versions_done
        try:
            for version in without_verdict(client, done):
                if self.stop.is_set():
                    return
                run = client.get_run(version.run_id) if version.run_id else None
                if run is None or self.finder.is_out_of_scope(run):
                    done.add(uri_of(version))
                elif VERDICT in run.data.tags:
                    watched = self._stamped(version, run.info.run_id)
                    if watched is not None:
                        yield watched
        except Exception as error:  # noqa: BLE001 - not every store has a registry, and the runs matter more
            _logger.info("registered versions could not be seen to: %s", first_line(error))

    def _stamped(self, version: ModelVersion, run_id: str) -> Watched | None:
        """Pass the run's verdict on or audit the version's own model; None where nothing was audited."""
        client, uri = self.finder.client, uri_of(version)
        if passed_on(client, version, run_id):
            self.versions_done.add(uri)
            return None
        if self.owner.claim(client, run_id) is None:
            return None
        with self.owner.renewing(client, run_id):
            self.versions_done.add(uri)
            if VERDICT in client.get_model_version(version.name, version.version).tags:
                return None
            self.telling(f"auditing {clean(uri)}")
            try:
                return Watched(uri, audited(client, version, run_id, self.audit))
            except AuditError as error:
                return Watched(uri, error=str(error))

    def _audited(self, run_id: str, *, patient: bool) -> Watched | None:
        """Audit a run that is this process's own; None where it is no run to audit."""
        self.attempts[run_id] += 1
        try:
            watched = Watched(run_id, self.audit(run_id))
        except LeftAlone as left:
            self.finder.client.set_tag(run_id, LEFT_ALONE, str(left)[:500])
            watched = None
        except AuditError as error:
            passing = isinstance(error, TrackingUnreachable | NotWritable)
            if patient and passing and self.attempts[run_id] < ATTEMPTS:
                raise
            watched = Watched(run_id, error=str(error))
        except Exception as error:  # noqa: BLE001 - one run that cannot be audited must not end the watch
            watched = Watched(run_id, error=kind_and_first_line(error))
        del self.attempts[run_id]
        if watched is None or watched.report is None:
            # The others have a verdict: what is kept of each run here would only ever grow.
            self.finder.done.add(run_id)
        return watched


def follow(
    tracking_uri: str | None, scope: Mapping[str, Any], options: Mapping[str, Any], *, once: bool, every: float
) -> int:
    """The command: watch, a line a run on stdout; the exit code.

    SIGTERM and Ctrl-C end it after the run that is being audited, the second time at once.

    Args:
        tracking_uri: the store; MLflow's own setting when left out.
        scope: which runs, as fields of a Finder.
        options: how they are audited, as arguments of audit_run.
        once: end when there is nothing to do.
        every: seconds between two looks.
    """
    import click
    from mlflow import MlflowClient
    from rich.console import Console
    from rich.markup import escape

    # The watcher has a patience of its own, which SIGTERM interrupts.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    client = MlflowClient(tracking_uri)
    watcher = Watcher(Finder(client, **scope), auditor(client.tracking_uri, **options))

    def end(*_: object) -> None:
        if watcher.stop.is_set():
            raise KeyboardInterrupt
        watcher.stop.set()

    screen = Console(stderr=True)
    failed = 0
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with screen.status("…") if screen.is_terminal else contextlib.nullcontext() as status:
            if status is not None:
                watcher.telling = lambda text: status.update(escape(text))
            warn = partial(click.echo, err=True)
            for watched in watcher.once() if once else watcher.watch(every=every, warning=warn):
                failed += watched.report is None
                click.echo(_line(watched), err=watched.report is None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return AuditError.exit_code if failed and once else 0


def auditor(tracking_uri: str, **options: Any) -> Callable[..., Report]:
    """An audit in a process of its own, so that what a model does there does not end the watch."""
    from mlflow_clfaudit.evidence.subject import no_classifier
    from mlflow_clfaudit.isolated import audit_isolated

    return partial(audit_isolated, tracking_uri=tracking_uri, unless=no_classifier, **options)


def _line(watched: Watched) -> str:
    report = watched.report
    if report is None:
        return f"error: run {watched.run_id}: {watched.error}"
    parts = [f"{report.verdict:11}", report.run_name, report.root_cause or "", report.url or report.run_id]
    return clean("  ".join(part for part in parts if part)).replace("\n", " ")
