"""Many runs at a time: a `map` for audit_runs over joblib's backends, so that an existing cluster can do the work.

What travels to a worker is the function, by name, with its options, and ids of runs; what comes back are the results.
"""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mlflow_clfaudit.errors import AuditError, UsageError, first_line

BACKENDS = ("loky", "dask", "ray")
# How long a cluster may take to give us the first worker, in seconds.
PATIENCE = 120
# After how many seconds without a run a process of this machine ends.
IDLE = 30


@dataclass(frozen=True)
class Fleet:
    """Workers: processes of this machine (loky), or those of a Dask or Ray cluster.

    A cluster is the one that DASK_SCHEDULER_ADDRESS or RAY_ADDRESS names, or one that is started here for the sweep.

    Args:
        backend: loky, dask or ray.
        jobs: how many runs at a time; as many as there are cores when left out. A Dask cluster decides by itself.
        gpus_per_run: how much of a GPU Ray reserves for each run that is audited.
    """

    backend: str = "loky"
    jobs: int | None = None
    gpus_per_run: float = 0.0

    def map(self, function: Callable[[str], Any], run_ids: Iterable[str]) -> Iterator[Any]:
        """The function's results as they come, in no order; an AuditError for a run that took its worker with it.

        The function never raises. Closing the iterator, or Ctrl-C, ends the workers.

        Raises:
            AuditError: there are no workers, or none of them could do anything.
            UsageError: the backend is not installed.
        """
        with _workers(self) as settings:
            places = enumerate(run_ids)
            useful = False
            while True:
                taken: dict[int, str] = {}
                try:
                    for place, result in _results(_parallel(settings), function, _noted(places, taken)):
                        del taken[place]
                        useful = True
                        yield result
                    return
                except Exception as error:  # noqa: BLE001 - whatever a backend raises for a worker that is gone
                    if not useful:
                        raise AuditError(f"no worker of {self.backend} could audit: {first_line(error)}") from None
                # One of these took its worker with it; which one shows when each is alone.
                yield from _one_by_one(settings, function, sorted(taken.items()))


def _one_by_one(
    settings: dict[str, Any], function: Callable[[str], Any], suspects: list[tuple[int, str]]
) -> Iterator[Any]:
    """The results of runs that were at work when a worker was lost; where one loses another, that is its error."""
    while suspects:
        with contextlib.suppress(_Lost), _parallel(settings) as parallel:
            while suspects:
                place, run_id = suspects.pop(0)
                try:
                    ((_, result),) = _results(parallel, function, [(place, run_id)])
                except Exception as error:  # noqa: BLE001 - as above
                    yield AuditError(f"run {run_id} could not be audited: its worker was lost: {first_line(error)}")
                    raise _Lost from None
                yield result


class _Lost(Exception):
    """A worker is gone, and with it the pool that it was of."""


def _noted(places: Iterable[tuple[int, str]], taken: dict[int, str]) -> Iterator[tuple[int, str]]:
    """The runs as they are handed out, each noted until its result is there."""
    for place, run_id in places:
        taken[place] = run_id
        yield place, run_id


def _parallel(settings: dict[str, Any]) -> Any:
    from joblib import Parallel, parallel_config

    with parallel_config(**settings):
        return Parallel(return_as="generator_unordered")


def _results(
    parallel: Any, function: Callable[[str], Any], places: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, Any]]:
    """Results by place as they come. joblib hands out together what takes less than a second."""
    from joblib import delayed

    with contextlib.closing(parallel(delayed(_placed)(function, *item) for item in places)) as results:
        yield from results


def _placed(function: Callable[[str], Any], place: int, run_id: str) -> tuple[int, Any]:
    return place, function(run_id)


@contextlib.contextmanager
def _workers(fleet: Fleet) -> Iterator[dict[str, Any]]:
    """What joblib.parallel_config takes, with the cluster behind it for as long as the context is open."""
    if fleet.gpus_per_run and fleet.backend != "ray":
        raise UsageError("--gpus-per-run goes with --backend ray: the other backends do not count GPUs")
    started = {"loky": _loky, "dask": _dask, "ray": _ray}[fleet.backend]
    try:
        with started(fleet) as settings, warnings.catch_warnings():
            # joblib says that what was not waited for is lost: whoever pressed Ctrl-C knows.
            warnings.filterwarnings("ignore", ".*were still being processed|.*not been retrieved", UserWarning)
            yield settings
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--backend {fleet.backend} needs {error.name}: pip install 'mlflow-clfaudit[{fleet.backend}]'"
        ) from None


