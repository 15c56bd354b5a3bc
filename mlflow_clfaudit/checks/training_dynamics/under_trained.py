from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served, Trial
from mlflow_clfaudit.evidence.trainings import Continued
from mlflow_clfaudit.evidence.weights import OptimizerState
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

OPTIMIZERS = {
    "adam": "Adam",
    "sgd": "SGD",
    "rmsprop": "RMSprop",
    "adamw": "AdamW",
    "nadam": "Nadam",
    "adagrad": "Adagrad",
}
# Optimizers that move no weight further than about the learning rate in one step.
BOUNDED_STEPS = ("adam", "adamw", "nadam", "adamax", "rmsprop", "lion")


@check(
    severity=Severity.WARN,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "baseline-wins",
        "stopped-early",
        "threshold-off",
        "uncalibrated-probabilities",
        "saturated-units",
    ),
)
def under_trained(
    served: Served,
    served_train: Served | None = None,
    history: History | None = None,
    *,
    information: float = 0.5,
    floor: float = -1.0,
    good: float = 0.95,
    nothing: float = 0.1,
) -> Iterator[Finding]:
    """The network has learnt little of what its own features or its own weights would give: too few or too small
    steps.

    ## Why it matters
    A net that was stopped long before it converged, or whose learning rate is too small for its number of steps,
    looks broken: one class for every row, accuracy at the share of a class. Nothing is wrong with its architecture,
    its labels or its threshold; more or larger steps are the cure, and every other repair treats an effect.

    ## How it is detected
    U = 1 - loss / loss of the best constant is below .5 on the training rows and on the judged rows, and the
    decisions are not good either. A loss above twice that of the best constant, and of equal probabilities where
    classes are rare, says that something else is wrong. That alone also describes a hard problem; the finding stands
    only if the proof succeeds.

    ## Proof
    Both are always tried. Training continued from the saved weights for a tenth of the logged epochs at ×1, ×10 and
    ×100 of the logged learning rate; and the head refitted on the frozen features. One of them must raise balanced
    accuracy on rows that it did not learn from by .05 (error: .10), p < .01 after correction for three tries, and a
    training must raise U too; the features must hold what the inputs do, within .10 in balanced accuracy of a linear
    model or with .8 of its U. On few rows a training that raises balanced accuracy by .05 and U by .2, p < .01 in a
    paired t-test on the log losses, is a warning.
    Neither: the net is at the ceiling of its problem or something else is wrong, and nothing is reported.

    Variants: `lr-too-low` where ×10 or ×100 gains three times what ×1 does, `stopped-early` where ×1 alone already
    brings half of the best gain, `head-behind` where the refitted head alone is better.

    ## Fix
    A larger learning rate, or more epochs until the validation loss stops falling.

    ```diff
    - model.compile(keras.optimizers.Adam(0.001), "categorical_crossentropy")
    + model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
    ```

    ## When it is legitimate
    A deliberately short run. Fine-tuned nets, noisy problems at their ceiling, label smoothing and focal losses (soft
    probabilities, right decisions) do not fire, because no continuation and no probe decides better than they do.
    """
    rows = served_train or served
    # What would prove it, training on and refitting the head, is there for networks of Keras alone.
    if not served.tells_classes or served.head.is_known_by_answers:
        return
    if not (_knows_little(rows, information, floor, good) and _knows_little(served, information, floor, good)):
        return
    losses = history.loss if history is not None else None
    if losses is not None and len(losses) and not _could_be_early(float(losses[-1]), rows, information):
        return
    spread = float(np.quantile(served.outputs[:, -1], 0.95) - np.quantile(served.outputs[:, -1], 0.05))
    yield Finding(
        f"The network knows little more than the class shares: U {_short(served.skill)}, balanced accuracy "
        f"{served.balanced_accuracy:.2f} on {served.where}.",
        fix="more epochs, or a larger learning rate",
        severity=Severity.WARN if rows.skill < nothing else Severity.INFO,
        evidence={
            "information": served.skill,
            "training_information": rows.skill,
            "balanced_accuracy": served.balanced_accuracy,
            "output_spread": spread,
        },
    )


