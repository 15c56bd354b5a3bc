from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Severity


@check(severity=Severity.SYMPTOM, unexplained=Severity.WARN)
def constant_prediction(
    served: Served,
    *,
    share: float = 0.999,
    spread: float = 1e-6,
    other: float = 0.01,
    few: int = 5,
    ranks: float = 0.75,
) -> Iterator[Finding]:
    """The model gives every row the same class.

    ## Why it matters
    Accuracy is then the share of that class, whatever the inputs are.

    ## How it is detected
    At least 99.9 % of the judged rows get one class although five rows and one in a hundred are of another, or the
    outputs of all rows lie within 1e-6.

    ## Fix
    That of the cause it is listed under.

    ## When it is legitimate
    A rare class whose calibrated probability never reaches the threshold: where the outputs rank the rows well (AUC
    of .75 and more) and tell more than the class shares do, it is a matter of the threshold and not reported here.
    """
    counts = np.bincount(served.decision, minlength=served.classes)
    top = int(np.argmax(counts))
    others = int(np.sum(served.truth != top))
    if others < max(few, other * served.rows) or served.rows < 2:
        return
    flat = bool(np.all(np.ptp(served.outputs, axis=0) < spread))
    if not flat:
        area, information = served.area_under_curve, served.information
        informed = area is not None and area >= ranks and information is not None and information >= 0.1
        if counts[top] < share * served.rows or informed:
            return
    finite = bool(np.all(np.isfinite(served.outputs)))
    said = ", with the same output for every row" if flat else ""
    if flat and served.width == 1:
        said = f", the output {served.outputs[0, 0]:.4g} for every row"
    yield Finding(
        f"{counts[top]} of {served.where} get class {top}{said}; {others} of them are of another class.",
        evidence={
            "class": top,
            "rows": int(counts[top]),
            "of": served.rows,
            "other_rows": others,
            "lowest_output": float(np.min(served.outputs)) if finite else None,
            "highest_output": float(np.max(served.outputs)) if finite else None,
        },
    )
