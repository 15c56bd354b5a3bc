from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.classes import ClassList
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.WARN, explains=("permuted-labels",))
def class_names_misordered(class_lists: tuple[ClassList, ...]) -> Iterator[Finding]:
    """The list of class names is not in the order of the encoder's codes.

    ## Why it matters
    Reports and predictions are read through that list. In another order every name stands for another class, while all
    numbers look right.

    ## How it is detected
    A saved encoder and a logged list of names hold the same classes in different orders.

    ## Proof
    The two lists.

    ## Fix
    `class_names = list(encoder.classes_)`

    ```diff
    - class_names = ["dog", "cat"]
    + class_names = list(encoder.classes_)
    ```

    ## When it is legitimate
    A list that is for display only and is never indexed by a prediction.
    """
    encoder = next((item for item in class_lists if item.is_encoder and item.split in (None, "train")), None)
    if encoder is None:
        return
    for other in class_lists:
        if other is encoder or other.split not in (None, "train") or other.names == encoder.names:
            continue
        if sorted(other.names) != sorted(encoder.names):
            continue
        moved = sum(one != two for one, two in zip(encoder.names, other.names, strict=True))
        yield Finding(
            f"{other.source} lists the classes in another order than the encoder in {encoder.source}: {moved} of "
            f"{len(encoder.names)} names stand for another class{_how(other.names, encoder.names)}.",
            fix="class_names = list(encoder.classes_)",
            evidence={"moved": moved, "classes": len(encoder.names)},
            proof=Proof(Grade.A, "the two lists compared", metric="names in place", before=len(encoder.names) - moved),
        )
        return


def _how(names: tuple[str, ...], reference: tuple[str, ...]) -> str:
    """What the order of the names is, where it is one of the usual ones."""
    if list(names) == sorted(names):
        return " (it is sorted as text)"
    if all(name.lstrip("-").isdecimal() for name in names) and list(names) == sorted(names, key=int):
        return " (it is sorted by number)"
    return " (it is reversed)" if names == reference[::-1] else ""
