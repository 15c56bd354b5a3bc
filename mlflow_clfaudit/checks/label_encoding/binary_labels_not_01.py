from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.history import LOG_HISTORY, History
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged, lowest
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.BLOCKER,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "loss-accuracy-divergence",
        "non-finite-loss",
        "stuck-loss",
        "inverted-positive-class",
        "learning-rate-too-high",
    ),
)
def binary_labels_not_01(head: Head, labels: Labels | None = None, history: History | None = None) -> Iterator[Finding]:
    """Binary cross-entropy was given labels other than 0 and 1.

    ## Why it matters
    Binary cross-entropy has a lowest value only for labels between 0 and 1. With 1 and 2, -1 and 1, or 0 and 255 it
    falls without end while the net learns to answer the same for every row: with 1 and 2 the gradient pushes every
    output up.

    ## How it is detected
    A logged loss below 0 is enough: no labels in [0, 1] give one. Labels outside of [0, 1] without a loss curve are a
    suspicion, and where the logged loss never went below 0 the labels were encoded before fit() and nothing is said.

    ## Proof
    The negative loss itself.

    ## Fix
    `y = (y == positive).astype("float32")`

    ```diff
    - model.fit(X, y)  # y is 1 and 2
    + model.fit(X, (y == 2).astype("float32"))
    ```

    ## When it is legitimate
    hinge and tanh with squared error want -1 and 1; soft labels and label smoothing stay within [0, 1].
    """
    loss = head.loss
    if loss is None or not loss.is_binary:
        return
    curve, validation = logged(history, head)
    given = None if labels is None else labels.whole or labels.train or labels.validation
    if given is None and curve is None:
        raise Missing("the run has neither labels nor a loss curve", LOG_HISTORY)
    least = lowest(curve, validation)
    outside = _outside(given)
    if least is not None and least < -1e-6:
        shown = f" (labels are {_shown(given)})" if given is not None and outside else ""
        yield Finding(
            f"The logged loss falls to {least:.4g}, which {loss.label} of labels in 0 to 1 cannot do{shown}.",
            fix='y = (y == positive).astype("float32")',
            evidence={"lowest_loss": least, **_numbers(given)},
            proof=Proof(Grade.A, "a cross-entropy below 0 has labels outside of 0 to 1", metric="loss", before=least),
        )
    elif given is not None and outside and least is None:
        yield Finding(
            f"Binary cross-entropy wants labels 0 and 1, but the logged ones are {_shown(given)}.",
            fix='y = (y == positive).astype("float32")',
            severity=Severity.WARN,
            evidence=_numbers(given),
        )


@binary_labels_not_01.proof
def one_answer_for_every_row(finding: Finding, served: Served, *, learnt: float = 0.7) -> Finding | None:
    """Labels outside of [0, 1] leave a net that answers alike; one that tells the classes apart was given others."""
    return None if served.balanced_accuracy >= learnt else finding


def _outside(labels: LabelSet | None) -> bool:
    if labels is None or labels.values.dtype.kind not in "fiu":
        return False
    low, high = labels.span
    return low < 0.0 or high > 1.0


def _shown(labels: LabelSet) -> str:
    low, high = labels.span
    if labels.form == "integer" and len(labels.classes) <= 4:
        *first, last = (f"{code:g}" for code in labels.classes.tolist())
        return f"{', '.join(first)} and {last}" if first else last
    return f"{low:g} to {high:g}"


def _numbers(labels: LabelSet | None) -> dict[str, float]:
    if labels is None or labels.values.dtype.kind not in "fiu":
        return {}
    low, high = labels.span
    return {"smallest": low, "largest": high, "classes": len(labels.classes)}
