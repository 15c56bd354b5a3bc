from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.permutation import Permutation, cause
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

SHOWN = 20


@check(
    severity=Severity.ERROR,
    explains=("inverted-positive-class", "baseline-wins", "majority-accuracy", "threshold-off", "misaligned-rows"),
)
def permuted_labels(
    permutation: Permutation,
    train_permutation: Permutation | None = None,
    labels: Labels | None = None,
    *,
    gain: float = 0.1,
    significance: float = 0.001,
    strength: float = 0.1,
) -> Iterator[Finding]:
    """The model tells the classes apart but calls them by each other's numbers.

    ## Why it matters
    The order in which classes were numbered for training is not the order in which they are read. Every metric is
    wrong by as much as the order is, while the model itself is good.

    ## How it is detected
    The matching of units to classes that fits one half of the rows best (Hungarian algorithm) is judged on the other
    half: accuracy must rise by at least `gain`, McNemar's test must be significant, and the relabelled probabilities
    must carry information (`strength`), since an under-trained net is right or wrong by luck; of answers without
    probabilities, the relabelled ones must be right far above chance. Only classes with ten rows or more are matched.
    The matching is compared with the usual ways to number classes, and the one that it equals is named.

    ## Proof
    The accuracy on the half that the matching was not found on, before and after.

    ## Fix
    `names = encoder.classes_[probabilities.argmax(axis=1)]`, with the encoder saved beside the model.

    ```diff
    - names = np.unique(labels_seen_today)[probabilities.argmax(axis=1)]
    + names = encoder.classes_[probabilities.argmax(axis=1)]
    ```

    ## When it is legitimate
    Clusters that were never meant to carry the labels' numbers; a remapping of labels that the scoring undoes.
    """
    found = permutation
    if found.is_identity or found.after - found.before < gain or found.p_value >= significance:
        return
    if not found.is_strong(strength):
        return
    if train_permutation is not None and found.held_out and train_permutation.is_identity:
        # Right on the training rows: the held-out labels were numbered anew, which is encoder-refit.
        return
    why = cause(found.mapping, labels)
    moved = [(unit, int(code)) for unit, code in enumerate(found.mapping) if unit != code]
    yield Finding(
        f"The model's classes are the labels' under other numbers{f' ({why})' if why else ''}: {len(moved)} of "
        f"{len(found.mapping)} classes are exchanged.",
        fix="names = encoder.classes_[probabilities.argmax(axis=1)]",
        variant=why,
        evidence={"mapping": dict(moved[:SHOWN]), "information": found.information, "moved": len(moved)},
        proof=proof(found),
    )


def proof(found: Permutation) -> Proof:
    """The accuracy on rows that the matching was not found on, before and after."""
    how = "units matched to classes on half of the rows, judged on the other half"
    return Proof(Grade.B, how, "accuracy", found.before, found.after, found.rows, found.p_value)
