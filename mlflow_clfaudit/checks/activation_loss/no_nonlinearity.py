from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.keras_kinds import AVERAGING, SCALING, SHAPING
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.spec import Layer, Spec
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

LINEAR_MAPS = {"Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2D", "SeparableConv2D"}
BETWEEN = SHAPING | AVERAGING | SCALING | {"BatchNormalization", "ZeroPadding2D", "Activation"}


@check(severity=Severity.WARN, explains=("baseline-wins",))
def no_nonlinearity(spec: Spec) -> Iterator[Finding]:
    """Layers follow each other without a non-linear function between them, so they can do no more than one of them.

    ## Why it matters
    A weighted sum of weighted sums is a weighted sum. Without an activation the hidden layers add parameters and slow
    the training down, but the model stays a linear classifier.

    ## How it is detected
    Statically: a Dense or convolution layer without activation whose result reaches the next such layer through
    nothing but reshaping, scaling, averaging, dropout or batch normalisation. Narrow layers that factor a wider one
    are left out. It is a warning where the whole net is linear up to its output, else info.

    ## Proof
    A forest against the served decision on the same rows. Where it is no better than a linear classifier, a
    linear model is enough for these rows: info.

    ## Fix
    `Dense(…, activation="relu")`

    ```diff
    - model.add(keras.layers.Dense(64))
    + model.add(keras.layers.Dense(64, activation="relu"))
    ```

    ## When it is legitimate
    Low-rank factorisation, projections, layers before an activation or normalisation of their own.
    """
    by_name = {layer.name: layer for layer in spec.layers}
    pairs = [(before, layer) for layer in spec.layers if (before := _linear_before(layer, by_name)) is not None]
    if not pairs:
        return
    whole = _is_linear(spec)
    first, second = pairs[0]
    yield Finding(
        f"{first.name} and {second.name} follow each other without an activation between them"
        + (": the whole net is a linear classifier." if whole else ", so they can do no more than one layer."),
        fix='Dense(…, activation="relu")',
        severity=None if whole else Severity.INFO,
        variant="whole-net" if whole else "pair",
        evidence={"pairs": [[one.name, other.name] for one, other in pairs[:10]]},
    )


@no_nonlinearity.proof
def trees_against_the_net(
    finding: Finding, input_probe: Probe, tree_probe: Probe, *, gain: float = 0.05, significance: float = 0.01
) -> Finding:
    p_value = measures.accuracy_p_value(tree_probe.truth, input_probe.decision, tree_probe.decision)
    better = tree_probe.balanced_accuracy - input_probe.balanced_accuracy
    if better < gain or p_value >= significance:
        return replace(
            finding,
            severity=Severity.INFO,
            unproven="a forest does no better than a linear classifier on these rows",
        )
    return replace(
        finding,
        proof=Proof(
            Grade.B,
            "a forest against a linear classifier on the same inputs",
            metric="balanced accuracy",
            before=input_probe.balanced_accuracy,
            after=tree_probe.balanced_accuracy,
            n=tree_probe.rows,
            p_value=p_value,
        ),
    )


def _linear_before(layer: Layer, by_name: dict[str, Layer]) -> Layer | None:
    """The layer without activation whose weighted sum this one sums again, if there is one."""
    if layer.kind not in LINEAR_MAPS or not layer.ours or len(layer.reads) != 1:
        return None
    before = by_name.get(layer.reads[0])
    passed: set[str] = set()
    while before is not None and before.kind in BETWEEN and before.ours:
        # A damaged file may name a layer twice, so that it reads itself.
        if before.activation != "linear" or len(before.reads) != 1 or before.name in passed:
            return None
        passed.add(before.name)
        before = by_name.get(before.reads[0])
    if before is None or before.kind not in LINEAR_MAPS or before.activation != "linear" or not before.ours:
        return None
    narrow = before.units is not None and layer.units is not None and before.units < layer.units
    wide_input = before.input_shape[-1] if before.input_shape else None
    factored = narrow and wide_input is not None and before.units is not None and before.units < wide_input
    return None if factored or before.wrapper or layer.wrapper else before


def _is_linear(spec: Spec) -> bool:
    """Whether nothing before the output activation is non-linear."""
    heads = {head.name for head in spec.heads} | {head.layer for head in spec.heads}
    allowed = LINEAR_MAPS | BETWEEN | {"InputLayer", "Normalization", "Softmax", "Sigmoid"}
    return all(
        layer.ours and layer.kind in allowed and (layer.activation == "linear" or layer.name in heads)
        for layer in spec.layers
    )
