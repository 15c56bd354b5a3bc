from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.BLOCKER,
    explains=(
        "constant-prediction",
        "majority-accuracy",
        "loss-accuracy-divergence",
        "stuck-loss",
        "served-loss-gap",
        "no-gradient",
    ),
)
def softmax_on_one_unit(head: Head) -> Iterator[Finding]:
    """The output layer applies softmax to a single unit, so every prediction is 1.0.

    ## Why it matters
    Softmax divides each exponential by their sum; with one unit that is exp(z)/exp(z) = 1 whatever the weights are. On
    TensorFlow, Keras trains on the logits behind the softmax, so the loss falls as if all were well while accuracy
    stays at the share of class 1. Elsewhere the gradient is zero and no weight ever moves.

    ## How it is detected
    Statically: the axis that the softmax before the output normalises over has size 1. No data is needed.

    ## Proof
    The same weights with a sigmoid in place of the softmax, judged on the same rows.

    ## Fix
    `Dense(1, activation="sigmoid")` with `BinaryCrossentropy()`, or `Dense(2, activation="softmax")` with a categorical
    loss. A net trained on TensorFlow is rescued in place: `model.layers[-1].activation = keras.activations.sigmoid`.

    ```diff
    - model.add(keras.layers.Dense(1, activation="softmax"))
    + model.add(keras.layers.Dense(1, activation="sigmoid"))
    ```

    ## When it is legitimate
    Never at an output. A softmax over one key inside an attention layer is not this finding.
    """
    if head.activation == "softmax" and head.softmax_size == 1:
        yield Finding(
            "The output layer applies softmax to one unit, so every prediction is 1.0.",
            fix='Dense(1, activation="sigmoid")',
            evidence={"layer": head.layer, "activation": "softmax", "units": 1},
        )


@softmax_on_one_unit.repair
def sigmoid_head(head: Head) -> Mapping[str, Head]:
    return {"head": replace(head, activations=(*head.activations[:-1], "sigmoid"), softmax_size=None)}


@softmax_on_one_unit.proof
def sigmoid_on_the_same_weights(finding: Finding, served: Served, *, significance: float = 0.01) -> Finding:
    if served.logits is None or served.width != 1:
        raise Missing("the logits behind the softmax are not known")
    if served.outputs.min() < 1.0 - 1e-6:
        return finding
    after = served.decide(served.logits, 0.0)
    p_value = measures.accuracy_p_value(served.truth, served.decision, after)
    better = measures.balanced_accuracy(served.truth, after)
    identity = Proof(
        Grade.A,
        "every served output is 1.0",
        metric="balanced accuracy",
        before=served.balanced_accuracy,
        n=served.rows,
    )
    if p_value >= significance:
        return replace(finding, proof=identity)
    return replace(
        finding,
        evidence={**finding.evidence, "confusion_after": measures.confusion(served.truth, after, served.classes)},
        proof=replace(
            identity,
            how="every output is 1.0; sigmoid on the same weights",
            after=better,
            p_value=p_value,
        ),
    )
