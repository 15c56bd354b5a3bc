from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.splits import SplitCodes
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

# A run that reports one of these does not hide its rare classes behind accuracy.
TELLING = ("auc", "f1", "recall", "precision", "balanced", "mcc", "matthews", "kappa", "pr_", "average_prec", "g_mean")


@check(severity=Severity.INFO, explains=("majority-accuracy", "constant-prediction", "threshold-off"))
def class_imbalance(split_codes: SplitCodes, *, imbalance: float = 10.0) -> Iterator[Finding]:
    """The training classes are so unequal that the net neglects the rare ones, and accuracy does not show it.

    ## Why it matters
    A rare class hardly moves the loss or the accuracy: a net that never answers it can score as well as one that does.

    ## How it is detected
    The largest training class has at least ten times the rows of the smallest. Where the model was logged, the rare
    classes must also be missed half of the time or more; if they are recognised, there is no finding.

    ## Proof
    The head refitted on the net's own frozen features with every class weighing the same, judged on held-out rows.

    ## Fix
    Report balanced accuracy or PR-AUC, then weigh the classes or move the threshold, not both.

    ```diff
    - model.fit(X, y)
    + weights = compute_class_weight("balanced", classes=np.unique(y), y=y)
    + model.fit(X, y, class_weight=dict(enumerate(weights)))
    ```

    ## When it is legitimate
    Natural prevalence with calibrated probabilities, judged by metrics that see the rare class: information only.
    """
    counts = split_codes.counts("train") if "train" in split_codes.codes else np.zeros(0, int)
    counts = counts[counts > 0]
    if len(counts) < 2 or counts.max() < imbalance * counts.min():
        return
    yield Finding(
        f"The largest training class has {counts.max()} rows and the smallest {counts.min()}: "
        f"{counts.max() / counts.min():.0f} to 1.",
        fix='class_weight=dict(enumerate(compute_class_weight("balanced", classes=np.unique(y), y=y)))',
        evidence={
            "training_counts": split_codes.counts("train").tolist(),
            "imbalance": float(counts.max() / counts.min()),
        },
    )


@class_imbalance.proof
def rare_classes_recognised(
    finding: Finding,
    split_codes: SplitCodes,
    served: Served,
    run: Run,
    balanced_probe: Probe | None = None,
    *,
    imbalance: float = 10.0,
    neglected: float = 0.5,
    minimum_rows: int = 5,
    gain: float = 0.05,
    significance: float = 0.01,
) -> Finding | None:
    counts = split_codes.counts("train")
    if len(counts) > served.classes:
        return finding
    rare = np.flatnonzero((counts > 0) & (counts * imbalance <= counts.max()))
    rows = {code: np.flatnonzero(served.truth == code) for code in rare.tolist()}
    recalls = {
        code: float(np.mean(served.decision[found] == code))
        for code, found in rows.items()
        if len(found) >= minimum_rows
    }
    if not recalls:
        return finding
    worst = min(recalls, key=lambda code: recalls[code])
    if recalls[worst] > neglected:
        return None
    hidden = not any(word in name.lower() for name in run.metrics for word in TELLING)
    told = replace(
        finding,
        message=f"{finding.message} Class {split_codes.classes[worst]} is recognised in {recalls[worst]:.0%} of its "
        f"{len(rows[worst])} {'held-out' if served.held_out else 'training'} rows while accuracy is "
        f"{served.accuracy:.3f}.",
        severity=Severity.WARN if hidden else Severity.INFO,
        evidence={**finding.evidence, "recall_of_rare_classes": recalls, "accuracy": served.accuracy},
        proof=Proof(
            Grade.C,
            "recall of the rare classes",
            metric="balanced accuracy",
            before=served.balanced_accuracy,
            n=served.rows,
        ),
    )
    if balanced_probe is None or not balanced_probe.held_out:
        return told
    if balanced_probe.gain < gain or balanced_probe.p_value >= significance:
        return told
    return replace(
        told,
        severity=Severity.ERROR if hidden else Severity.WARN,
        proof=Proof(
            Grade.B,
            balanced_probe.name,
            metric="balanced accuracy",
            before=balanced_probe.served_balanced_accuracy,
            after=balanced_probe.balanced_accuracy,
            n=balanced_probe.rows,
            p_value=balanced_probe.p_value,
        ),
    )
