"""Reads backwards from an output of a Keras model which layer decides it and which activations stand behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mlflow_clfaudit.evidence.architecture import KNOWN_ACTIVATIONS, RECURRENT, Head, Layer
from mlflow_clfaudit.evidence.keras_kinds import AVERAGING, OPAQUE, PASSING, SCALING, WEIGHTED


def head_of(layers: Mapping[str, Layer], output: str) -> Head:
    """The head that ends in the layer named `output`."""
    chain: list[Layer] = []
    layer: Layer | None = layers[output]
    while layer is not None and layer.ours and layer.kind in PASSING and len(layer.reads) == 1:
        if layer in chain:
            raise ValueError("its layers read each other in a circle")
        chain.append(layer)
        layer = layers.get(layer.reads[0])
    if layer is None:
        layer = chain.pop()
    steps = [layer, *reversed(chain)]
    active = [place for place, step in enumerate(steps) if step.activation != "linear"]
    last = active[-1] if active else -1
    behind = steps[last + 1 :]
    softmax = next((place for place in reversed(active) if steps[place].activation == "softmax"), None)
    sizes = _sizes(steps)
    return Head(
        name=output,
        layer=layer.name,
        kind=layer.kind,
        units=sizes[-1],
        activations=tuple(steps[place].activation for place in active),
        after=tuple(step.name for step in behind if active and step.kind != "Identity") + _wrapped(steps, last),
        opaque=tuple(step.name for step in behind if _is_opaque(step, bool(active))) + _own(steps, last),
        softmax_size=None if softmax is None else _softmax_size(steps, softmax, sizes),
        softmax_axis=-1 if softmax is None else _axis(steps[softmax]),
        rank=_rank(steps),
        dtype=steps[-1].dtype if "dtype" in steps[-1].config else layer.dtype,
    )


def _wrapped(steps: Sequence[Layer], last: int) -> tuple[str, ...]:
    """The wrapper of the layer with the last activation, which stands behind that activation."""
    return (steps[last].name,) if last >= 0 and steps[last].wrapper else ()


def _own(steps: Sequence[Layer], last: int) -> tuple[str, ...]:
    """The layer with the last activation, where that is a function of the user's own."""
    known = last < 0 or steps[last].activation in KNOWN_ACTIVATIONS
    return () if known else (steps[last].name,)


def _is_opaque(step: Layer, active: bool) -> bool:
    """Whether the step changes values so that the file does not tell what the output is.

    Scaling a weighted sum leaves a weighted sum; scaling what an activation gave does not leave that activation.
    """
    if not step.ours or step.kind in OPAQUE or len(step.reads) > 1:
        return True
    if step.kind in SCALING:
        same = step.kind == "Rescaling" and step.config.get("scale") == 1 and step.config.get("offset") == 0
        return active and not same
    return step.kind not in PASSING | WEIGHTED | {"InputLayer"}


def _sizes(steps: Sequence[Layer]) -> list[int | None]:
    """The size of the last axis behind each step, None where the file does not tell."""
    sizes: list[int | None] = []
    size: int | None = None
    for place, step in enumerate(steps):
        following = steps[place + 1].input_shape if place + 1 < len(steps) else None
        if following:
            size = following[-1]
        elif place == 0 or step.kind not in PASSING:
            size = step.units or _last(step.input_shape, step.kind)
        elif step.kind == "Reshape":
            size = _reshaped(step)
        elif step.kind == "Flatten":
            known = step.input_shape[1:] if step.input_shape else ()
            size = math.prod(n for n in known if n) if known and all(known) else None
        elif step.kind in ("GetItem", "Permute", "Transpose", "Lambda") or (step.kind == "Squeeze" and size != 1):
            size = None
        sizes.append(size)
    return sizes


def _last(shape: tuple[int | None, ...] | None, kind: str) -> int | None:
    """Normalisation keeps the size of the last axis; of other layers without units it is not known."""
    return shape[-1] if shape and kind.endswith("Normalization") else None


def _reshaped(step: Layer) -> int | None:
    target = step.config.get("target_shape")
    if not isinstance(target, list) or not all(isinstance(n, int) for n in target):
        return None
    if not target:
        return 1
    if target[-1] != -1:
        return int(target[-1])
    known = step.input_shape[1:] if step.input_shape else ()
    rest = math.prod(target[:-1])
    return math.prod(n for n in known if n) // rest if known and all(known) and rest else None


def _axis(softmax: Layer) -> int:
    axis = softmax.config.get("axis", -1) if softmax.kind == "Softmax" else -1
    return axis if isinstance(axis, int) else -1


def _softmax_size(steps: Sequence[Layer], softmax: int, sizes: Sequence[int | None]) -> int | None:
    """The size of the axis that the softmax runs over, where the file tells."""
    step, axis = steps[softmax], _axis(steps[softmax])
    if softmax > 0 and step.input_shape and -len(step.input_shape) <= axis < len(step.input_shape):
        return step.input_shape[axis]
    return sizes[softmax - 1 if softmax > 0 else 0] if axis == -1 else None


def _rank(steps: Sequence[Layer]) -> int:
    """The number of axes of the output; 2 where the file does not tell."""
    first = steps[0]
    rank = len(first.input_shape) if first.input_shape else 2
    if first.kind in RECURRENT and not first.config.get("return_sequences"):
        rank -= 1
    for place, step in enumerate(steps[1:], start=1):
        if step.input_shape:
            rank = len(step.input_shape)
        target = step.config.get("target_shape")
        if step.kind == "Reshape" and isinstance(target, list):
            rank = 1 + len(target)
        elif step.kind == "Flatten" or (step.kind in AVERAGING and step.kind.startswith("Global")):
            rank = 2
        elif step.kind == "Squeeze" and place == len(steps) - 1:
            rank = max(rank - 1, 1)
        elif step.kind == "ExpandDims":
            rank += 1
    return rank
