from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged, unlike
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

CANNOT_BROADCAST = ("ctc", "circle", "dice", "tversky")


@check(
    severity=Severity.BLOCKER,
    explains=("stuck-loss", "constant-prediction", "majority-accuracy", "regression-loss", "under-trained"),
)
def broadcast_loss(
    head: Head,
    labels: Labels,
    served: Served | None = None,
    evaluation_rows: Rows | None = None,
    history: History | None = None,
    *,
    tolerance: float = 0.02,
) -> Iterator[Finding]:
    """The loss compares labels and outputs of different shapes, each label with every unit.

    ## Why it matters
    A squared error of labels (N, 1) and outputs (N, C) is stretched to (N, C): every unit is told to equal the class
    number. With one-hot labels (N, C) and one unit, the unit is told to be 0 and 1 at once and settles on 1/C.
    Cross-entropies refuse such shapes, regression and hinge losses do not.

    ## How it is detected
    Integer labels and several units, or one-hot labels and one unit, under a loss that broadcasts. Labels may have
    been encoded after they were logged, so it is decided by the logged validation loss: the stretched formula gives it
    on the saved weights and the aligned one does not. Without rows it is a warning, and only where the labels are
    stored as (N, 1), since Keras refuses (N,).

    ## Proof
    The stretched formula on the saved weights, equal to the logged validation loss.

    ## Fix
    `y = keras.utils.to_categorical(y)`, or labels (N, 1) for one unit.

    ```diff
    - model.fit(X, y)  # y of shape (N, 1) on Dense(3)
    + model.fit(X, keras.utils.to_categorical(y, 3))
    ```

    ## When it is legitimate
    Never for classes.
    """
    loss, given = head.loss, labels.validation or labels.whole or labels.train
    if loss is None or given is None or head.units is None or head.rank > 2 or head.opaque:
        return
    if not loss.known or loss.is_cross_entropy or loss.name in CANNOT_BROADCAST or loss.name == "categorical_hinge":
        return
    wide = head.units > 1 and given.form in ("integer", "boolean") and not given.has_missing
    narrow = head.units == 1 and given.form == "one-hot"
    if not wide and not narrow:
        return
    shapes = f"(N, 1) and outputs (N, {head.units})" if wide else f"(N, {given.values.shape[1]}) and outputs (N, 1)"
    finding = Finding(
        f"{loss.label.capitalize()} compares labels {shapes}: each label with every unit.",
        fix="y = keras.utils.to_categorical(y)" if wide else "y = y.argmax(axis=1)[:, None]",
        evidence={"units": head.units, "loss": loss.name},
    )
    _, validation = logged(history, head)
    stretched = aligned = None
    if served is not None and evaluation_rows is not None and served.rows == evaluation_rows.count and served.held_out:
        stretched, aligned = _both(head, served, evaluation_rows.labels, wide)
    if stretched is None or validation is None or not len(validation):
        if wide and given.column:
            yield Finding(finding.message, fix=finding.fix, evidence=finding.evidence, severity=Severity.WARN)
        return
    nearest = float(validation[np.argmin(np.abs(validation - stretched))])
    if abs(nearest - stretched) > tolerance * max(abs(stretched), 1e-3):
        return
    if aligned is not None and abs(nearest - aligned) <= abs(nearest - stretched):
        return
    yield Finding(
        finding.message,
        fix=finding.fix,
        evidence={**finding.evidence, "stretched": stretched, "aligned": aligned},
        proof=Proof(
            Grade.A,
            "the stretched formula on the saved weights gives the logged validation loss",
            metric="validation loss",
            before=nearest,
            n=served.rows if served is not None else None,
        ),
    )


def _both(head: Head, served: Served, labels: LabelSet, wide: bool) -> tuple[float | None, float | None]:
    """The loss of stretched shapes and that of labels as the units would want them."""
    assert head.loss is not None  # noqa: S101 - the check fires on a known loss only
    if wide:
        stretched = unlike(head.loss, labels.codes[:, None], served.outputs)
        return stretched, unlike(
            head.loss, np.eye(served.width)[np.minimum(served.truth, served.width - 1)], served.outputs
        )
    stretched = unlike(head.loss, np.asarray(labels.values), served.outputs)
    return stretched, unlike(head.loss, served.truth[:, None], served.outputs)
