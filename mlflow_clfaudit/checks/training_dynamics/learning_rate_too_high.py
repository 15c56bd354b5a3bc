from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head, Layer, Spec
from mlflow_clfaudit.evidence.trainings import Contrast
from mlflow_clfaudit.evidence.units import LayerActivity
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.INFO,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "non-finite-loss",
        "baseline-wins",
        "dead-units",
        "saturated-units",
        "loss-accuracy-divergence",
        "batchnorm-gap",
        "under-trained",
        "uncalibrated-probabilities",
        "overfit",
    ),
)
def learning_rate_too_high(
    served: Served,
    served_train: Served | None = None,
    history: History | None = None,
    unit_activity: tuple[LayerActivity, ...] | None = None,
    spec: Spec | None = None,
    *,
    worse: float = -0.05,
    rise: float = 1.1,
    turns: float = 0.4,
    swing: float = 0.1,
    epochs: int = 8,
    dead: float = 0.5,
    exploded: float = 3.0,
    steadily: float = 0.95,
    learnt: float = 0.8,
    right: float = 0.95,
) -> Iterator[Finding]:
    """The learning rate is so high that the steps overshoot: the loss explodes, swings, or the units die.

    ## Why it matters
    The first steps throw the weights to where no gradient leads back. Training on, or a lower rate from there, does
    not help: the net has to begin anew.

    ## How it is detected
    The net did not learn well, its training rows included (U below .8, fewer than 19 in 20 right), and one of: a loss
    or an output that is not finite; training rows that are predicted worse than by a constant, unless the loss came
    down in 19 of 20 epochs from no more than a drawn net's (small steps, not large ones); a loss that ends higher than
    it began, or that began at three times a constant's; a loss that turns in two epochs of five and by a tenth of its
    size; half of the relu units dead.

    ## Proof
    Trained anew for a third of the epochs (of a short training more)
    at the logged rate and at a tenth (hundredth, thousandth) of it.
    The slower one must decide better than the logged net and than the same training at the logged rate by .05, p <
    .01; otherwise nothing is reported.

    ## Fix
    A tenth of the rate, or `clipnorm=1.0`, or a warm-up.

    ```diff
    - model.compile(keras.optimizers.SGD(3.0), "mse")
    + model.compile(keras.optimizers.SGD(0.3, clipnorm=1.0), "mse")
    ```

    ## When it is legitimate
    High rates that work (SGD at 3.0 on squared errors), cyclical rates, warm restarts: nets that learnt
    well are not judged, others only by what a slower training reaches.
    """
    rows = served_train or served
    well = any(item.has_learnt(information=learnt, right=right) for item in (rows, served))
    if well or not served.tells_classes:
        return
    losses = history.loss if history is not None else None
    if spec is not None and any(_penalised(layer) for layer in spec.layers):
        # The logged loss is then more than the loss, and no constant's can be held against it.
        exploded = np.inf
    signs = list(_signs(losses, rows, unit_activity or (), worse, rise, turns, swing, epochs, dead, exploded, steadily))
    if signs:
        yield Finding(
            f"The training overshoots: {'; '.join(signs)}.",
            fix="a tenth of the learning rate",
            evidence={"signs": signs, "information": rows.skill if np.isfinite(rows.skill) else None},
        )


@learning_rate_too_high.proof
def slower_from_the_start(
    finding: Finding,
    slower_trials: tuple[Contrast, ...],
    head: Head,
    fit: FitArguments | None = None,
    *,
    fall: float = 0.7,
    gain: float = 0.05,
    significance: float = 0.01,
) -> Finding | None:
    exploded = _exploded(finding, slower_trials, head, fall)
    if exploded is not None:
        return exploded
    best = max(slower_trials, key=lambda item: (item.changed.gain, item.changed.after.skill))
    p_value = min(max(best.p_value, best.changed.p_value) * len(slower_trials), 1.0)
    if min(best.gain, best.changed.gain) < gain or p_value >= significance:
        return None
    changed, factor = best.changed, best.changed.factor
    rate = fit.learning_rate if fit is not None else None
    logged = f" of {rate:g}" if rate else ""
    return replace(
        finding,
        message=f"The learning rate{logged} is too high: {'; '.join(finding.evidence['signs'])}. At ×{factor:g}, "
        f"{changed.duration} from new weights reach balanced accuracy {changed.after.balanced_accuracy:.2f}; "
        f"at ×1 {best.control.after.balanced_accuracy:.2f}; the whole run {changed.before.balanced_accuracy:.2f}.",
        fix=f"learning_rate={rate * factor:.3g}" if rate else f"a learning rate of ×{factor:g}",
        severity=Severity.ERROR,
        evidence={
            **finding.evidence,
            "trials": [best.control.summary, *(item.changed.summary for item in slower_trials)],
        },
        proof=Proof(
            Grade.B,
            f"{changed.change}, {changed.duration}",
            metric="balanced accuracy",
            before=changed.before.balanced_accuracy,
            after=changed.after.balanced_accuracy,
            n=changed.after.rows,
            p_value=p_value,
        ),
    )


