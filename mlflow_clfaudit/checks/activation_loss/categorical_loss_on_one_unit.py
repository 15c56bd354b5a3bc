from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.losses import logged
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.BLOCKER,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "stuck-loss",
        "non-finite-loss",
        "no-gradient",
        "under-trained",
        "labels-out-of-range",
        "loss-accuracy-divergence",
    ),
)
def categorical_loss_on_one_unit(
    head: Head, history: History | None = None, labels: Labels | None = None, *, nothing: float = 1e-5
) -> Iterator[Finding]:
    """Categorical cross-entropy on one output unit is 0 whatever the weights are.

    ## Why it matters
    The loss divides the outputs by their sum; one output divided by itself is 1, and -ln(1) is 0. No gradient flows
    and nothing is learnt. Sparse categorical cross-entropy on one unit has no place for label 1.

    ## How it is detected
    Statically: one unit under categorical or sparse categorical cross-entropy. A logged loss that is not 0 says that
    the saved model was not the one that was fitted.

    ## Proof
    The logged loss, which is 0 from the first epoch on.

    ## Fix
    `loss="binary_crossentropy"` with `activation="sigmoid"`, or two units with softmax.

    ```diff
    - model.add(keras.layers.Dense(1, activation="softmax"))
    - model.compile("adam", "categorical_crossentropy")
    + model.add(keras.layers.Dense(1, activation="sigmoid"))
    + model.compile("adam", "binary_crossentropy")
    ```

    ## When it is legitimate
    Never.
    """
    loss = head.loss
    if loss is None or not loss.is_categorical or head.units != 1 or head.rank > 2:
        return
    curve, _ = logged(history, head)
    given = None if labels is None else labels.train
    if loss.is_sparse and given is not None and given.is_single_label and len(given.classes) < 2:
        return
    finite = curve is not None and len(curve) > 0
    if curve is not None and finite and not loss.is_sparse and bool(max(abs(curve)) > nothing):
        return
    flat = curve is not None and finite and not loss.is_sparse
    yield Finding(
        f"{loss.label.capitalize()} on one unit is 0 whatever the weights are, so nothing is learnt."
        if not loss.is_sparse
        else f"{loss.label.capitalize()} on one unit has a place for class 0 alone.",
        fix='loss="binary_crossentropy", activation="sigmoid"',
        evidence={"units": 1, "loss": loss.name},
        proof=Proof(Grade.A, "the logged loss is 0 from the first epoch on", metric="loss", before=float(curve[-1]))
        if flat and curve is not None
        else None,
    )
