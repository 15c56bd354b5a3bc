from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.checks.label_encoding.permuted_labels import proof
from mlflow_clfaudit.evidence.classes import ClassList
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.permutation import Permutation
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.ERROR,
    explains=("permuted-labels", "class-shift", "class-missing-from-split", "baseline-wins", "overfit"),
)
def encoder_refit(
    labels: Labels,
    class_lists: tuple[ClassList, ...] | None = None,
    permutation: Permutation | None = None,
    train_permutation: Permutation | None = None,
    *,
    gain: float = 0.1,
    significance: float = 0.001,
    strength: float = 0.1,
) -> Iterator[Finding]:
    """The label encoder was fitted anew on another split, so the same number means different classes.

    ## Why it matters
    An encoder numbers the classes that it sees. Fitted on a split where a class is missing it gives every later class
    a smaller number, and one-hot columns of such a split are fewer. The model is judged against numbers that mean
    something else.

    ## How it is detected
    Saved encoders of two splits that list different classes; one-hot labels of two splits with different numbers of
    columns; or units that match the training labels as they are and the held-out ones only after a relabelling.

    ## Proof
    The lists or widths themselves; for a relabelling, the accuracy on rows that it was not found on.

    ## Fix
    `encoder.fit(y_train)` once, then `encoder.transform(y_test)`

    ```diff
      y_train = encoder.fit_transform(labels_train)
    - y_test = encoder.fit_transform(labels_test)
    + y_test = encoder.transform(labels_test)
    ```

    ## When it is legitimate
    Splits whose classes are disjoint by design.
    """
    lists = {item.split: item for item in class_lists or () if item.split is not None}
    train = lists.get("train")
    for split, other in lists.items():
        if train is None or split == "train" or other.names == train.names:
            continue
        if other.names != train.names[: len(other.names)]:
            yield _finding(
                f"The {split} labels were encoded by an encoder of their own: it lists {len(other.names)} classes, "
                f"that of the training labels {len(train.names)}, and the same numbers name different classes.",
                Proof(Grade.A, "the two saved class lists differ"),
                split,
            )
            return
    widths = {split: item.values.shape[1] for split, item in labels.splits.items() if item.form == "one-hot"}
    if len(set(widths.values())) > 1:
        shown = ", ".join(f"{split} {width}" for split, width in widths.items())
        yield _finding(
            f"The one-hot labels of the splits have different numbers of columns ({shown}): each split was encoded "
            "by itself.",
            Proof(Grade.A, "the number of columns differs"),
            min(widths, key=lambda split: widths[split]),
        )
        return
    found = permutation
    if found is None or train_permutation is None or not found.held_out or not train_permutation.is_identity:
        return
    if (
        found.is_strong(strength)
        and not found.is_identity
        and found.after - found.before >= gain
        and found.p_value < significance
    ):
        moved = int(np.sum(found.mapping != np.arange(len(found.mapping))))
        yield _finding(
            f"The model names the classes of the training rows rightly, but {moved} of {len(found.mapping)} classes of "
            "the held-out rows by other numbers: their labels were encoded anew.",
            proof(found),
            "held-out",
        )


def _finding(message: str, proof: Proof, split: str) -> Finding:
    return Finding(
        message,
        fix="encoder.fit(y_train) once, then encoder.transform(y_test)",
        evidence={"split": split},
        proof=proof,
    )
