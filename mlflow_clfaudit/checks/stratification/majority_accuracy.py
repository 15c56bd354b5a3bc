from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.history import LOG_HISTORY, ConstantOutput, History, RowCounts
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.splits import SplitCodes
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.SYMPTOM, unexplained=Severity.WARN)
def majority_accuracy(
    served: Served | None = None,
    split_codes: SplitCodes | None = None,
    history: History | None = None,
    constant_output: ConstantOutput | None = None,
    row_counts: RowCounts | None = None,
    *,
    significance: float = 0.05,
    one_class: float = 0.99,
    minimum_rows: int = 20,
) -> Iterator[Finding]:
    """The accuracy is no better than always answering the largest class.

    ## Why it matters
    It looks like a score and is a class share. It is never the cause of anything: another finding says why.

    ## How it is detected
    At least 99 % of the predictions are one class, and an exact one-sided binomial test of the right answers against
    the share of the largest class gives p > .05. Without a model: the logged accuracy stands at that share, to one
    row. Without labels too: accuracies that never move and losses that one output for every row explains.

    ## Fix
    See the finding that it is listed under.

    ## When it is legitimate
    Never as a result; as a symptom it counts for nothing by itself.

    ## Measured
    Seed 002: 608 of 970, p = .51. Seed 004, from its log alone: 603 of 653.
    """
    if served is None and history is None:
        raise Missing("the run has neither a model with rows to judge it on nor curves", LOG_HISTORY)
    if served is not None:
        yield from _predicted(served, significance, one_class, minimum_rows)
    elif split_codes is not None and history is not None:
        yield from _logged(split_codes, history, minimum_rows)
    elif constant_output is not None:
        rows = row_counts.train if row_counts is not None else None
        count = f", {round(constant_output.accuracy * rows)} of {rows} rows" if rows else ""
        yield Finding(
            f"Training accuracy stands at {constant_output.accuracy:.4f}{count}: by the losses, every row gets the "
            f"same output of {constant_output.value:.3f}, so this is the share of the largest class.",
            evidence={"from": "history", "accuracy": constant_output.accuracy, "rows": rows},
            proof=Proof(Grade.C, "one output for every row explains both losses"),
        )


def _predicted(served: Served, significance: float, one_class: float, minimum_rows: int) -> Iterator[Finding]:
    largest = float(served.shares.max())
    if served.rows < minimum_rows or largest == 1.0:
        return
    predicted = np.bincount(served.decision, minlength=served.classes)
    correct = int(np.sum(served.decision == served.truth))
    p_value = measures.majority_p_value(correct, served.rows, largest)
    if predicted.max() < one_class * served.rows or p_value <= significance:
        return
    yield Finding(
        f"{correct} of {served.where} are right ({served.accuracy:.3f}), and the largest class has a share of "
        f"{largest:.3f}.",
        evidence={"correct": correct, "rows": served.rows, "largest_share": largest, "p_value": p_value},
        proof=Proof(Grade.A, "one class is predicted", metric="accuracy", before=served.accuracy, n=served.rows),
    )


def _logged(split_codes: SplitCodes, history: History, minimum_rows: int) -> Iterator[Finding]:
    for split, curve in (("validation", history.validation_accuracy), ("train", history.accuracy)):
        codes = split_codes.codes.get(split)
        if codes is None or curve is None or len(codes) < minimum_rows or len(curve) < 3:
            continue
        shares = np.bincount(codes) / len(codes)
        tail = curve[-max(3, len(curve) // 2) :]
        if shares.max() == 1.0 or not np.all(np.abs(tail - shares.max()) < 0.5 / len(codes)):
            continue
        yield Finding(
            f"The logged {split} accuracy stands at {tail[-1]:.4f}, the share of the largest class among the "
            f"{len(codes)} {split} rows.",
            evidence={"from": "labels and history", "accuracy": float(tail[-1]), "rows": len(codes)},
            proof=Proof(Grade.A, f"the logged accuracy equals the class share of the {split} labels", n=len(codes)),
        )
        return
