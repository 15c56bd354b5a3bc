"""The hook: keeps what fit() was really given and audits a run when it ends, without being asked.

It joins MLflow at four places, each of which does what it did before: the events of autologging, the end of a run
(MlflowClient.set_terminated), the logging of a model (Model.log) and Keras's own fit(). `safe_patch` is not used, for
it replaces what others patched. Whatever goes wrong here is a warning and the tag clfaudit.error, never an exception.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlflow_clfaudit.plugin import AUTO, when_imported

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from mlflow_clfaudit.capture import Capture
    from mlflow_clfaudit.evidence.run import Run as AuditedRun

MODE, CHILDREN, INPUTS = "MLFLOW_CLFAUDIT_MODE", "MLFLOW_CLFAUDIT_CHILDREN", "MLFLOW_CLFAUDIT_INPUTS"
MAX_INPUT_MB, TIME_LIMIT = "MLFLOW_CLFAUDIT_MAX_INPUT_MB", "MLFLOW_CLFAUDIT_TIME_LIMIT"
MODES = ("inprocess", "detached", "deferred")
ERROR = "clfaudit.error"
# On the child run of a repair, which is audited as it is written.
REPAIR_OF = "clfaudit.repair_of"
EVIDENCE_FOLDER = "clfaudit/evidence"
MAX_TAG = 5_000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How the hook behaves. `time_limit` are the seconds that an audit within the training process may take."""

    mode: str = "inprocess"
    inputs: str = "sample"
    max_input_mb: float = 64.0
    children: bool = False
    time_limit: float = 30.0
    silent: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r}: it is one of {', '.join(MODES)}")
        if self.inputs not in ("sample", "all", "none"):
            raise ValueError(f"inputs={self.inputs!r}: it is one of sample, all, none")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings that the environment variables give; ValueError where one of them makes no sense."""
        return cls(
            mode=environment.get(MODE, cls.mode).strip().lower(),
            inputs=environment.get(INPUTS, cls.inputs).strip().lower(),
            max_input_mb=float(environment.get(MAX_INPUT_MB, cls.max_input_mb)),
            children=environment.get(CHILDREN, "").strip().lower() in ("1", "true"),
            time_limit=float(environment.get(TIME_LIMIT, cls.time_limit)),
        )


@dataclass
class _Fit:
    """An outermost fit() that is running in this thread. `session` is autologging's, None without autologging."""

    session: str | None
    model: Any
    arguments: dict[str, Any]
    learning_rate: float | None
    depth: int = 0


@dataclass
class _Ended:
    """A run that has ended and is to be audited, up to a tier, at least if it logged a classifier.

    `certain` where this process saw one, which the run's files need not tell.
    """

    run_id: str
    tier: str
    certain: bool


@dataclass
class _Known:
    """What this process knows about a run that is still going on."""

    classifies: bool = False
    fitted: bool = False
    other_fits: int = 0
    manifest: dict[str, Any] | None = None
    stored: bool = False
    pending: Capture | None = None
    model: weakref.ref[Any] | None = None


@dataclass
class _State:
    settings: Settings | None = None
    process: int = 0
    runs: dict[str, _Known] = field(default_factory=dict)
    detached: list[subprocess.Popen[bytes]] = field(default_factory=list)
    # A fit() outside of any run, until a run logs the model that it trained.
    homeless: tuple[weakref.ref[Any], Capture] | None = None
    # Sessions of MLflow's autologging, which threads share, by the thread that began them.
    sessions: dict[str, int] = field(default_factory=dict)


class _Thread(threading.local):
    fit: _Fit | None = None
    auditing: bool = False


_state = _State()
_thread = _Thread()


