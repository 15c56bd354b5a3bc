from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.probes import ClassOrder, Probe
from mlflow_clfaudit.evidence.served import Served, Trial
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

HARM = ("under-trained", "stuck-loss", "constant-prediction")


@check(severity=Severity.INFO)
def regression_loss(
    head: Head, labels: Labels | None = None, history: History | None = None, *, most_classes: int = 30
) -> Iterator[Finding]:
    """Classes are learnt with a regression loss.

    ## Why it matters
    Squared error on a sigmoid is the Brier score: a proper loss, but its gradient (p - y)·p·(1 - p) all but vanishes
    while p is near 0 or 1, so that a rare class is learnt slowly. Three or more classes as one number put them on a
    line: class 1 is what lies between 0 and 2. Percentage errors divide by the label, and label 0 is divided by 1e-7.

    ## How it is detected
    Mean squared, absolute, percentage or logarithmic error, Huber or log-cosh on an output that gives probabilities,
    or on integer labels of few classes. Three variants: Brier score (info), classes on a number line, percentage
    error of label 0.

    ## Proof
    For classes on a line: a linear classifier on the same features against the rounded output, on the same rows; and
    the inputs do not bear the order out. They do where a linear model of them explains the class numbers of the
    training rows better than 95 % of the other numberings of the same classes, which takes five classes or more.

    ## Fix
    `loss="binary_crossentropy"` or `loss="sparse_categorical_crossentropy"` with one unit for each class.

    ```diff
    - model.compile("sgd", "mse")
    + model.compile("sgd", "binary_crossentropy")
    ```

    ## When it is legitimate
    Brier scores on purpose, ordered classes, distillation on logits. Without a better classifier as proof it stays
    info.
    """
    loss = head.loss
    given = None if labels is None else labels.train or labels.validation
    if loss is None or not loss.is_regression or head.opaque or (given is not None and given.form == "continuous"):
        return
    classes = _classes(given)
    if classes is None and not head.gives_probabilities:
        return
    evidence = {"loss": loss.name, "activation": head.activation, "units": head.units, "classes": classes}
    if loss.name == "mean_absolute_percentage_error":
        yield _percentage(head, history, evidence)
    elif head.units == 1 and classes is not None and 3 <= classes <= most_classes:
        yield Finding(
            f"{loss.label.capitalize()} puts {classes} classes on one number line, as if class 1 lay between 0 and 2.",
            fix=_several(head, classes)
            if head.is_known_by_answers
            else f'Dense({classes}, activation="softmax"), loss="sparse_categorical_crossentropy"',
            evidence=evidence,
            explains=HARM,
            variant="number-line",
        )
    elif classes is None or classes <= most_classes:
        yield Finding(
            f"{loss.label.capitalize()} on {head.activation} outputs is the Brier score: proper, but slow where "
            "outputs are near 0 or 1."
            if head.gives_probabilities
            else f"{loss.label.capitalize()} on {head.activation} outputs learns class numbers, not probabilities.",
            fix=_fix(head),
            evidence=evidence,
            variant="brier",
        )


@regression_loss.proof
def measured_harm(
    finding: Finding,
    served: Served,
    labels: Labels | None = None,
    trial: Trial | None = None,
    feature_probe: Probe | None = None,
    tree_probe: Probe | None = None,
    class_order: ClassOrder | None = None,
    *,
    gain: float = 0.05,
    significance: float = 0.01,
    chance: float = 0.05,
) -> Finding:
    if finding.variant == "brier" and served.head.gives_probabilities:
        damping = float(np.mean(served.outputs * (1.0 - served.outputs)))
        return replace(
            finding, evidence={**finding.evidence, "gradient_factor": damping, "information": served.information}
        )
    # Trees have no features of a last layer; a forest on the same rows stands for them.
    probe = tree_probe if served.head.is_known_by_answers else feature_probe
    if finding.variant != "number-line" or labels is None or trial is None or probe is None:
        return finding
    values = labels.classes.astype(np.float64)
    rounded = np.argmin(np.abs(trial.judge.outputs[:, :1] - values), axis=1)
    truth = trial.judge.truth
    if len(rounded) != len(probe.decision):
        return finding
    before, after = measures.balanced_accuracy(truth, rounded), probe.balanced_accuracy
    p_value = measures.accuracy_p_value(truth, rounded, probe.decision)
    if after - before < gain or p_value >= significance:
        return replace(finding, unproven="a classifier of the same rows does no better")
    if class_order is not None and class_order.as_well <= chance:
        return replace(finding, unproven="the classes lie in the inputs in the order of their numbers")
    name = "logistic regression on the last layer's features" if probe is feature_probe else probe.name
    how = f"{name} against the output rounded to the nearest class"
    proof = Proof(Grade.B, how, "balanced accuracy", before, after, len(truth), p_value)
    return replace(finding, severity=Severity.ERROR, proof=proof)


def _several(head: Head, classes: int) -> str:
    """The objective of boosted trees for several classes, as their library calls it."""
    if head.layer == "CatBoost":
        return 'CatBoostClassifier(loss_function="MultiClass")'
    return f'objective="{"multiclass" if head.layer == "LightGBM" else "multi:softprob"}", num_class={classes}'


def _fix(head: Head) -> str:
    if head.is_known_by_answers:
        named = {"CatBoost": 'CatBoostClassifier(loss_function="Logloss")', "LightGBM": 'objective="binary"'}
        return named.get(head.layer, 'objective="binary:logistic"')
    return 'loss="binary_crossentropy"' if head.units == 1 else 'loss="categorical_crossentropy"'


def _classes(labels: LabelSet | None) -> int | None:
    """The number of classes, None where the labels are not known or are no classes."""
    if labels is None or labels.form in ("matrix", "multi-hot"):
        return None
    return len(labels.classes)


def _percentage(head: Head, history: History | None, evidence: Mapping[str, object]) -> Finding:
    curve, _ = logged(history, head)
    large = curve is not None and len(curve) > 0 and bool(np.isfinite(curve[-1])) and float(curve[-1]) > 1e4
    return Finding(
        "Percentage error divides by the label, and label 0 counts as 1e-7: the loss is about those rows alone.",
        fix='loss="binary_crossentropy"',
        severity=Severity.ERROR if large else Severity.WARN,
        evidence=evidence,
        explains=(*HARM, "learning-rate-too-high"),
        variant="percentage",
        proof=Proof(Grade.A, "a percentage error of classes on this scale divides by 0", "loss", float(curve[-1]))
        if large and curve is not None
        else None,
    )
