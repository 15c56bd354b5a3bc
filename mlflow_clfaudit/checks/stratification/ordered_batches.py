from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.fit_arguments import FitArguments
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.splits import SplitCodes
from mlflow_clfaudit.evidence.trainings import Continued
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN)
def ordered_batches(
    fit: FitArguments, split_codes: SplitCodes, *, order: float = -5.0, single_class: float = 0.5, few: float = 0.5
) -> Iterator[Finding]:
    """The rows are sorted by class and `shuffle=False`, so that batches hold few of the classes.

    ## Why it matters
    Each batch pulls the net towards its own class, and the last batches of an epoch win. Batch normalisation sees the
    statistics of one class at a time.

    ## How it is detected
    `shuffle=False` among the fit() params, a runs test far below random order (z < -5), and batches that hold at most
    half as many classes as in random order, or at least half of them a single one.

    ## Proof
    The batches, cut as fit() cuts them. Where training on in random order, at the logged rate and for a tenth of the
    epochs, lifts U by .1, p < .01 in a paired t-test on the log losses, the harm is proven (B).

    ## Fix
    `fit(..., shuffle=True)`, which is Keras's default.

    ```diff
    - model.fit(X, y, shuffle=False)
    + model.fit(X, y)
    ```

    ## When it is legitimate
    Stateful recurrent nets and curricula. A net that is good all the same makes it information only.
    """
    if fit.shuffle is None:
        raise Missing("whether fit() shuffled is not among the params", "mlflow.keras.autolog() before fit")
    if fit.shuffle or "train" not in split_codes.codes:
        return
    codes, size = split_codes.codes["train"], fit.batch_size or 32
    z = measures.runs_test(codes)
    if z >= order or not 2 <= size < len(codes):
        return
    classes = np.array([len(np.unique(codes[start : start + size])) for start in range(0, len(codes), size)])
    share, held = float(np.mean(classes == 1)), float(np.mean(classes))
    expected = float(np.sum(1 - (1 - np.bincount(codes) / len(codes)) ** size))
    one_class = share >= single_class
    if not one_class and held > few * expected:
        return
    said = f"{share:.0%} of the {len(classes)} batches hold one class"
    if not one_class:
        said = f"a batch holds {held:.1f} classes; in random order it would hold {expected:.1f}"
    yield Finding(
        f"shuffle=False over rows that are ordered by class (runs test z = {z:.0f}): {said}.",
        fix="fit(..., shuffle=True)",
        evidence={"runs_z": z, "single_class_batches": share, "batches": len(classes), "classes_a_batch": held},
    )


@ordered_batches.proof
def batches_as_fit_cuts_them(
    finding: Finding,
    served: Served | None = None,
    continuation_trial: Continued | None = None,
    *,
    good: float = 0.9,
) -> Finding:
    if continuation_trial is not None and continuation_trial.informs():
        proof = continuation_trial.information_proof(
            f"training continued in random order, {continuation_trial.duration}"
        )
        said = f"{continuation_trial.duration} more in random order lift U {proof.before:.2f} → {proof.after:.2f}"
        return replace(finding, message=f"{finding.message[:-1]}; {said}.", proof=proof)
    harmless = served is not None and served.balanced_accuracy >= good
    return replace(
        finding,
        severity=Severity.INFO if harmless else finding.severity,
        proof=Proof(Grade.C, f"{finding.evidence['batches']} batches in the order of the rows"),
    )