def autolog(
    *,
    disable: bool = False,
    silent: bool = False,
    inputs: str = "sample",
    max_input_mb: float = 64.0,
    mode: str | None = None,
    children: bool | None = None,
    time_limit: float | None = None,
) -> None:
    """Audit every run that ends with a classifier, from now on: MLFLOW_CLFAUDIT_AUTO=1 as one line of code.

    Args:
        disable: stop doing so.
        silent: no lines about verdicts.
        inputs: how much of the inputs of fit() is kept with the run: "sample", "all" or "none".
        max_input_mb: the limit of a sample, over all splits.
        mode: "inprocess", within the time limit as the run ends; "detached", by a process of its own; "deferred", by
            `mlflow clfaudit watch`. MLFLOW_CLFAUDIT_MODE when left out.
        children: audit nested runs as well. MLFLOW_CLFAUDIT_CHILDREN when left out.
        time_limit: seconds that an audit may take in this process. MLFLOW_CLFAUDIT_TIME_LIMIT when left out.

    Raises:
        ValueError: a setting is none of its values.
    """
    import mlflow  # noqa: F401 - what is joined below is imported by it

    if disable:
        _state.settings = None
        return
    given = Settings.from_environment(os.environ)
    _state.settings = Settings(
        mode=given.mode if mode is None else mode,
        inputs=inputs,
        max_input_mb=max_input_mb,
        children=given.children if children is None else children,
        time_limit=given.time_limit if time_limit is None else time_limit,
        silent=silent,
    )
    _join()


def install() -> None:
    """Start the hook as the environment says. Idempotent."""
    if _state.settings is None:
        try:
            _state.settings = Settings.from_environment(os.environ)
        except ValueError as error:
            _logger.warning("clfaudit goes on with its defaults: %s", error)
            _state.settings = Settings()
    _join()


def active() -> Settings | None:
    """The settings by which the hook works in this process; None where it is off or MLflow's client is not joined."""
    client = sys.modules.get("mlflow.tracking.client")
    joined = client is not None and hasattr(client.MlflowClient.set_terminated, "is_clfaudit")
    return _state.settings if joined else None


def problem_of_environment(environment: Mapping[str, str]) -> str | None:
    """Why the settings of the environment make no sense; None where they do."""
    try:
        Settings.from_environment(environment)
    except ValueError as error:
        return str(error)
    return None


def _join() -> None:
    _state.process = os.getpid()
    when_imported("mlflow.utils.autologging_utils.events", _join_events)
    when_imported("mlflow.tracking.client", _join_runs)
    when_imported("mlflow.models.model", _join_models)
    when_imported("keras", _join_keras)


def _join_events(events: ModuleType) -> None:
    """Listen to autologging, in front of whoever listens already."""
    logger = events.AutologgingEventLogger
    chained = logger.get_logger()
    if getattr(chained, "is_clfaudit", False):
        return
    reactions: Mapping[str, Callable[..., None]] = {
        "log_original_function_start": _event_starts,
        "log_original_function_success": _event_succeeds,
        "log_original_function_error": _event_fails,
    }

    def method(name: str) -> Callable[..., None]:
        def event(_: Any, *args: Any, **kwargs: Any) -> None:
            if name in reactions:
                with _guarded():
                    reactions[name](*args)
            getattr(chained, name)(*args, **kwargs)

        return event

    methods = {name: method(name) for name in dir(logger) if name.startswith("log_")}
    logger.set_logger(type("Listener", (logger,), {"is_clfaudit": True, **methods})())


def _join_runs(client: ModuleType) -> None:
    """See every run end that this process ends."""
    original = client.MlflowClient.set_terminated
    if hasattr(original, "is_clfaudit"):
        return

    @functools.wraps(original)
    def set_terminated(self: MlflowClient, run_id: str, status: str | None = None, *args: Any, **kwargs: Any) -> None:
        ended = None
        with _guarded(self, run_id):
            ended = _before_end(self, run_id, status or "FINISHED")
        original(self, run_id, status, *args, **kwargs)
        if ended is not None:
            with _guarded(self, run_id):
                _after_end(self, ended)

    set_terminated.is_clfaudit = True  # type: ignore[attr-defined]
    client.MlflowClient.set_terminated = set_terminated


def _join_models(model: ModuleType) -> None:
    """See every model that this process logs: it tells which run a fit() outside of any run belongs to."""
    original = model.Model.log.__func__
    if hasattr(original, "is_clfaudit"):
        return

    @functools.wraps(original)
    def log(cls: Any, *args: Any, **kwargs: Any) -> Any:
        info = original(cls, *args, **kwargs)
        with _guarded():
            _logged(info, kwargs)
        return info

    log.is_clfaudit = True  # type: ignore[attr-defined]
    model.Model.log = classmethod(log)


