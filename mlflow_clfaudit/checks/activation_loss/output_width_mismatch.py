from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO, explains=("labels-off-by-one",))
def output_width_mismatch(head: Head, labels: Labels) -> Iterator[Finding]:
    """The output layer has more units than there are classes in the training labels.

    ## Why it matters
    A unit without a single training row is only ever pushed down. It is harmless until it is predicted, or until names
    are read by the number of the unit.

    ## How it is detected
    More softmax or logit units than classes, and units that no training label names.

    ## Proof
    On held-out rows: how often a unit without training rows wins. One row in a hundred or more makes it an error.

    ## Fix
    `Dense(len(encoder.classes_), activation="softmax")`

    ```diff
    - model.add(keras.layers.Dense(100, activation="softmax"))
    + model.add(keras.layers.Dense(len(encoder.classes_), activation="softmax"))
    ```

    ## When it is legitimate
    Reserved or unknown classes, heads of pretrained models, a subset of the classes. Unpredicted they stay info.
    """
    given = labels.whole or labels.train
    loss = head.loss
    if loss is None or not loss.is_categorical or head.units is None or head.rank > 2 or given is None:
        return
    if not given.is_single_label or given.form == "string" or given.has_missing or head.units < 2:
        return
    classes = given.classes
    if len(classes) < 2 or classes[0] < 0 or classes[-1] >= head.units or len(classes) == head.units:
        return
    idle = np.setdiff1d(np.arange(head.units), classes)
    yield Finding(
        f"The output layer has {head.units} units for {len(classes)} classes: {len(idle)} have no training row.",
        fix=f'Dense({len(classes)}, activation="softmax")',
        evidence={"units": head.units, "classes": len(classes), "idle": idle[:20].tolist()},
    )


@output_width_mismatch.proof
def idle_units_that_win(
    finding: Finding, head: Head, labels: Labels, served: Served, *, share: float = 0.01
) -> Finding:
    given = labels.whole or labels.train
    assert given is not None  # noqa: S101 - the check fires on known labels only
    assert head.units is not None  # noqa: S101 - and on a known number of units
    idle = np.setdiff1d(np.arange(head.units), given.classes)
    won = float(np.mean(np.isin(served.decision, idle)))
    harmful = won >= share
    shown = f" They win {won:.1%} of {served.where}." if harmful else " None of them wins." if won == 0 else ""
    return replace(
        finding,
        message=finding.message + shown,
        severity=Severity.ERROR if harmful else Severity.INFO,
        evidence={**finding.evidence, "share_predicted": won},
        proof=Proof(
            Grade.A, "decisions for units without a training row, counted", "share of rows", won, n=served.rows
        ),
    )
