from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mlflow_clfaudit.evidence.classes import ClassList
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO, explains=("output-width-mismatch",))
def labels_off_by_one(
    head: Head, labels: Labels, class_lists: tuple[ClassList, ...] | None = None
) -> Iterator[Finding]:
    """Classes are numbered from 1 on, so unit 0 of the output layer belongs to none of them.

    ## Why it matters
    StringLookup keeps place 0 for unknown words, and to_categorical makes a column for 0 that no row has. The net
    learns well, but a list of K names read by the number of the unit is then one place off for every class.

    ## How it is detected
    The training labels are exactly 1 to K and the output layer has K + 1 units, or the first column of the one-hot
    labels is empty. It is a warning where a list of K class names was logged beside them.

    ## Proof
    On held-out rows, unit 0 never wins.

    ## Fix
    `StringLookup(num_oov_indices=0)`, or `y - 1` with `Dense(K)`

    ```diff
    - y = keras.layers.StringLookup(vocabulary=names)(labels)
    + y = keras.layers.StringLookup(vocabulary=names, num_oov_indices=0)(labels)
    ```

    ## When it is legitimate
    A background or unknown class that has no training row.
    """
    given, loss = labels.whole or labels.train, head.loss
    if given is None or loss is None or not loss.is_categorical or head.units is None or head.rank > 2:
        return
    classes = _classes(given)
    if classes is None or len(classes) < 2 or classes[0] != 1 or classes[-1] != len(classes):
        return
    if head.units != len(classes) + 1:
        return
    named = next((item for item in class_lists or () if len(item.names) == len(classes)), None)
    yield Finding(
        f"The {len(classes)} classes are numbered from 1 on, and unit 0 of {head.units} belongs to none of them"
        + (f": the {len(named.names)} names in {named.source} are one place off." if named else "."),
        fix="StringLookup(num_oov_indices=0), or y - 1",
        severity=Severity.WARN if named else None,
        evidence={"classes": len(classes), "units": head.units, "names": None if named is None else len(named.names)},
    )


@labels_off_by_one.proof
def unit_0_never_wins(finding: Finding, served: Served) -> Finding:
    won = float(np.mean(served.decision == 0))
    how = "decisions for unit 0, counted"
    return replace(finding, proof=Proof(Grade.A, how, metric="share of rows", before=won, n=served.rows))


def _classes(labels: LabelSet) -> np.ndarray | None:
    return labels.classes if labels.form in ("integer", "one-hot") and not labels.has_missing else None