def _join_keras(keras: ModuleType) -> None:
    """See fit() where autologging is off. The base class is wrapped: autologging patches Model itself."""
    owner = next((cls for cls in keras.Model.__mro__[1:] if "fit" in vars(cls)), None)
    if owner is None or hasattr(owner.fit, "is_clfaudit"):
        return
    original = owner.fit

    @functools.wraps(original)
    def fit(model: Any, *args: Any, **kwargs: Any) -> Any:
        opened = False
        with _guarded():
            opened = _fit_starts(None, model, args, kwargs)
        if not opened:
            return original(model, *args, **kwargs)
        succeeded = False
        try:
            history = original(model, *args, **kwargs)
            succeeded = True
        finally:
            with _guarded():
                _fit_ends(None, succeeded=succeeded)
        return history

    fit.is_clfaudit = True  # type: ignore[attr-defined]
    owner.fit = fit


def _event_starts(session: Any, _: Any, function: str, args: Any, kwargs: Any) -> None:
    if function == "fit" and args:
        _fit_starts(session.id, args[0], args[1:], kwargs)


def _event_succeeds(session: Any, _: Any, function: str, *__: Any) -> None:
    if function == "fit":
        _fit_ends(session.id, succeeded=True)


def _event_fails(session: Any, _: Any, function: str, *__: Any) -> None:
    if function == "fit":
        _fit_ends(session.id, succeeded=False)


def _fit_starts(session: str | None, model: Any, args: Any, kwargs: Any) -> bool:
    """Remember an outermost fit(); whether it is one."""
    from mlflow import active_run

    if _state.settings is None or _thread.auditing:
        return False
    current = _thread.fit
    if current is not None and current.session is not None and current.session not in (session, _session()):
        # Ctrl-C ended it: MLflow reports exceptions only.
        current = _thread.fit = None
    if current is not None:
        if session is not None and current.session == session:
            current.depth += 1
        return False
    if session is not None:
        began = _state.sessions.setdefault(session, threading.get_ident())
        if began != threading.get_ident() and active_run() is None:
            # A worker of a search, within another thread's fit().
            return False
    from mlflow_clfaudit.capture import arguments_of, learning_rate_of

    _thread.fit = _Fit(session, model, arguments_of(model, args, kwargs), learning_rate_of(model))
    return True


def _session() -> str | None:
    from mlflow.utils.autologging_utils.safety import _AutologgingSessionManager

    session = _AutologgingSessionManager.active_session()  # type: ignore[no-untyped-call]
    return None if session is None else str(session.id)


def _fit_ends(session: str | None, *, succeeded: bool) -> None:
    current = _thread.fit
    if current is None or current.session != session:
        return
    if current.depth:
        current.depth -= 1
        return
    _thread.fit = None
    if session is not None:
        _state.sessions.pop(session, None)
    _fitted(current, succeeded)


def _fitted(fit: _Fit, succeeded: bool) -> None:
    """Capture what the fit() was given and keep it with the run that is active; else until its model is logged."""
    from mlflow import MlflowClient, active_run

    from mlflow_clfaudit.capture import capture
    from mlflow_clfaudit.sampling import Limits

    settings = _state.settings
    if settings is None:
        return
    limits = Limits(settings.inputs, int(settings.max_input_mb * 2**20))
    captured = capture(fit.model, fit.arguments, limits, learning_rate=fit.learning_rate)
    run = active_run()
    if run is not None:
        with _guarded(MlflowClient(), run.info.run_id):
            _keep(run.info.run_id, fit.model, captured, succeeded=succeeded)
    elif captured is not None:
        _state.homeless = (weakref.ref(fit.model, _forget), captured)


def _forget(model: weakref.ref[Any]) -> None:
    if _state.homeless is not None and _state.homeless[0] is model:
        _state.homeless = None


def _keep(run_id: str, model: Any, captured: Capture | None, *, succeeded: bool = True) -> None:
    """Store the first fit() of a run at once, and the last when the run ends: a loop of fits is not slowed by each."""
    from mlflow import MlflowClient

    from mlflow_clfaudit.capture import again

    known = _state.runs.setdefault(run_id, _Known())
    if captured is None:
        known.other_fits += 1
        return
    known.classifies = True
    known.fitted = succeeded
    known.model = weakref.ref(model)
    if known.manifest is None:
        known.pending = captured
        _store(MlflowClient(), run_id, known)
        return
    if known.manifest["digest"] != captured.digest:
        known.pending = captured
    known.manifest = again(known.manifest, captured)
    known.stored = False


