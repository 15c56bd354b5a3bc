from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import scipy

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.inputs import RowHashes
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.splits import SplitCodes
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN)
def rows_in_both_splits(
    row_hashes: RowHashes | None = None,
    split_codes: SplitCodes | None = None,
    groups: Mapping[str, np.ndarray] | None = None,
    *,
    excess: float = 0.01,
    minimum_rows: int = 3,
    serious: float = 0.05,
    oversampled: float = 0.9,
    untouched: float = 0.1,
    same: float = 0.9,
) -> Iterator[Finding]:
    """Rows of the training set are in a held-out split too, so its metrics are too good.

    ## Why it matters
    The net has seen the answers. Rows duplicated or oversampled before the split do this, and so do groups (patients,
    users, sites) whose rows went to both sides.

    ## How it is detected
    The share of held-out rows that occur among the training rows, less the share of training rows that occur more than
    once among themselves (a table with few possible rows repeats them anywhere), is at least 1 %. Oversampling before
    the split shows as one class that repeats everywhere while the others do not. Where a column of groups was logged,
    held-out rows whose group trained too, although most groups were kept on one side.

    ## Proof
    The rows are equal. Where the model was logged, its accuracy on the shared rows stands beside that on the rest.

    ## Fix
    Drop duplicates, or split by record (`GroupKFold`), before anything is resampled.

    ```diff
      X, y = df[features], df["label"]
    - X_train, X_test, y_train, y_test = train_test_split(X, y)
    + train, test = next(GroupShuffleSplit(random_state=0).split(X, y, groups=df["record"]))
    + X_train, X_test, y_train, y_test = X.iloc[train], X.iloc[test], y.iloc[train], y.iloc[test]
    ```

    ## When it is legitimate
    Tables of low cardinality, and repeated measurements that will repeat in use as well.

    ## Measured
    Equal rows in float32 have equal hashes; 0 collisions among 1,000,000 random rows.
    """
    if row_hashes is None and groups is None:
        raise Missing("the run has neither inputs nor groups", 'mlflow.log_artifact("X_val.npy", "data")')
    yield from _shared_groups(groups or {})
    if row_hashes is None or "train" not in row_hashes.splits:
        return
    repeated = row_hashes.repeated("train")
    for split in ("validation", "test"):
        if split not in row_hashes.splits:
            continue
        shared = row_hashes.shared(split, "train")
        share, expected = float(shared.mean()), float(repeated.mean())
        by_class = _oversampled_class(split_codes, split, shared, repeated, oversampled, untouched)
        if shared.all() and len(shared) >= same * len(repeated):
            continue  # validation-is-training says so
        if shared.sum() < minimum_rows or (share - expected < excess and by_class is None):
            continue
        yield Finding(
            f"{int(shared.sum())} of {len(shared)} {split} rows ({share:.1%}) are training rows"
            + (
                f": class {by_class} was oversampled before the split."
                if by_class is not None
                else f"; {expected:.1%} of the training rows occur twice among themselves."
            ),
            fix="df.drop_duplicates() before train_test_split",
            severity=Severity.ERROR if by_class is not None or share - expected >= serious else Severity.WARN,
            variant="oversampled-before-split" if by_class is not None else None,
            evidence={"split": split, "shared": int(shared.sum()), "share": share, "repeated_in_training": expected},
        )


def _shared_groups(groups: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """Groups on both sides of a split that were meant to be kept apart: they were logged by split."""
    for split in ("validation", "test"):
        if not {"train", split} <= set(groups):
            continue
        shared = np.isin(groups[split], groups["train"])
        if not shared.any():
            continue
        yield Finding(
            f"{len(np.unique(groups[split][shared]))} groups have training rows and {split} rows: {shared.mean():.1%} "
            f"of the {len(shared)} {split} rows are of a group that the net was trained on.",
            fix="GroupShuffleSplit(test_size=0.2).split(X, y, groups)",
            variant="groups-in-both-splits",
            evidence={"split": split, "shared": int(shared.sum()), "share": float(shared.mean())},
            proof=Proof(Grade.A, "the logged groups of every row", n=len(shared)),
        )


def _oversampled_class(
    split_codes: SplitCodes | None,
    split: str,
    shared: np.ndarray,
    repeated: np.ndarray,
    oversampled: float,
    untouched: float,
) -> str | None:
    """The class whose held-out rows are copies of training rows while those of another class are not."""
    if split_codes is None or not {"train", split} <= set(split_codes.codes):
        return None
    train, held_out = split_codes.codes["train"], split_codes.codes[split]
    if len(train) != len(repeated) or len(held_out) != len(shared):
        return None
    copied = [
        (float(shared[held_out == code].mean()), float(repeated[train == code].mean()), code)
        for code in np.unique(held_out)
        if np.any(train == code) and np.sum(held_out == code) >= 5
    ]
    if not copied or min(copied)[0] > untouched or min(copied)[1] > untouched:
        return None
    worst = max(copied)
    return str(split_codes.classes[worst[2]]) if min(worst[:2]) >= oversampled else None


@rows_in_both_splits.proof
def shared_rows_beside_the_rest(
    finding: Finding, row_hashes: RowHashes, served: Served | None = None, *, significance: float = 0.01
) -> Finding:
    counted = Proof(Grade.A, "hashes of all rows", n=len(row_hashes.splits[finding.evidence["split"]]))
    shared = row_hashes.shared(finding.evidence["split"], "train")
    if served is None or served.split != finding.evidence["split"] or served.rows != len(shared) or shared.all():
        return replace(finding, proof=counted)
    right = served.decision == served.truth
    table = [[np.sum(right & shared), np.sum(~right & shared)], [np.sum(right & ~shared), np.sum(~right & ~shared)]]
    p_value = float(scipy.stats.fisher_exact(table, alternative="greater").pvalue)
    evidence = {
        **finding.evidence,
        "accuracy_on_shared_rows": float(right[shared].mean()),
        "accuracy_on_other_rows": float(right[~shared].mean()),
    }
    worse = p_value < significance
    return replace(
        finding,
        severity=Severity.ERROR if worse else finding.severity,
        evidence=evidence,
        proof=replace(counted, p_value=p_value if worse else None),
    )
