from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

RISING = ("accuracy", "acc", "auc", "precision", "recall", "f1", "iou")


@check(severity=Severity.WARN, explains=("under-trained", "stopped-early", "learning-rate-exhausted", "baseline-wins"))
def misconfigured_callback(
    run: Run,
    history: History,
    fit: FitArguments | None = None,
    served: Served | None = None,
    *,
    epochs: int = 5,
    still: float = 1e-9,
    perfect: float = 0.98,
    least: float = 1e-4,
    learnt: float = 0.5,
) -> Iterator[Finding]:
    """A callback watches a number that cannot guide it: absent, constant, or read the wrong way round.

    ## Why it matters
    EarlyStopping then stops at its patience whatever happens, or never; ReduceLROnPlateau lowers the learning rate of
    a net that is improving.

    ## How it is detected
    From the logged `monitor` and `mode`: the run has no such curve, or it never moved, or a loss is to be maximised
    or an accuracy minimised. Without them, two callbacks are replayed over the logged curves. ReduceLROnPlateau: the
    learning rate falls by one factor in just those epochs in which a callback that watches an accuracy at standstill
    lowers it, and no patience makes it fall there for one that watches a loss; `least` is Keras's own smallest
    improvement. EarlyStopping: fit() ended before its last epoch while the losses and accuracies of both splits were
    the best so far, so that no patience stops there, while one that is read the wrong way round had its best in the
    first epoch. A net that learnt all the same (U of .5) is told so as an info.

    ## Proof
    The logged numbers.

    ## Fix
    `monitor="val_loss"`.

    ```diff
    - keras.callbacks.ReduceLROnPlateau(monitor="val_acc")
    + keras.callbacks.ReduceLROnPlateau(monitor="val_loss")
    ```

    ## When it is legitimate
    A step schedule that lowers the rate on purpose while accuracy stands still at .98 and more. A training that a
    person or a search ended: it looks as if a callback had.
    """
    stopped = _stopped_while_improving(history, fit) if run.status == "FINISHED" else None
    curves = dict(history.train) | {f"val_{name}": curve for name, curve in history.validation.items()}
    callbacks = fit.callbacks if fit is not None else {}
    monitor = callbacks.get("monitor")
    if monitor:
        yield from _monitored(monitor, callbacks.get("mode", "auto"), curves, epochs, still, perfect)
        return
    if stopped is not None:
        yield replace(stopped, severity=Severity.INFO) if served is not None and served.skill >= learnt else stopped
        return
    rates = history.learning_rate
    if rates is None or len(rates) < epochs or not np.all(np.isfinite(rates)) or not np.all(rates > 0):
        return
    steps = rates[1:] / rates[:-1]
    drops = np.flatnonzero(steps < 1 - 1e-4)
    stepped = len(drops) > 0 and float(np.ptp(steps[drops])) < 0.01 and not np.any(steps > 1 + 1e-4)
    if not stepped or any(_explains(curve, drops, least) for curve in (history.loss, history.validation_loss)):
        return
    for name, curve in curves.items():
        flat = len(curve) >= epochs and np.all(np.isfinite(curve)) and float(np.ptp(curve)) <= still
        if (
            flat
            and any(word in name for word in RISING)
            and float(curve[0]) < perfect
            and _lowered(curve[: len(steps)], int(drops[0]), least) == drops.tolist()
        ):
            yield Finding(
                f"The learning rate was lowered by ×{steps[drops[0]]:.2g} at epoch {drops[0] + 2} by a callback that "
                f"watches {name}: it stands still at {curve[0]:.4f}, which looks like a plateau.",
                fix='ReduceLROnPlateau(monitor="val_loss")',
                evidence={"monitor": name, "value": float(curve[0]), "epoch": int(drops[0]) + 2},
                proof=Proof(Grade.B, "ReduceLROnPlateau replayed over the logged curves"),
            )
            return


def _monitored(
    monitor: str, mode: str, curves: dict[str, np.ndarray], epochs: int, still: float, perfect: float
) -> Iterator[Finding]:
    evidence = {"monitor": monitor, "mode": mode}
    rising = any(word in monitor for word in RISING)
    if monitor not in curves:
        if curves:
            known = ", ".join(sorted(curves))
            yield Finding(
                f"A callback watches {monitor}, which this run does not have; it has {known}.",
                fix='monitor="val_loss"' if "val_loss" in curves else 'monitor="loss"',
                evidence=evidence,
                proof=Proof(Grade.A, "the run has no such curve"),
            )
        return
    curve = curves[monitor]
    if (mode == "max" and not rising and "loss" in monitor) or (mode == "min" and rising):
        yield Finding(
            f"A callback reads {monitor} the wrong way round: mode={mode!r}.",
            fix=f'mode="{"max" if rising else "min"}"',
            evidence=evidence,
            proof=Proof(Grade.A, "the logged arguments"),
        )
    elif len(curve) >= epochs and float(np.ptp(curve)) <= still and not (rising and float(curve[0]) >= perfect):
        yield Finding(
            f"A callback watches {monitor}, which stood at {curve[0]:.4f} in all {len(curve)} epochs.",
            fix='monitor="val_loss"',
            evidence=evidence | {"value": float(curve[0])},
            proof=Proof(Grade.A, "the logged curve is constant"),
        )


def _stopped_while_improving(history: History, fit: FitArguments | None) -> Finding | None:
    """fit() ended early although no EarlyStopping that reads the curves rightly, whatever its patience, ends there."""
    wanted, epochs = fit.epochs if fit is not None else None, history.epochs
    if wanted is None or history.fits != 1 or not 2 <= epochs < wanted:
        return None
    splits = {"": history.train, "val_": history.validation}
    watched = {
        f"{prefix}{name}": curves[name] * (1 if name == "loss" else -1)
        for prefix, curves in splits.items()
        for name in ("loss", "accuracy")
        if name in curves
    }
    backwards = [name for name, curve in watched.items() if np.argmax(curve) == 0]
    improving = all(len(curve) == epochs and np.all(curve[-1] < curve[:-1]) for curve in watched.values())
    if "val_loss" not in watched or not improving or not backwards:
        return None
    name = next((name for name in backwards if name.startswith("val_acc")), backwards[-1])
    return Finding(
        f"fit() ended after {epochs} of {wanted} epochs while {', '.join(watched)} were all the best so far: no "
        f"EarlyStopping that reads them rightly stops there, one that reads {name} the wrong way round does.",
        fix='EarlyStopping(monitor="val_loss", patience=10, restore_best_weights=True)',
        evidence={"epochs": epochs, "wanted": wanted, "backwards": backwards},
        proof=Proof(Grade.B, "EarlyStopping replayed over the logged curves"),
    )


def _explains(curve: np.ndarray | None, drops: np.ndarray, least: float) -> bool:
    """Whether ReduceLROnPlateau with some patience, watching this falling curve, lowers the rate after these epochs."""
    if curve is None or len(curve) <= drops[0] or not np.all(np.isfinite(curve)):
        return False
    return any(
        _lowered(curve, patience, least)[: len(drops)] == drops.tolist() for patience in range(1, int(drops[0]) + 1)
    )


def _lowered(curve: np.ndarray, patience: int, least: float) -> list[int]:
    """The epochs after which keras.callbacks.ReduceLROnPlateau without a cooldown lowers the rate."""
    found, best, waited = [], np.inf, 0
    for epoch, value in enumerate(curve):
        if value < best - least:
            best, waited = value, 0
            continue
        waited += 1
        if waited >= patience:
            found.append(epoch)
            waited = 0
    return found
