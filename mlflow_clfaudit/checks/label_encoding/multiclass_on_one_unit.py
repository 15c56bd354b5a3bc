from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import binary_crossentropy, binary_crossentropy_of_logits, logged, lowest
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.BLOCKER,
    explains=(
        "binary-labels-not-01",
        "constant-prediction",
        "majority-accuracy",
        "loss-accuracy-divergence",
        "stuck-loss",
        "learning-rate-too-high",
    ),
)
def multiclass_on_one_unit(head: Head, labels: Labels, history: History | None = None) -> Iterator[Finding]:
    """Three or more classes share one output unit, which can tell two apart.

    ## Why it matters
    One sigmoid gives one number between 0 and 1. Labels 2, 3 and on are not further classes to it but targets that it
    can never reach: binary cross-entropy goes below 0 and the unit is driven to 1 for every row.

    ## How it is detected
    One unit under binary cross-entropy, and three or more integer classes among the training labels. A logged loss
    that never went below 0 says that fit() was given two classes; then it takes the logged validation loss to be that
    of the labels as they are.

    ## Proof
    The negative loss, or the logged validation loss that these labels and the saved weights reproduce.

    ## Fix
    `Dense(K, activation="softmax")` with `loss="sparse_categorical_crossentropy"`

    ```diff
    - model.add(keras.layers.Dense(1, activation="sigmoid"))
    - model.compile("adam", "binary_crossentropy")
    + model.add(keras.layers.Dense(3, activation="softmax"))
    + model.compile("adam", "sparse_categorical_crossentropy")
    ```

    ## When it is legitimate
    Ordered classes on a linear unit with a squared loss. One class against the rest, where fit() was given `y == k`.
    """
    loss, given = head.loss, labels.whole or labels.train or labels.validation
    if loss is None or given is None or not loss.is_binary or head.units != 1 or head.rank > 2:
        return
    if given.form != "integer" or len(given.classes) < 3:
        return
    least = lowest(*logged(history, head))
    finding = Finding(
        f"{len(given.classes)} classes share one output unit, which can tell two apart.",
        fix=f'Dense({len(given.classes)}, activation="softmax"), loss="sparse_categorical_crossentropy"',
        evidence={"classes": len(given.classes), "units": 1, "largest": int(given.classes[-1])},
    )
    if least is None:
        yield replace(finding, severity=Severity.WARN)
        return
    if least >= -1e-6:
        yield replace(finding, severity=Severity.INFO, variant="unconfirmed", explains=("binary-labels-not-01",))
        return
    yield replace(
        finding,
        message=f"{len(given.classes)} classes share one output unit, and the loss falls to {least:.4g}, below 0.",
        evidence={**finding.evidence, "lowest_loss": least},
        proof=Proof(Grade.A, "a cross-entropy below 0 has labels outside of 0 to 1", metric="loss", before=least),
    )


@multiclass_on_one_unit.proof
def loss_of_these_labels(
    finding: Finding,
    head: Head,
    served: Served,
    evaluation_rows: Rows,
    history: History | None = None,
    feature_probe: Probe | None = None,
    *,
    tolerance: float = 0.02,
) -> Finding | None:
    """Raise the suspicion where the raw labels give the logged validation loss, drop it where they do not."""
    assert head.loss is not None  # noqa: S101 - the check fires on a known loss only
    _, validation = logged(history, head)
    if finding.variant != "unconfirmed":
        return finding
    if validation is None or not len(validation) or served.rows != evaluation_rows.count or not served.held_out:
        return None
    formula = binary_crossentropy_of_logits if head.loss.from_logits else binary_crossentropy
    loss = formula(evaluation_rows.labels.codes.astype(np.float64), served.outputs[:, 0])
    nearest = float(validation[np.argmin(np.abs(validation - loss))])
    if abs(nearest - loss) > tolerance * max(abs(loss), 0.05):
        return None
    proof = Proof(
        Grade.A,
        "binary cross-entropy of the raw labels on the saved weights is the logged validation loss",
        metric="validation loss",
        before=nearest,
        n=served.rows,
    )
    better = feature_probe.balanced_accuracy if feature_probe is not None else None
    return replace(
        finding,
        severity=Severity.BLOCKER,
        proof=proof,
        evidence={**finding.evidence, "refit_balanced_accuracy": better},
    )
