from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged, lowest
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

ONE_SIDED = ("sigmoid", "softmax", "hard_sigmoid", "relu", "relu6", "softplus", "exponential")


@check(severity=Severity.WARN, explains=("stuck-loss", "uncalibrated-probabilities", "threshold-on-wrong-scale"))
def hinge_mismatch(head: Head, labels: Labels | None = None, history: History | None = None) -> Iterator[Finding]:
    """A hinge loss is given outputs that cannot go negative.

    ## Why it matters
    Hinge wants -1 or less for one class and 1 or more for the other. A sigmoid, softmax or relu never goes below 0, so
    every row of class -1 costs at least 1 for ever, and the output has nothing to do with a margin.

    ## How it is detected
    Statically: such an activation last, under hinge or squared hinge. Labels 0 and 1 are fine: Keras takes them for -1
    and 1 itself.

    ## Proof
    The lowest logged loss, which cannot be below the share of class -1.

    ## Fix
    `Dense(1)` without an activation, or tanh; decide at 0.

    ```diff
    - model.add(keras.layers.Dense(1, activation="sigmoid"))
    + model.add(keras.layers.Dense(1, activation="tanh"))
      model.compile("adam", "hinge")
    ```

    ## When it is legitimate
    Categorical hinge, which compares units with each other.
    """
    loss = head.loss
    if loss is None or not loss.is_hinge or loss.name == "categorical_hinge" or head.opaque:
        return
    if head.activation not in ONE_SIDED:
        return
    given = None if labels is None else labels.whole or labels.train
    least = lowest(*logged(history, head))
    floor = None
    if given is not None and head.units == 1 and given.form in ("integer", "boolean") and len(given.classes) == 2:
        floor = float(np.mean(given.codes == given.classes[0]))
    held = floor is not None and least is not None and least >= 0.98 * floor
    yield Finding(
        f"{loss.label.capitalize()} wants outputs of either sign, but {head.activation} gives none below 0"
        + (f": the loss cannot fall below {floor:.3g}." if floor else "."),
        fix="Dense(1) without an activation, decide at 0",
        evidence={"activation": head.activation, "loss": loss.name, "floor": floor, "lowest_loss": least},
        proof=Proof(Grade.A, f"the loss has stayed above its floor of {floor:.3g}", "loss", least) if held else None,
    )
