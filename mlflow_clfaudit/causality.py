"""What is known of causes and effects among findings, as tables: `rank` orders by them.

The order is that of the making of a classifier, and an exclusion says what a cause makes unreadable: a threshold chosen
on an untrained net, say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlflow_clfaudit.types import Confidence, Finding, Severity

# Upstream first: reproduction, labels, split, input scale, architecture, head and loss, optimisation, checkpoint,
# threshold, metric.
STAGE_OF_AREA: Mapping[str, int] = {
    "reproduction": 0,
    "label_encoding": 1,
    "stratification": 2,
    "activation_loss": 5,
    "training_dynamics": 6,
    "thresholding": 8,
}
STAGE_OF_CHECK: Mapping[str, int] = {
    "unscaled-inputs": 3,
    "low-contrast-inputs": 3,
    "no-nonlinearity": 4,
    "symmetric-initialisation": 4,
    "poor-initialisation": 4,
    "bottleneck": 4,
    "batchnorm-gap": 7,
    "class-imbalance": 8,
    "class-weight-overcorrected": 8,
    "rounded-unbounded-output": 9,
    "metric-misresolved": 9,
    "broadcast-comparison": 9,
    "exact-match-accuracy": 9,
    "scored-in-wrong-label-space": 9,
}

# Findings about a number: where the model behind it is good, the number is the headline.
ABOUT_A_NUMBER = frozenset(
    {
        "argmax-on-one-column",
        "auc-on-labels",
        "broadcast-comparison",
        "exact-match-accuracy",
        "logloss-on-labels",
        "metric-misresolved",
        "rounded-unbounded-output",
        "scored-in-wrong-label-space",
        "scores-used-as-classes",
        "threshold-on-wrong-scale",
    }
)

# Of the area of splits, but faults of the training: an untrained net does not make them beside the point.
WEIGHTS_OF_CLASSES = frozenset({"class-weight-overcorrected", "class-weight-without-effect"})

SHOWN_BY_TRAINING = ("training_dynamics", "thresholding")
# At most a warning beside a proven cause: true of the data, but not what keeps this net from learning.
SECOND_TO_UNDER_TRAINED = frozenset({"class-imbalance", "class-shift"})


def stage(finding: Finding) -> int:
    """Where in the making of a classifier the finding lies; upstream is small."""
    return STAGE_OF_CHECK.get(finding.check, STAGE_OF_AREA.get(finding.area, 5))


@dataclass(frozen=True)
class Exclusion:
    """Where `cause` holds, findings that `effect` names are no more than info: they cannot be read under that cause."""

    cause: Callable[[Finding], bool]
    effect: Callable[[Finding], bool]


def _named(*names: str) -> Callable[[Finding], bool]:
    return lambda finding: finding.check in names


def established(*names: str) -> Callable[[Finding], bool]:
    return lambda finding: finding.check in names and finding.confidence is not Confidence.SUSPECTED


def breaks_the_loss(finding: Finding) -> bool:
    """A proven fault of the head, the loss or the labels that no training can overcome."""
    return (
        finding.area in ("activation_loss", "label_encoding")
        and finding.level is Severity.BLOCKER
        and finding.confidence is Confidence.PROVEN
    )


def _cuts_gradients(finding: Finding) -> bool:
    """An error of the head or the loss that leaves rows without a gradient."""
    named = established("logits-in-probability-loss", "clipped-output", "softmax-on-one-unit")(finding)
    return named and finding.level.at_least(Severity.ERROR)


def _is_downstream(finding: Finding) -> bool:
    """What training shows; the scale of the inputs, the architecture and the callbacks were there before it."""
    downstream = stage(finding) >= STAGE_OF_AREA["training_dynamics"]
    return finding.area == "training_dynamics" and downstream and finding.check != "misconfigured-callback"


EXCLUSIONS = (
    # A net that has hardly moved has no direction, order or threshold yet.
    Exclusion(established("under-trained"), _named("threshold-off", "inverted-positive-class", "permuted-labels")),
    Exclusion(established("under-trained"), _named("uncalibrated-probabilities", "stopped-early")),
    # Nor does one that diverged, or whose signal died on the way.
    Exclusion(
        established("learning-rate-too-high", "dead-units", "vanishing-gradient", "symmetric-initialisation"),
        _named("threshold-off", "inverted-positive-class", "permuted-labels", "uncalibrated-probabilities"),
    ),
    # One that its inputs' scale kept from learning may still tell which class is which, but not where to cut.
    Exclusion(
        established("low-contrast-inputs", "unscaled-inputs"), _named("threshold-off", "uncalibrated-probabilities")
    ),
    # A loss that reads the outputs as what they are not has fitted neither probabilities nor a threshold.
    Exclusion(
        established("logits-in-probability-loss", "clipped-output", "regression-loss"),
        _named("threshold-off", "uncalibrated-probabilities", "threshold-on-wrong-scale"),
    ),
    # Zero gradients, constant outputs and a stuck loss are what a broken loss looks like in training.
    Exclusion(breaks_the_loss, _is_downstream),
    Exclusion(breaks_the_loss, _named("threshold-off", "uncalibrated-probabilities", "threshold-on-wrong-scale")),
    # Nor do validation labels that are those of other rows or other classes.
    Exclusion(established("encoder-refit", "misaligned-rows"), _named("overfit", "stopped-early")),
    # Weights of classes that move every score move the threshold with them; where they are no more than information,
    # the threshold is what is wrong.
    Exclusion(established("class-weight-overcorrected"), _named("uncalibrated-probabilities")),
    Exclusion(
        lambda finding: established("class-weight-overcorrected")(finding) and finding.level.at_least(Severity.WARN),
        _named("threshold-off", "under-trained"),
    ),
    # A head that can be fitted to features which a fading gradient left as they were drawn is no want of steps.
    Exclusion(
        lambda finding: finding.check == "vanishing-gradient" and finding.level.at_least(Severity.WARN),
        lambda finding: finding.check == "under-trained" and finding.variant == "head-behind",
    ),
    # Of a layer of one unit, all are dead as soon as one is, and with them every gradient.
    Exclusion(established("bottleneck"), _named("dead-units", "no-gradient")),
    # Rows without a gradient leave steps without effect, and features as they were drawn.
    Exclusion(
        _cuts_gradients,
        lambda finding: finding.check == "under-trained" or (finding.check, finding.variant) == ("bottleneck", "flat"),
    ),
    # What a callback ended was not ended by too few epochs or too small steps; nor was what a schedule brought to rest.
    Exclusion(established("misconfigured-callback"), _named("under-trained", "stopped-early")),
    Exclusion(
        lambda finding: established("learning-rate-exhausted")(finding) and finding.level.at_least(Severity.WARN),
        _named("under-trained", "stopped-early"),
    ),
    # Probabilities that went on growing too sure of themselves are off because of that.
    Exclusion(
        lambda finding: finding.check == "overfit" and finding.level.at_least(Severity.WARN),
        _named("uncalibrated-probabilities"),
    ),
    # A compiled metric that takes logits for probabilities is one fault, said of the metric and of the outputs.
    Exclusion(established("threshold-on-wrong-scale"), _named("outputs-not-probabilities")),
    # A validation slice of one class says nothing about when to stop.
    Exclusion(_named("single-class-validation"), _named("overfit", "stopped-early", "threshold-tuned-on-test")),
)