@under_trained.proof
def continued_and_refitted(
    finding: Finding,
    trial: Trial,
    learning_rate_trials: tuple[Continued, ...] | None = None,
    feature_probe: Probe | None = None,
    input_probe: Probe | None = None,
    optimizer_state: OptimizerState | None = None,
    fit: FitArguments | None = None,
    history: History | None = None,
    *,
    least_gain: float = 0.05,
    clear_gain: float = 0.1,
    significance: float = 0.01,
    times: float = 3.0,
    refit_below: float = 0.25,
    kept: float = 0.8,
    information_gain: float = 0.2,
) -> Finding | None:
    if learning_rate_trials is None and feature_probe is None:
        raise Missing("neither the head can be refitted nor the training continued")
    trials = learning_rate_trials or ()
    evidence = {
        **finding.evidence,
        "learning_rate_trials": [item.summary for item in trials],
        "head_refit": None if feature_probe is None else feature_probe.balanced_accuracy,
        "separation_budget": _separation_budget(trial, optimizer_state, fit),
    }
    finding = replace(finding, evidence=evidence)
    if trials and not trials[0].agrees_with(history.loss if history is not None else None):
        unproven = f"the saved weights give a loss of {trials[0].loss_before:.3g} where the log ends at another: "
        return replace(finding, severity=Severity.INFO, unproven=unproven + "fit() saw other rows, labels or loss")
    tries = max(len(trials) + (feature_probe is not None), 1)
    best = _best(trials)
    continues = best is not None and _convinces(best.gain, best.p_value * tries, least_gain, significance)
    refits = feature_probe is not None and _convinces(
        feature_probe.gain, feature_probe.p_value * tries, least_gain, significance
    )
    if best is not None:
        how = f"training continued from the saved weights, {best.change}, {best.duration}"
        proof = None
        if continues:
            proof, severity = best.decision_proof(how), Severity.ERROR if best.gain >= clear_gain else Severity.WARN
        elif best.gain >= least_gain and best.informs(
            information_gain=information_gain, significance=significance / tries
        ):
            proof, severity = best.information_proof(how), Severity.WARN
        if proof is not None:
            proven = replace(finding, severity=severity, proof=_corrected(proof, tries))
            return _by_continuation(proven, trials, best, feature_probe, fit, times)
    nothing_learnt = trial.judge.skill < refit_below
    if (
        feature_probe is not None
        and refits
        and nothing_learnt
        and _knows_more(feature_probe, input_probe, trial.judge, clear_gain, kept)
    ):
        return _by_refit(finding, trials, feature_probe, clear_gain)
    if not trials:
        unproven = "the training cannot be continued here, and a refitted head is no better"
        return replace(finding, severity=Severity.INFO, unproven=unproven)
    return None


def _knows_little(served: Served, information: float, floor: float, good: float) -> bool:
    finite = bool(np.all(np.isfinite(served.outputs)))
    little = finite and served.skill < information and served.balanced_accuracy < good
    return little and _is_unsure(served, floor)


def _is_unsure(served: Served, floor: float) -> bool:
    """Whether its loss is no more than a drawn net's: at `floor` -1, twice that of the same probability for all."""
    if served.skill >= floor or served.probabilities is None or served.information is None:
        return served.skill >= floor
    return measures.cross_entropy(served.truth, served.probabilities) <= (1 - floor) * float(np.log(served.classes))


def _could_be_early(last: float, rows: Served, information: float) -> bool:
    """Whether the last training loss agrees: finite, not negative and not far below a constant's."""
    if not np.isfinite(last) or last < 0:
        return False
    loss = rows.head.loss
    if rows.held_out and loss is not None and loss.is_cross_entropy and not loss.options.get("label_smoothing"):
        shares = rows.shares[rows.shares > 0]
        constant = float(-np.sum(shares * np.log(shares)))
        return last > (1 - information) * constant
    return True


def _convinces(gain: float, p_value: float, least: float, significance: float) -> bool:
    return gain >= least and p_value < significance


def _best(trials: Sequence[Continued]) -> Continued | None:
    # Decisions of weights that were thrown far out can be better by luck; what they say of the classes is not.
    wiser = (item for item in trials if item.after.skill > item.before.skill)
    return max(wiser, key=lambda item: (item.gain, item.after.skill), default=None)


