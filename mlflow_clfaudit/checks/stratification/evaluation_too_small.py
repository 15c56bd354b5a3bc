from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.splits import SplitCodes
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO)
def evaluation_too_small(
    split_codes: SplitCodes, history: History | None = None, *, half_width: float = 0.05, minimum_rows: int = 10
) -> Iterator[Finding]:
    """The held-out rows are too few for the accuracy measured on them to tell models apart.

    ## Why it matters
    A difference within the interval of the accuracy is no difference.

    ## How it is detected
    The 95 % Wilson interval of the logged held-out accuracy is wider than ±.05, or a class has fewer than ten held-out
    rows.

    ## Fix
    `RepeatedStratifiedKFold`, or a larger held-out set.

    ```diff
    - score = model.evaluate(X[:20], y[:20])
    + scores = cross_val_score(build, X, y, cv=RepeatedStratifiedKFold(n_splits=5, n_repeats=5))
    ```

    ## When it is legitimate
    Smoke runs, and small data that is all there is.
    """
    split = next((name for name in ("validation", "test") if name in split_codes.codes), None)
    if split is None:
        raise Missing("the run has no held-out labels")
    counts = split_codes.counts(split)
    rows, curve = int(counts.sum()), history.validation_accuracy if history is not None else None
    known = split == "validation" and curve is not None and len(curve) > 0 and 0 <= curve[-1] <= 1
    accuracy = float(curve[-1]) if known and curve is not None else 0.9
    low, high = measures.share_interval(round(accuracy * rows), rows)
    few = int(np.sum((counts > 0) & (counts < minimum_rows)))
    if (high - low) / 2 <= half_width and not few:
        return
    what = f"an accuracy of {accuracy:.2f} on them is known to ±{(high - low) / 2:.3f}"
    yield Finding(
        f"{rows} {split} rows: {what}" + (f", and {few} classes have fewer than {minimum_rows} rows." if few else "."),
        fix="RepeatedStratifiedKFold(n_splits=5, n_repeats=10)",
        evidence={"split": split, "rows": rows, "interval": [low, high], "classes_with_few_rows": few},
        proof=Proof(Grade.A, "Wilson interval", n=rows),
    )
