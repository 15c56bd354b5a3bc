"""What the hook remembers: of this process, and of the thread that is training."""

from __future__ import annotations

import subprocess
import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_clfaudit.hook.settings import Settings

if TYPE_CHECKING:
    from mlflow_clfaudit.capture import Capture


@dataclass
class Fit:
    """An outermost fit() that is running in this thread. `session` is autologging's, None without autologging."""

    session: str | None
    model: Any
    arguments: dict[str, Any]
    learning_rate: float | None
    depth: int = 0


@dataclass
class Known:
    """What this process knows about a run that is still going on."""

    classifies: bool = False
    fitted: bool = False
    other_fits: int = 0
    manifest: dict[str, Any] | None = None
    stored: bool = False
    pending: Capture | None = None
    model: weakref.ref[Any] | None = None


@dataclass
class State:
    """What this process knows. `process_id` is that of the process that was hooked: a fork of it is another."""

    settings: Settings | None = None
    process_id: int = 0
    runs: dict[str, Known] = field(default_factory=dict)
    detached: list[subprocess.Popen[bytes]] = field(default_factory=list)
    # A fit() outside of any run, until a run logs the model that it trained.
    homeless: tuple[weakref.ref[Any], Capture] | None = None
    # Sessions of MLflow's autologging, which threads share, by the thread that began them.
    sessions: dict[str, int] = field(default_factory=dict)


class Thread(threading.local):
    fit: Fit | None = None
    auditing: bool = False


process = State()
thread = Thread()