def _store(client: MlflowClient, run_id: str, known: _Known) -> None:
    """Upload what is not stored yet: the files, then the manifest that says that they are there."""
    from mlflow_clfaudit import __version__
    from mlflow_clfaudit.capture import write, write_manifest

    if known.stored:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fits = known.manifest["fits"] if known.manifest is not None else 1
        if known.pending is not None:
            known.manifest = {**write(folder, known.pending, version=__version__), "fits": fits}
            known.pending = None
            if any(folder.iterdir()):
                client.log_artifacts(run_id, name, EVIDENCE_FOLDER)
        if known.manifest is not None:
            client.log_artifact(run_id, str(write_manifest(folder, known.manifest)), EVIDENCE_FOLDER)
    known.stored = True


def _logged(info: Any, given: Mapping[str, Any]) -> None:
    """A model was logged: give a fit() outside of any run its run, and remember that it is a classifier's."""
    from mlflow import active_run

    if _state.settings is None or _thread.auditing:
        return
    run = active_run()
    run_id = getattr(info, "run_id", None) or (run.info.run_id if run is not None else None)
    if run_id is None:
        return
    for value in given.values():
        if _state.homeless is not None and _state.homeless[0]() is value:
            captured = _state.homeless[1]
            _state.homeless = None
            _keep(run_id, value, captured)
        elif hasattr(value, "get_params") and "sklearn" in sys.modules:
            from sklearn.base import is_classifier

            if is_classifier(value):
                _state.runs.setdefault(run_id, _Known()).classifies = True


def labels_logged(run_id: str) -> None:
    """log_labels() was called for the run: where the hook is on, it is to be audited when it ends."""
    if _state.settings is not None:
        _state.runs.setdefault(run_id, _Known()).classifies = True


def _before_end(client: MlflowClient, run_id: str, status: str) -> _Ended | None:
    """Store what is left to store; whether the run is to be audited. A run that is none of ours costs one request."""
    settings = _state.settings
    if settings is None or _thread.auditing or status in ("RUNNING", "SCHEDULED"):
        return None
    known = _state.runs.pop(run_id, None)
    if known is not None and known.manifest is not None:
        _store(client, run_id, known)
    run = client.get_run(run_id)
    if REPAIR_OF in run.data.tags or ("mlflow.parentRunId" in run.data.tags and not settings.children):
        return None
    if known is not None and known.other_fits and not known.classifies:
        return None
    if not (known is not None and known.classifies) and not may_classify(run):
        return None
    kept = known is not None and _keep_lost_model(client, run, known)
    if settings.mode != "deferred":
        # So that a watcher on the same store leaves the run to this process.
        from mlflow_clfaudit.lease import Owner

        Owner(name=_owner(run_id)).take(client, run_id)
    # Where MLflow fails to log the model after a fit() that went well, it ends its own run as FAILED, too.
    tier = "probe" if status == "FINISHED" or kept else "static"
    return _Ended(run_id, tier, certain=known is not None and known.classifies)


def may_classify(run: Run) -> bool:
    """Whether it is worth reading what the run logged: a model, or the curves of one."""
    outputs = getattr(run, "outputs", None)
    if (outputs is not None and outputs.model_outputs) or "mlflow.log-model.history" in run.data.tags:
        return True
    return "loss" in run.data.metrics


def _keep_lost_model(client: MlflowClient, run: Run, known: _Known) -> bool:
    """Keep the model where MLflow tried to log it and failed; where it was not to be logged, it is not ours to keep."""
    from mlflow_clfaudit.capture import framework_of

    model = known.model() if known.model is not None else None
    outputs = getattr(run, "outputs", None)
    if model is None or outputs is None or not known.fitted or framework_of(model) != "keras":
        return False
    attempts = [client.get_logged_model(item.model_id) for item in outputs.model_outputs]
    if not attempts or any(str(attempt.status) == "READY" for attempt in attempts):
        return False
    import mlflow.keras

    with tempfile.TemporaryDirectory() as name:
        mlflow.keras.save_model(model, f"{name}/model", pip_requirements=["keras"])
        client.log_artifacts(run.info.run_id, f"{name}/model", f"{EVIDENCE_FOLDER}/model")
    return True