def _knows_more(probe: Probe, inputs: Probe | None, judge: Served, lost: float, kept: float) -> bool:
    """Whether the refitted head is better by its probabilities too, and the features hold what the inputs do.

    Features that have lost it are not for want of steps in the head: the network destroys what it is given. Features as
    they were drawn lose some rows at the classes' borders and keep most of the information.
    """
    known = inputs.information if inputs is not None else None
    keeps = probe.information is not None and known is not None and probe.information >= kept * known
    if inputs is not None and inputs.balanced_accuracy - probe.balanced_accuracy > lost and not keeps:
        return False
    return probe.information is None or judge.information is None or probe.information > judge.information + 0.05


def _corrected(proof: Proof, tries: int) -> Proof:
    """The proof with Bonferroni's correction for the tries that it is the best of."""
    return proof if proof.p_value is None else replace(proof, p_value=min(proof.p_value * tries, 1.0))


def _by_continuation(
    finding: Finding,
    trials: Sequence[Continued],
    best: Continued,
    probe: Probe | None,
    fit: FitArguments | None,
    times: float,
) -> Finding:
    before, after = best.before, best.after
    logged = trials[0]
    own = logged.after.skill - before.skill
    variant = "stopped-early"
    if best.factor > 1 and best.after.skill - before.skill >= times * max(own, 0.0) and logged.gain < best.gain / 2:
        variant = "lr-too-low"
    said = f"{best.duration} more at learning rate ×{best.factor:g} lift balanced accuracy "
    said += f"{before.balanced_accuracy:.2f} → {after.balanced_accuracy:.2f} "
    said += f"(U {_short(before.skill)} → {_short(after.skill)}"
    if best is not logged:
        said += f"; ×1 gives {_short(logged.after.skill)}"
    said += ")"
    if probe is not None:
        said += f"; the head refitted on its frozen features reaches {probe.balanced_accuracy:.2f}"
    return replace(
        finding,
        message=f"The network was stopped long before it had learnt: {said}.",
        fix=_fix(variant, best, fit),
        variant=variant,
    )


def _by_refit(finding: Finding, trials: Sequence[Continued], probe: Probe, clear_gain: float) -> Finding:
    tried = ", ".join(f"×{item.factor:g} {item.after.balanced_accuracy:.2f}" for item in trials)
    said = (
        f"its own features decide {probe.balanced_accuracy:.2f} of the rows rightly once the head is fitted to the end"
    )
    said += f" (balanced; served: {probe.served_balanced_accuracy:.2f}"
    said += f"; a tenth of the epochs more at learning rate {tried})" if tried else ")"
    return replace(
        finding,
        variant="head-behind",
        message=f"The network was stopped long before it had learnt: {said}.",
        fix="Adam(1e-2) for the same epochs, or more epochs until val_loss stops falling",
        severity=Severity.ERROR if probe.gain >= clear_gain else Severity.WARN,
        proof=Proof(
            Grade.B,
            probe.name,
            metric="balanced accuracy",
            before=probe.served_balanced_accuracy,
            after=probe.balanced_accuracy,
            n=probe.rows,
            p_value=min(probe.p_value * (len(trials) + 1), 1.0),
        ),
    )


def _fix(variant: str, best: Continued, fit: FitArguments | None) -> str:
    """A tenth of the epochs at ×factor are as many steps times rate as all of them at a tenth of the factor."""
    if variant == "stopped-early":
        return "more epochs, with EarlyStopping(monitor='val_loss', restore_best_weights=True)"
    factor = max(best.factor / 10, 10.0)
    rate = fit.learning_rate if fit is not None else None
    if fit is None or rate is None or fit.optimizer is None:
        return f"a learning rate {factor:g} times the logged one"
    return f"keras.optimizers.{OPTIMIZERS.get(fit.optimizer.lower(), fit.optimizer)}(learning_rate={rate * factor:.3g})"


def _separation_budget(trial: Trial, state: OptimizerState | None, fit: FitArguments | None) -> float | None:
    """S = 2·rate·steps·median distance of class means of the features: below about 1 no logit gap can be built.

    An optimizer of Adam's kind moves no weight further than about its rate in one step.
    """
    features = trial.fit.features
    if features is None or state is None or fit is None or not state.iterations or not fit.learning_rate:
        return None
    if (fit.optimizer or "").lower() not in BOUNDED_STEPS:
        return None
    means = [features[trial.fit.truth == code].mean(axis=0) for code in np.unique(trial.fit.truth)]
    distances = [float(np.abs(one - other).sum()) for one, other in combinations(means[:30], 2)]
    return 2 * fit.learning_rate * state.iterations * float(np.median(distances))


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"
