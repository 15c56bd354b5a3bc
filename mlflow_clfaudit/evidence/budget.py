"""The seconds that counterfactuals may use."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from mlflow_clfaudit.errors import Missing


class Clock:
    """Seconds since it was made, those in which the process did nothing counted for a third."""

    def __init__(self) -> None:
        self._wall, self._work = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        wall = time.perf_counter() - self._wall
        return max(min(wall, time.process_time() - self._work), wall / 3)


class Budget:
    """Seconds that counterfactuals may still use, shared by all of one audit.

    Waiting for a busy machine counts for a third: what an audit finds must not depend on what else runs there.
    """

    def __init__(self, seconds: float = 20.0) -> None:
        self.seconds = seconds

    @contextlib.contextmanager
    def spend(self) -> Iterator[float]:
        """Yields the seconds left and takes off what was used; Missing when none are left."""
        if self.seconds <= 0:
            raise Missing("the time for counterfactuals is used up", "--budget SECONDS")
        clock = Clock()
        try:
            yield self.seconds
        finally:
            self.seconds -= clock.seconds