def _exploded(finding: Finding, slower_trials: tuple[Contrast, ...], head: Head, fall: float) -> Finding | None:
    """Proven too where the logged rate leads to NaN from new weights again, and a slower one to a falling loss."""
    loss = head.loss
    clipped = loss is not None and loss.is_cross_entropy and not (head.gives_probabilities or loss.from_logits)
    finite = [item for item in slower_trials if np.isfinite(item.changed.loss_after)]
    best = min(finite, key=lambda item: item.changed.loss_after, default=None)
    if clipped or best is None or np.isfinite(best.control.loss_after):
        return None
    changed, rows = best.changed, best.changed.after.rows
    if changed.loss_after >= fall * changed.loss_before:
        return None
    return replace(
        finding,
        message=f"The learning rate is too high: {'; '.join(finding.evidence['signs'])}. New weights end there again "
        f"within {best.control.duration}; at ×{changed.factor:g} their loss falls from {changed.loss_before:.3g} to "
        f"{changed.loss_after:.3g} in {changed.duration}.",
        fix=f"a learning rate of ×{changed.factor:g}",
        severity=Severity.ERROR,
        evidence={
            **finding.evidence,
            "trials": [best.control.summary, *(item.changed.summary for item in slower_trials)],
        },
        proof=Proof(
            Grade.B, f"{changed.change}: finite outputs", "rows with a finite output", 0.0, 1.0, rows, 0.5**rows
        ),
    )


def _penalised(layer: Layer) -> bool:
    return any(value for key, value in layer.config.items() if key.endswith("_regularizer"))


def _loss_agrees(losses: np.ndarray | None, rows: Served) -> bool:
    """Whether the logged loss, too, is no better than a constant's, where it can be compared."""
    constant = _constant_loss(rows)
    return losses is None or len(losses) == 0 or constant is None or bool(losses[-1] > 0.9 * constant)


def _comes_down(losses: np.ndarray | None, rows: Served, steadily: float) -> bool:
    """Whether the logged loss fell in nearly every epoch from no more than a drawn net's: no step overshot."""
    if losses is None or len(losses) < 2:
        return False
    drawn = 2 * float(np.log(rows.classes))
    return bool(losses[0] <= drawn and np.mean(np.diff(losses) < 0) >= steadily)


def _constant_loss(rows: Served) -> float | None:
    """The loss of the best constant under a cross-entropy; None under another loss."""
    if rows.head.loss is None or not rows.head.loss.is_cross_entropy:
        return None
    shares = rows.shares[rows.shares > 0]
    return -float(np.sum(shares * np.log(shares)))


def _signs(
    losses: np.ndarray | None,
    rows: Served,
    activity: tuple[LayerActivity, ...],
    worse: float,
    rise: float,
    turns: float,
    swing: float,
    epochs: int,
    dead: float,
    exploded: float,
    steadily: float,
) -> Iterator[str]:
    if losses is not None and len(losses):
        if not np.all(np.isfinite(losses)):
            first = int(np.argmin(np.isfinite(losses))) + 1
            yield f"the loss is not finite from epoch {first}"
        else:
            if losses[-1] > rise * losses[0] > 0:
                yield f"the loss rose from {losses[0]:.3g} to {losses[-1]:.3g}"
            constant = _constant_loss(rows)
            if constant is not None and losses[0] > exploded * constant:
                yield f"the loss of the first epoch, {losses[0]:.3g}, is {losses[0] / constant:.0f} times a constant's"
            steps = np.diff(losses)
            turned = float(np.mean(steps[1:] * steps[:-1] < 0)) if len(steps) > 1 else 0.0
            size = float(np.mean(np.abs(steps)) / max(np.mean(np.abs(losses)), 1e-12)) if len(steps) else 0.0
            if len(losses) >= epochs and turned > turns and size > swing:
                yield f"the loss swings by {size:.0%} from epoch to epoch"
    if not np.all(np.isfinite(rows.outputs)):
        yield "outputs are not finite"
    elif rows.skill < worse and _loss_agrees(losses, rows) and not _comes_down(losses, rows, steadily):
        yield f"the training rows are predicted worse than by a constant (U {rows.skill:.2g})"
    lost = [item for item in activity if item.dead is not None and item.dead >= dead and item.trainable]
    if lost:
        yield f"{lost[0].dead:.0%} of the units of {lost[0].layer} are dead"
