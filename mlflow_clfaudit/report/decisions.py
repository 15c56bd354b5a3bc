"""Pictures of what the model decides: confusion matrix, reliability, and scores by class with the threshold."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from mlflow_clfaudit.report.charts import Chart, short
from mlflow_clfaudit.report.svg import Frame, element, line, picture, text
from mlflow_clfaudit.report.words import number

MAX_NUMBERED = 12


def confusion(
    labels: Sequence[str], matrix: Sequence[Sequence[float]], title: str, *, right: float | None = None
) -> Chart | None:
    """Rows by true and served class; shaded by the share of the true class's rows.

    `right` is the number of rows served their true class where the last class stands for several.
    """
    count = len(matrix)
    if count == 0 or len(labels) != count or any(len(row) != count for row in matrix):
        return None
    left, top, size = 130.0, 36.0, 300.0 / max(count, 4)
    side = count * size
    drawn = [
        text(left + side / 2, 12, "served class", "name", anchor="middle"),
        text(left - 6, 12, "true class", "name", anchor="end"),
    ]
    for i, values in enumerate(matrix):
        total = sum(values) or 1.0
        y = top + i * size
        kind = "tick" if count <= MAX_NUMBERED else "tiny"
        drawn.append(text(left - 6, y + size / 2 + 3.5, short(labels[i], 18), kind, anchor="end"))
        for j, value in enumerate(values):
            if not value:
                continue
            share = value / total
            x = left + j * size
            kind = "wrong" if i != j else "right" if right is None or i < count - 1 else "rest"
            drawn.append(
                element(
                    "rect", x=x, y=y, width=size, height=size, class_=kind, fill_opacity=round(0.12 + 0.63 * share, 2)
                )
            )
            if count <= MAX_NUMBERED:
                drawn.append(text(x + size / 2, y + size / 2 + 4, number(value), "cell", anchor="middle"))
    for j, label in enumerate(labels):
        if count <= MAX_NUMBERED:
            drawn.append(
                text(left + (j + 0.5) * size, top - 6, short(label, max(3, int(size / 7))), "tick", anchor="middle")
            )
    side = count * size
    drawn.append(element("rect", x=left, y=top, width=side, height=side, class_="box"))
    rows = sum(map(sum, matrix))
    known = sum(matrix[i][i] for i in range(count)) if right is None else right
    words = f"{number(known)} of {number(rows)} rows are served their true class"
    worst = _worst(labels, matrix, count if right is None else count - 1)
    words += f"; most often wrong: {worst}" if worst else ""
    return Chart(title, picture(470, top + side + 8, f"{title}. {words}.", *drawn), words)


def reliability(figure: Mapping[str, Any]) -> Chart | None:
    """How often the decision is right against how sure it says it is; circles grow with the rows behind them."""
    bins = figure["bins"]
    if not bins:
        return None
    frame = Frame.of((0.0, 1.0), (0.0, 1.0), top=26)
    drawn = frame.axes("served confidence", "share that is right")
    drawn.append(line(frame.x.at(0), frame.y.at(0), frame.x.at(1), frame.y.at(1), "level"))
    most = max(item["rows"] for item in bins)
    drawn.append(frame.path([(item["confidence"], item["accuracy"]) for item in bins], "train"))
    for item in bins:
        radius = 3 + 6 * (item["rows"] / most) ** 0.5
        drawn.append(
            element(
                "circle",
                cx=frame.x.at(item["confidence"]),
                cy=frame.y.at(item["accuracy"]),
                r=radius,
                class_="dot train",
            )
        )
    error = figure["expected_calibration_error"]
    told = [
        f"{item['rows']} rows at confidence {item['confidence']:.2f} are right {item['accuracy']:.2f}" for item in bins
    ]
    words = f"on average {100 * error:.1f} points off; on the dotted line the confidence would be true"
    alternative = f"Reliability. {words}. " + "; ".join(told) + "."
    return Chart("Reliability", picture(frame.width, frame.height, alternative, *drawn), words)


def histogram(figure: Mapping[str, Any], proposed: float | None = None) -> Chart | None:
    """The scores of each class, class 1 above the axis and class 0 below it, with the threshold.

    A bar's height is its share of the class's rows, so that a rare class is seen beside a common one.
    """
    edges, labels = figure["edges"], figure["labels"]
    totals = [sum(count) for count in figure["counts"]]
    if not any(totals):
        return None
    counts = [[value / max(total, 1) for value in count] for count, total in zip(figure["counts"], totals, strict=True)]
    tallest = max(value for count in counts for value in count)
    frame = Frame.of((edges[0], edges[-1]), (-tallest, tallest), left=84)
    middle = frame.y.at(0)
    drawn = frame.axes("served score", y_ticks=())
    for code, (count, class_) in enumerate(zip(counts, ("class0", "class1"), strict=True)):
        for (start, stop), share in zip(pairwise(edges), count, strict=True):
            if not share:
                continue
            x, end = frame.x.at(start), frame.x.at(stop)
            tip = frame.y.at(share if code else -share)
            drawn.append(
                element(
                    "rect",
                    x=x,
                    y=min(tip, middle),
                    width=max(end - x - 0.5, 0.5),
                    height=abs(tip - middle),
                    class_=class_,
                )
            )
        label_y = frame.y.stop + 12 if code else frame.y.start - 8
        drawn.append(text(frame.x.start - 6, label_y, short(labels[code], 9), "tick", anchor="end"))
    drawn.append(line(frame.x.start, middle, frame.x.stop, middle, "axis"))
    words = [f"threshold {number(figure['threshold'])}"]
    drawn += _threshold(frame, figure["threshold"], "mark")
    if proposed is not None and edges[0] <= proposed <= edges[-1]:
        drawn += _threshold(frame, proposed, "proposed")
        words.append(f"proposed {number(proposed)} (dashed)")
    words += [f"above it {figure['above'][code]} of {totals[code]} rows of {labels[code]}" for code in (1, 0)]
    if figure.get("beyond"):
        words.append(f"{figure['beyond']} rows beyond the ends are counted in the outermost bars")
    told = "; ".join(words)
    return Chart("Scores by class", picture(frame.width, frame.height, f"Scores by class. {told}.", *drawn), told)


def thresholds(
    figure: Mapping[str, Any], proposed: float | None = None, interval: Sequence[float] | None = None
) -> Chart | None:
    """Both recalls and the balanced accuracy by threshold, with the served one, the proposed one and its interval."""
    x, balanced = figure["x"], figure["balanced_accuracy"]
    if len(x) < 2:
        return None
    low, high = x[0], x[-1]
    frame = Frame.of((low, high), (0.0, 1.0), top=12)
    drawn = []
    if interval and len(interval) == 2 and low <= interval[0] <= interval[1] <= high:
        start, stop = frame.x.at(interval[0]), frame.x.at(interval[1])
        height = frame.y.start - frame.y.stop
        drawn.append(
            element("rect", x=start, y=frame.y.stop, width=max(stop - start, 3.0), height=height, class_="band")
        )
    drawn += frame.axes("threshold")
    for code, class_ in ((0, "validation"), (1, "train")):
        drawn.append(frame.path(list(zip(x, figure["recalls"][code], strict=True)), class_))
    drawn.append(frame.path(list(zip(x, balanced, strict=True)), "both"))
    served = figure["threshold"]
    drawn += _threshold(frame, served, "mark")
    # Shares of rows change at a score only, so the last step at or below a threshold tells.
    words = [f"served threshold {number(served)}: {_at(figure, served):.2f}"]
    if proposed is not None and low <= proposed <= high:
        drawn += _threshold(frame, proposed, "proposed")
        words.append(f"proposed {number(proposed)} (dashed): {_at(figure, proposed):.2f}")
        if interval:
            words.append(f"chosen on two halves of the rows: {number(interval[0])} to {number(interval[1])}")
    told = "balanced accuracy at the " + "; ".join(words)
    labels = figure["labels"]
    legend = (
        ("both line", "balanced accuracy"),
        ("train line", f"share of {short(labels[1], 14)} found"),
        ("validation line", f"share of {short(labels[0], 14)} found"),
    )
    svg = picture(frame.width, frame.height, f"Balanced accuracy by threshold. {told}.", *drawn)
    return Chart("What each threshold would give", svg, told, legend)


def _at(figure: Mapping[str, Any], threshold: float) -> float:
    """The balanced accuracy at a threshold."""
    place = bisect_right(figure["x"], threshold) - 1
    return float(figure["balanced_accuracy"][max(place, 0)])


def _threshold(frame: Frame, value: float, class_: str) -> list[Markup]:
    x = frame.x.at(value)
    return [line(x, frame.y.stop, x, frame.y.start, class_)]


def _worst(labels: Sequence[str], matrix: Sequence[Sequence[float]], classes: int, limit: int = 3) -> str:
    """The pairs among the first `classes` that are confused most often, in words."""
    pairs = [(matrix[i][j], i, j) for i in range(classes) for j in range(classes) if i != j and matrix[i][j]]
    pairs.sort(key=lambda item: (-item[0], item[1], item[2]))
    return ", ".join(f"{labels[i]} served as {labels[j]} ({number(value)})" for value, i, j in pairs[:limit])
