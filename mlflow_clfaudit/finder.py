"""Finds the runs of a store that are to be audited: finished, without a verdict, and nobody's yet."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from mlflow_clfaudit import __version__
from mlflow_clfaudit.evidence.reader import find_experiment
from mlflow_clfaudit.hook.ends import may_classify
from mlflow_clfaudit.lease import is_leased
from mlflow_clfaudit.names import LEFT_ALONE, REPAIR_OF, VERDICT, VERSION

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

FINISHED = "attributes.status = 'FINISHED'"
UNAUDITED = f"{FINISHED} and tags.`{VERDICT}` IS NULL and tags.`{LEFT_ALONE}` IS NULL"
PAGE = 200
# How far before the last end that was seen a look begins: clocks of clients differ, and runs end while one looks.
OVERLAP_MS = 10 * 60 * 1000
# Every so often all runs are looked at: some were imported with the times of another store, or have no end time.
EVERYTHING_AFTER = 600.0


@dataclass
class Finder:
    """Finds finished runs without a verdict that nobody is auditing, the latest first.

    `since` is the end time before which no run is left to audit, but for those that were imported meanwhile.

    Runs that this process is done with are not offered again. With `again`, runs whose verdict is of rules before
    this version's major ones are offered, too.
    """

    client: MlflowClient
    experiments: Sequence[str] = ()
    children: bool = False
    again: bool = False
    done: set[str] = field(default_factory=set)
    since: int = 0
    everything_at: float = 0.0
    understands_null: bool = True

    def look(self) -> list[str]:
        """Some ids of runs to audit; empty where there are none. What a whole look dealt with is not read again."""
        experiment_ids = self._named or _all_experiments(self.client)
        if time.monotonic() > self.everything_at:
            self.since, self.everything_at = 0, time.monotonic() + EVERYTHING_AFTER
        found = self._new(experiment_ids)
        if not found and self.again:
            query = f"{FINISHED} and tags.`{VERSION}` != '{__version__}'"
            found, _ = self._scan(experiment_ids, query, 0)
            # What is audited from now on is audited by these rules.
            self.again = bool(found)
        return found

    @cached_property
    def _named(self) -> list[str]:
        return [find_experiment(self.client, name).experiment_id for name in self.experiments]

    def wants(self, tags: Mapping[str, str]) -> bool:
        """Whether a run with these tags is to be audited."""
        if REPAIR_OF in tags:
            return False
        if VERDICT in tags:
            return self.again and _is_outdated(tags.get(VERSION, ""))
        return LEFT_ALONE not in tags

    def is_out_of_scope(self, run: MlflowRun) -> bool:
        """Whether the run will never be offered, so that nothing of it has to be waited for."""
        if self._named and run.info.experiment_id not in self._named:
            return True
        return VERDICT not in run.data.tags and (run.info.run_id in self.done or LEFT_ALONE in run.data.tags)

    def _new(self, experiment_ids: Sequence[str]) -> list[str]:
        from mlflow.exceptions import MlflowException

        try:
            found, reached = self._scan(experiment_ids, UNAUDITED if self.understands_null else FINISHED, self.since)
        except MlflowException as error:
            # MLflow before 3.17 has no IS NULL for tags.
            if not self.understands_null or error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            self.understands_null = False
            return self._new(experiment_ids)
        self.since = max(self.since, reached - OVERLAP_MS)
        return found

    def _scan(self, experiment_ids: Sequence[str], query: str, since: int) -> tuple[list[str], int]:
        """Ids of runs to audit, at most about a page; and the end time before which all runs are dealt with, or 0.

        Pages are told by end times: by their numbers, runs would be skipped when others are audited meanwhile.
        """
        found: list[str] = []
        ends: list[int] = []
        waiting: list[int] = []
        whole = False
        seen: set[str] = set()
        before, size = "", PAGE
        begin = f" and attributes.end_time > {since}" if since else ""
        while len(found) < PAGE:
            page = self.client.search_runs(
                list(experiment_ids), query + begin + before, max_results=size, order_by=["attributes.end_time DESC"]
            )
            fresh = [run for run in page if run.info.run_id not in seen]
            seen.update(run.info.run_id for run in fresh)
            for run in fresh:
                ended = run.info.end_time or 0
                ends.append(ended)
                if is_leased(run.data.tags):
                    waiting.append(ended)
                elif self._is_to_audit(run):
                    waiting.append(ended)
                    found.append(run.info.run_id)
            if whole := len(page) < size:
                break
            last = page[-1].info.end_time
            if fresh and last is not None:
                before = f" and attributes.end_time <= {last}"
            else:
                size *= 2
        return found, min([max(ends, default=0), *waiting]) if whole else 0

    def _is_to_audit(self, run: MlflowRun) -> bool:
        run_id, tags = run.info.run_id, run.data.tags
        if run_id in self.done or not self.wants(tags):
            return False
        if ("mlflow.parentRunId" in tags and not self.children) or not (may_classify(run) or self._has_files(run_id)):
            self.done.add(run_id)
            return False
        return True

    def _has_files(self, run_id: str) -> bool:
        """Whether the hook or log_labels left something: a run without a model may be judged by its labels."""
        with contextlib.suppress(Exception):  # artifacts that cannot be listed cannot be audited either
            return bool(self.client.list_artifacts(run_id, "clfaudit"))
        return False


def _all_experiments(client: MlflowClient) -> list[str]:
    found = client.search_experiments()
    ids = [item.experiment_id for item in found]
    while found.token:
        found = client.search_experiments(page_token=found.token)
        ids += [item.experiment_id for item in found]
    return ids


def _is_outdated(version: str) -> bool:
    """Whether a verdict of this version of the package is of rules before today's major ones."""
    try:
        return rules(version) < rules(__version__)
    except ValueError:
        return False


def rules(version: str) -> tuple[int, ...]:
    """The part of a version that changes when verdicts may: the major number, before 1.0 the minor one as well."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return (major,) if major else (0, minor)
