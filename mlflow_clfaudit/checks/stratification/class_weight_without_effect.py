from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.weighting import ClassWeighting
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.ERROR, explains=("class-imbalance", "majority-accuracy", "constant-prediction", "baseline-wins")
)
def class_weight_without_effect(class_weighting: ClassWeighting, train_labels: LabelSet) -> Iterator[Finding]:
    """The class weights given to fit() never reach the rows that they are meant for.

    ## Why it matters
    Keras looks each label up in the dictionary and takes 1.0 where it finds nothing: text keys, keys that start at 1
    for labels that start at 0, and rows with several labels are ignored or mistaken without a word.

    ## How it is detected
    The weights of the rows are rebuilt as Keras builds them. They are all equal although different ones were declared,
    or a declared key matches no training label.

    ## Proof
    The rebuilt weights.

    ## Fix
    Integer keys from 0: `dict(enumerate(compute_class_weight("balanced", classes=np.unique(y), y=y)))`.

    ```diff
    - model.fit(X, y, class_weight={"cat": 1, "dog": 5})
    + model.fit(X, y, class_weight={0: 1, 1: 5})
    ```

    ## When it is legitimate
    Equal weights on purpose; a key for a class that the training rows happen to lack.

    ## Measured
    Keras 3.15's own function: text keys give 1.0 to every row, a key that no label has changes nothing, labels of .4
    and .6 are rounded, and a row [0, 0, 0] of several labels gets the weight of class 0.
    """
    if class_weighting.library != "Keras":
        raise Missing(f"{class_weighting.library} itself refuses class weights that match no class")
    declared = set(class_weighting.declared.values())
    if len(declared) < 2:
        return
    without = bool(np.ptp(class_weighting.effective) == 0)
    unmatched = class_weighting.unmatched
    multi_label = train_labels.form == "multi-hot"
    if not (without or unmatched or multi_label):
        return
    if without:
        what = f"every training row gets {class_weighting.effective[0]:g}"
        severity = Severity.ERROR
    elif multi_label:
        what = "rows with several labels get the weight of the first one only, and rows with none that of class 0"
        severity = Severity.WARN
    else:
        what = f"no training row has the label {', '.join(unmatched[:5])}"
        shifted = len(class_weighting.declared) == len(class_weighting.classes)
        severity = Severity.ERROR if shifted else Severity.INFO
    yield Finding(
        f"Of the declared class weights {_shown(class_weighting)}, {what}.",
        fix='class_weight=dict(enumerate(compute_class_weight("balanced", classes=np.unique(y), y=y)))',
        severity=severity,
        evidence={
            "declared": {str(key): weight for key, weight in class_weighting.declared.items()},
            "classes": class_weighting.classes.tolist(),
            "effective": class_weighting.effective.tolist(),
            "unmatched": unmatched,
        },
        proof=Proof(
            Grade.A, "the weights of the rows, built as Keras builds them", n=int(class_weighting.counts.sum())
        ),
    )


def _shown(weighting: ClassWeighting) -> str:
    items = [f"{key!r}: {weight:g}" for key, weight in list(weighting.declared.items())[:5]]
    return "{" + ", ".join(items) + (", …" if len(weighting.declared) > 5 else "") + "}"