def _after_end(client: MlflowClient, ended: _Ended) -> None:
    settings = _state.settings
    if settings is None or settings.mode == "deferred":
        return
    uri = client.tracking_uri
    if settings.mode == "inprocess" and _may_run_models():
        audit_ended(
            ended.run_id, uri, ended.tier, ended.certain, time_limit=settings.time_limit, silent=settings.silent
        )
    else:
        _detach(ended, uri)


def _may_run_models() -> bool:
    """Not beside another thread's training, in a forked child, or while the interpreter is finishing."""
    main = threading.main_thread()
    # The main thread counts as ended once the interpreter calls its exit handlers, MLflow's own among them.
    return threading.current_thread() is main and main.is_alive() and os.getpid() == _state.process


def _detach(ended: _Ended, tracking_uri: str) -> None:
    """Start a process that audits the run and outlives this one. It is not hooked itself."""
    _state.detached = [process for process in _state.detached if process.poll() is None]
    code = "import sys; from mlflow_clfaudit.hook import audit_ended; audit_ended(*sys.argv[1:])"
    environment = {name: value for name, value in os.environ.items() if name not in (AUTO, "MLFLOW_RUN_ID")}
    process = subprocess.Popen(  # noqa: S603 - this interpreter, our own code
        [sys.executable, "-c", code, ended.run_id, tracking_uri, ended.tier, "1" if ended.certain else ""],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _state.detached.append(process)


def audit_ended(
    run_id: str,
    tracking_uri: str,
    tier: str = "probe",
    certain: bool | str = False,
    *,
    time_limit: float | None = None,
    silent: bool = True,
) -> None:
    """Audit a run that has ended, unless it has not changed since it was, or logged no classifier that is `certain`.

    Raises:
        KeyboardInterrupt: the user wants to go on. Nothing else is raised, see the module.
    """
    from mlflow import MlflowClient

    from mlflow_clfaudit.lease import Owner

    client = MlflowClient(tracking_uri)
    _thread.auditing = True
    try:
        with Owner(name=_owner(run_id)).renewing(client, run_id), _guarded(client, run_id):
            _audit(run_id, tracking_uri, tier, bool(certain), time_limit, silent)
    finally:
        _thread.auditing = False


def _audit(run_id: str, tracking_uri: str, tier: str, certain: bool, time_limit: float | None, silent: bool) -> None:
    from mlflow_clfaudit.audit import audit_run
    from mlflow_clfaudit.errors import LeftAlone
    from mlflow_clfaudit.evidence.subject import unchanged
    from mlflow_clfaudit.isolated import audit_isolated

    with contextlib.suppress(LeftAlone):
        # Without a time limit this process was started for the audit alone, and outlives what the model does.
        audit = audit_run if time_limit is not None else audit_isolated
        report = audit(
            run_id,
            tracking_uri=tracking_uri,
            tier=tier,
            budget=20.0 if time_limit is None else time_limit / 3,
            time_limit=time_limit,
            unless=unchanged if certain else _need_not,
        )
        if not silent and report.root_cause is not None:
            _logger.warning("%s", _line(report))


def _need_not(run: AuditedRun) -> str | None:
    from mlflow_clfaudit.evidence.subject import no_classifier, unchanged

    return unchanged(run) or no_classifier(run)


def _line(report: Any) -> str:
    first = report.findings[0]
    return f"clfaudit: {report.run_name} is {report.verdict}: {report.root_cause}. {first.message} Fix: {first.fix}"


def _owner(run_id: str) -> str:
    return f"hook-{run_id}"


@contextlib.contextmanager
def _guarded(client: MlflowClient | None = None, run_id: str | None = None) -> Iterator[None]:
    """Turn an exception of ours into a warning and, where the run is known, into its tag clfaudit.error."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
        text = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
        reason = f"{type(error).__name__}: {text}"
        with contextlib.suppress(Exception):
            _logger.warning("clfaudit: %s", reason)
            if client is not None and run_id is not None:
                client.set_tag(run_id, ERROR, reason[:MAX_TAG])
