from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.history import LOG_HISTORY, ConstantOutput, History, RowCounts
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.splits import SplitCodes
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

FIX = "train_test_split(X, y, stratify=y), then fit(..., validation_data=(X_val, y_val))"


@check(severity=Severity.ERROR, explains=("class-missing-from-split", "class-shift"))
def single_class_validation(
    split_codes: SplitCodes | None = None,
    history: History | None = None,
    constant_output: ConstantOutput | None = None,
    row_counts: RowCounts | None = None,
    *,
    minimum_rows: int = 5,
) -> Iterator[Finding]:
    """The rows held out for validation hold one class, so every number measured on them is void.

    ## Why it matters
    On rows of one class, accuracy is the recall of that class: a net that always answers it scores 1.0. AUC is not
    defined there, and early stopping or model selection by such a curve choose nothing.

    ## How it is detected
    By counting: the held-out labels hold one class while the training labels hold several. Without labels the curves
    can tell: the validation accuracy is 1.0 (or 0.0) in every epoch, the training accuracy stands still below 1, and
    one and the same output for every row explains both losses.

    ## Proof
    The class counts. Where the model and its training rows were logged, the balanced accuracy on rows of every class
    stands beside the validation accuracy.

    ## Fix
    `train_test_split(..., stratify=y)` and `fit(..., validation_data=...)`.

    ```diff
    - model.fit(X, y, validation_split=0.2)  # sorted by class
    + X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.2, stratify=y)
    + model.fit(X_train, y_train, validation_data=(X_val, y_val))
    ```

    ## When it is legitimate
    Monitoring slices of one class, and one-class detection, where the training labels hold one class too.

    ## Measured
    On the numbers that seed 004 printed, without labels: an accuracy of 603/653 throughout, a validation loss of .0192,
    which a constant output of .139 gives, and from it a training loss of .0746 where .0745 was printed.
    1,000 random honest splits (2 to 100 classes, 50 to 50,000 rows): 2, both of small sets that one class dominates.
    """
    if split_codes is None and history is None:
        raise Missing("the run has neither labels nor curves", LOG_HISTORY)
    if split_codes is not None and "train" in split_codes.codes and len(split_codes.codes) > 1:
        yield from _counted(split_codes, minimum_rows)
    elif constant_output is not None:
        rows = f"{row_counts.validation} " if row_counts is not None and row_counts.validation else ""
        yield Finding(
            f"Validation accuracy is {constant_output.validation_accuracy:.1f} in every epoch while training accuracy "
            f"stands at {constant_output.accuracy:.4f}, and one output of {constant_output.value:.3f} for every row "
            f"explains both losses: the {rows}validation rows hold one class.",
            fix=FIX,
            evidence={"from": "history", **vars(constant_output)},
            proof=Proof(Grade.C, "the training loss that follows from the validation loss of one constant output"),
        )


def _counted(split_codes: SplitCodes, minimum_rows: int) -> Iterator[Finding]:
    train = split_codes.counts("train")
    if np.sum(train > 0) < 2:
        return
    for split in ("validation", "test"):
        codes = split_codes.codes.get(split)
        if codes is None or len(codes) < minimum_rows or len(np.unique(codes)) > 1:
            continue
        only = int(codes[0])
        total, others = int(train.sum()) + len(codes), int(train.sum() - train[only])
        chance = measures.chance_of_absence(total, others, len(codes))
        yield Finding(
            f"All {len(codes)} {split} rows are of class {split_codes.classes[only]}; the training rows hold "
            f"{int(np.sum(train > 0))} classes. A random split would do so with probability {chance:.1g}.",
            fix=FIX,
            severity=Severity.ERROR if split == "validation" else Severity.WARN,
            evidence={"split": split, "rows": len(codes), "training_counts": train.tolist(), "chance": chance},
        )


@single_class_validation.proof
def on_rows_of_every_class(
    finding: Finding, history: History | None = None, served_train: Served | None = None
) -> Finding:
    counted = Proof(Grade.A, f"the {finding.evidence['split']} labels, counted", n=finding.evidence["rows"])
    reported = history.validation_accuracy if history is not None else None
    if served_train is None or reported is None or finding.evidence["split"] != "validation":
        return replace(finding, proof=counted)
    return replace(
        finding,
        proof=counted,
        evidence={
            **finding.evidence,
            "validation_accuracy": float(reported[-1]),
            "balanced_accuracy_on_every_class": served_train.balanced_accuracy,
        },
    )
