"""Pictures of proofs, curves and shares, each an SVG with its text alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from mlflow_clfaudit.report.svg import Frame, Scale, element, line, picture, text
from mlflow_clfaudit.report.words import number, pair
from mlflow_clfaudit.types import Proof

NAMES = {
    "loss": ("training", "train"),
    "val_loss": ("validation", "validation"),
    "accuracy": ("training", "train"),
    "val_accuracy": ("validation", "validation"),
    "learning_rate": ("learning rate", "train"),
}
ACCURACIES = ("accuracy", "val_accuracy")
SPLITS = {"train": "train", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Chart:
    """A drawn picture with its title and what it shows in words."""

    title: str
    svg: Markup
    words: str
    legend: tuple[tuple[str, str], ...] = ()


def proof_bars(proof: Proof) -> Chart | None:
    """The metric as it is served and with the change, as two bars on one scale."""
    if proof.before is None or proof.after is None:
        return None
    values = (proof.before, proof.after)
    if not all(abs(value) < 1e300 for value in values):
        return None
    in_unit = all(0.0 <= value <= 1.0 for value in values)
    low, high = (0.0, 1.0) if in_unit else (min(0.0, *values), max(0.0, *values))
    scale = Scale(low, high if high > low else low + 1.0, 100.0, 400.0)
    shown = pair(*values)
    drawn = []
    for place, (name, value, word) in enumerate(zip(("before", "after"), values, shown, strict=True)):
        y = 6 + 30 * place
        start, stop = sorted((scale.at(0.0), scale.at(value)))
        drawn += [
            text(92, y + 16, name, "name", anchor="end"),
            element("rect", x=100.0, y=y, width=300.0, height=22, class_="track"),
            element("rect", x=start, y=y, width=max(stop - start, 1.5), height=22, class_=name),
            text(410, y + 16, word, "value"),
        ]
    words = f"{proof.metric or 'value'}: {shown[0]} before, {shown[1]} after"
    return Chart(proof.metric or "value", picture(470, 66, words, *drawn), words)


def curves(figure: Mapping[str, Any], keys: Sequence[str], title: str, *, level: float | None = None) -> Chart | None:
    """Training curves by epoch; `level` is a value to compare with, such as the share of the largest class."""
    series = {key: figure["series"][key] for key in keys if key in figure["series"]}
    known = [y for item in series.values() for y in item["y"] if y is not None and abs(y) < 1e300]
    if not known:
        return None
    low, high = min(known), max(known)
    logarithmic = low > 0 and high / low > 100
    if all(key in ACCURACIES for key in series):
        logarithmic, low, high = False, min(low, 0.0), max(high, 1.0)
    elif not logarithmic:
        low, high = min(low, 0.0), high * 1.04 if high > 0 else 0.0
    if high <= low:
        low, high = (low * 0.5, low * 2) if logarithmic else (low - 0.5, low + 0.5)
    epochs = max(figure["epochs"], 1)
    frame = Frame.of((1, max(epochs, 2)), (low, high), top=26, logarithmic=logarithmic)
    ticks = [tick for tick in frame.x.ticks(6) if float(tick).is_integer() and tick >= 1]
    drawn = frame.axes("epoch", "logarithmic scale" if logarithmic else "", x_ticks=ticks)
    words = []
    if level is not None and low <= level <= high:
        y = frame.y.at(level)
        drawn.append(line(frame.x.start, y, frame.x.stop, y, "level"))
        words.append(f"dotted: share of the largest class, {level:.2f}")
    for key, item in series.items():
        name, class_ = NAMES[key]
        points = [(x, y if y is None or abs(y) < 1e300 else None) for x, y in zip(item["x"], item["y"], strict=True)]
        drawn.append(frame.path(points, class_))
        finite = [(x, y) for x, y in points if y is not None]
        if not finite:
            words.append(f"{name}: never a finite number")
            continue
        words.append(
            f"{name}: {number(finite[0][1])} in epoch {finite[0][0]}, {number(finite[-1][1])} in epoch {finite[-1][0]}"
        )
        missing = next((x for x, y in points if y is None), None)
        if missing is not None:
            words[-1] += f", not finite in epoch {missing}"
    saved = figure.get("saved_epoch")
    if saved and 1 <= saved <= epochs:
        x = frame.x.at(saved)
        drawn.append(line(x, frame.y.stop, x, frame.y.start, "mark"))
        words.append(f"marked: the weights of epoch {saved} were saved")
    told = f"{title}. " + "; ".join(words) + "."
    legend = tuple((f"{NAMES[key][1]} line", NAMES[key][0]) for key in series)
    return Chart(title, picture(frame.width, frame.height, told, *drawn), "; ".join(words), legend)


def shares(figure: Mapping[str, Any]) -> Chart | None:
    """The share of each class in each split, a bar for each."""
    labels, splits = figure["labels"], figure["splits"]
    if not labels or not splits:
        return None
    thick = 14.0 if len(labels) <= 6 else 8.0 if len(labels) <= 14 else 5.0
    band = thick * len(splits) + 8
    highest = max(max(values) for values in splits.values())
    scale = Scale(0.0, highest or 1.0, 110.0, 410.0)
    drawn = []
    for i, label in enumerate(labels):
        y = 8 + i * band
        drawn.append(text(102, y + (band - 8) / 2 + 4, short(label, 15), "tick", anchor="end"))
        for j, (split, values) in enumerate(splits.items()):
            width = scale.at(values[i]) - scale.start
            top = y + j * thick
            drawn.append(
                element(
                    "rect", x=110.0, y=top, width=max(width, 0.75), height=thick - 1.5, class_=SPLITS.get(split, "test")
                )
            )
            if thick >= 8:
                drawn.append(text(116 + width, top + thick / 2 + 3, f"{100 * values[i]:.1f} %", "tick"))
    told = [
        f"{split} ({figure['rows'][split]} rows): "
        + ", ".join(f"{label} {100 * value:.1f} %" for label, value in zip(labels, values, strict=True))
        for split, values in splits.items()
    ]
    alternative = "Class shares. " + "; ".join(told) + "."
    words = ", ".join(f"{split} {number(figure['rows'][split])} rows" for split in splits)
    if figure["classes"] > len(labels):
        words += f"; the {len(labels)} largest of {figure['classes']} classes"
    legend = tuple((SPLITS.get(split, "test"), split) for split in splits)
    return Chart("Class shares by split", picture(470, 12 + band * len(labels), alternative, *drawn), words, legend)


def layers(figure: Mapping[str, Any]) -> Chart | None:
    """Layer by layer: the gradient that reached its kernel, on a logarithmic scale, and its idle units, as bars."""
    shown = figure["layers"]
    sizes = [layer["gradient"] for layer in shown if layer["gradient"]]
    if not shown:
        return None
    greatest = max(sizes, default=1.0)
    # Below a millionth of the greatest, nothing is learnt: there is no smaller bar.
    scale = Scale(min([*sizes, greatest / 10]) / 2 if sizes else 0.1, greatest, 0.0, 110.0, logarithmic=True)
    if scale.low < greatest * 1e-6:
        scale = replace(scale, low=greatest * 1e-6)
    drawn = [text(116, 12, "gradient (log scale)", "tick"), text(296, 12, "idle units", "tick")]
    told = []
    for place, layer in enumerate(shown):
        y = 20.0 + 20 * place
        drawn.append(text(106, y + 12, short(layer["layer"], 16), "tick", anchor="end"))
        said = []
        size = layer["gradient"]
        if size is not None:
            width = max(scale.at(size), 1.5) if size > 0 else 0.0
            drawn.append(element("rect", x=116.0, y=y + 1, width=width, height=14, class_="train"))
            drawn.append(text(122 + width, y + 12, number(size) if size > 0 else "none", "tick"))
            said.append(f"gradient {number(size)}")
        idle, what = (layer["dead"], "dead") if layer["dead"] is not None else (layer["saturated"], "saturated")
        if idle is not None:
            drawn += [
                element("rect", x=296.0, y=y + 1, width=66.0, height=14, class_="track"),
                element("rect", x=296.0, y=y + 1, width=66.0 * idle, height=14, class_="validation"),
                text(368, y + 12, f"{100 * idle:.0f} % {what}", "tick"),
            ]
            said.append(f"{100 * idle:.0f} % {what} ({layer['activation']})")
        told.append(f"{layer['layer']}: {', '.join(said) or 'not known'}")
    words = (
        "root mean square of the gradient that reached each kernel; dead units give 0 for every row, saturated ones "
    )
    words += "are at their bounds"
    if figure["count"] > len(shown):
        words += f"; the first and last of {figure['count']} layers"
    alternative = f"Layers from the input on. {'; '.join(told)}."
    return Chart("Layer by layer", picture(470, 26 + 20 * len(shown), alternative, *drawn), words)


def short(label: str, limit: int) -> str:
    """A label cut to at most `limit` characters."""
    return label if len(label) <= limit else label[: max(limit - 1, 1)] + "…"