@contextlib.contextmanager
def _loky(fleet: Fleet) -> Iterator[dict[str, Any]]:
    from joblib import cpu_count

    jobs = fleet.jobs or cpu_count()
    idle = {"idle_worker_timeout": IDLE, "initializer": _leave_ctrl_c_to_the_parent}
    # One process beside this one would only wait for it.
    yield {"backend": "loky", "n_jobs": jobs, **(idle if jobs > 1 else {})}


@contextlib.contextmanager
def _dask(fleet: Fleet) -> Iterator[dict[str, Any]]:
    import dask
    from distributed import Client, LocalCluster
    from joblib import cpu_count
    from joblib._dask import DaskDistributedBackend
    from joblib.parallel import register_parallel_backend

    class Dask(DaskDistributedBackend):  # type: ignore[misc]  # untyped
        def effective_n_jobs(self, n_jobs: int) -> int:
            # Where a cluster has one worker, joblib would do the job in this process.
            return max(2, int(super().effective_n_jobs(n_jobs)))

        def submit(self, function: Any, callback: Any = None) -> Any:
            """joblib's own never calls back for a task whose worker is lost, and waits for it for ever."""
            future = super().submit(function, callback)
            future.add_done_callback(lambda done: done.exception() is not None and callback(done.exception()))
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

    register_parallel_backend("clfaudit-dask", Dask)
    address = dask.config.get("scheduler-address", None)
    with contextlib.ExitStack() as stack:
        # A run that took its worker along would take four: Dask gives a task three more tries.
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 0}))
        try:
            if address is None:
                jobs = fleet.jobs or cpu_count()
                address = stack.enter_context(
                    LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs=50)
                )
            client = stack.enter_context(Client(address))
        except OSError as error:
            raise AuditError(f"the Dask scheduler at {address} did not answer: {first_line(error)}") from None
        yield {"backend": "clfaudit-dask", "client": client, "wait_for_workers_timeout": PATIENCE}


@contextlib.contextmanager
def _ray(fleet: Fleet) -> Iterator[dict[str, Any]]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from joblib import cpu_count
    from joblib.parallel import register_parallel_backend
    from joblib.pool import MemmappingPool, PicklingPool
    from ray.util.joblib.ray_backend import RayBackend
    from ray.util.multiprocessing import Pool

    class Ray(RayBackend):  # type: ignore[misc]  # untyped
        # Ray's pool calls back as each batch is done, which is all that it takes; joblib's own, from which it is
        # derived, does not promise that.
        supports_return_generator = True

        def effective_n_jobs(self, n_jobs: int) -> int:
            # As above.
            return max(2, int(super().effective_n_jobs(n_jobs)))

        def configure(self, n_jobs: int = 1, parallel: Any = None, **named: Any) -> int:
            if n_jobs > 1:
                return int(super().configure(n_jobs, parallel, **named))
            PicklingPool.__bases__ = (Pool,)  # as Ray's own does
            self._pool = MemmappingPool(1, ray_remote_args=self.ray_remote_args)
            self.parallel = parallel
            return self.effective_n_jobs(n_jobs)

    register_parallel_backend("clfaudit-ray", Ray)
    quiet = {"log_to_driver": False, "logging_level": "error"}
    ours = not ray.is_initialized()
    try:
        if ours:
            try:
                ray.init(address="auto", **quiet)
            except ConnectionError:
                ray.init(address="local", num_cpus=fleet.jobs or cpu_count(), include_dashboard=False, **quiet)
        has = ray.cluster_resources()
        jobs = min(fleet.jobs or int(has.get("CPU", 0)), int(has.get("CPU", 0)))
        if fleet.gpus_per_run:
            jobs = min(jobs, int(has.get("GPU", 0) / fleet.gpus_per_run))
        if jobs < 1:
            # Ray would wait for them without a word.
            raise UsageError(f"the Ray cluster has {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs: too few")
        wanted = {"num_cpus": 1, "num_gpus": fleet.gpus_per_run}
        yield {"backend": "clfaudit-ray", "n_jobs": jobs, "ray_remote_args": wanted}
    finally:
        if ours:
            ray.shutdown()


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
