"""The summary of an experiment as one self-contained page, in the visual language of the report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from mlflow_clfaudit.report.charts import Chart, short
from mlflow_clfaudit.report.svg import Frame, element, picture, text
from mlflow_clfaudit.types import Verdict

if TYPE_CHECKING:
    from mlflow_clfaudit.summary import Cause, Period, Summary

# The order of the stack, from the axis up.
STACK = (Verdict.FAULTY, Verdict.SUSPECT, Verdict.NOT_AUDITED, Verdict.HEALTHY)
MAX_CAUSES = 15


def to_html(summary: Summary) -> str:
    """The page. MLflow shows it in a frame that follows no links, so addresses become links only outside of one."""
    drawn = [verdicts_over_time(summary.periods), causes_by_count(summary.causes)]
    return _template().render(summary=summary, charts=[chart for chart in drawn if chart is not None])


def verdicts_over_time(periods: Sequence[Period]) -> Chart | None:
    """A bar for each period, its verdicts stacked, the faulty ones at the foot."""
    highest = max((sum(period.verdicts.values()) for period in periods), default=0)
    if not highest:
        return None
    frame = Frame.of((0, len(periods)), (0, highest), left=40, bottom=34)
    ticks = [tick for tick in frame.y.ticks(4) if float(tick).is_integer()]
    drawn = frame.axes("", x_ticks=[], y_ticks=ticks)
    stride = max(1, -(-len(periods) // 5))
    told = []
    for place, period in enumerate(periods):
        left, right = frame.x.at(place + 0.12), frame.x.at(place + 0.88)
        foot = 0
        for verdict in STACK:
            count = period.verdicts[verdict]
            if count:
                top, bottom = frame.y.at(foot + count), frame.y.at(foot)
                drawn.append(
                    element("rect", x=left, y=top, width=right - left, height=bottom - top, class_=f"stack {verdict}")
                )
                foot += count
        if place % stride == 0:
            drawn.append(text((left + right) / 2, frame.height - 16, period.name, "tick", anchor="middle"))
        counts = [f"{count} {name.replace('_', ' ')}" for name, count in period.verdicts.items() if count]
        if counts:
            told.append(f"{period.name}: {', '.join(counts)}")
    legend = tuple((f"stack {verdict}", str(verdict).replace("_", " ")) for verdict in STACK)
    words = f"{len(periods)} period{'s' * (len(periods) != 1)}, at most {highest} run{'s' * (highest != 1)} in one"
    return Chart("Verdicts over time", picture(frame.width, frame.height, "; ".join(told), *drawn), words, legend)


def causes_by_count(causes: Sequence[Cause]) -> Chart | None:
    """A bar for each root cause, as long as the number of its runs."""
    if not causes:
        return None
    shown = causes[:MAX_CAUSES]
    most = shown[0].runs
    drawn = []
    for place, cause in enumerate(shown):
        y = 6 + 26 * place
        width = 200.0 * cause.runs / most
        drawn += [
            text(212, y + 14, short(cause.check, 30), "name", anchor="end"),
            element("rect", x=220.0, y=y, width=width, height=19, class_="stack faulty"),
            text(228 + width, y + 14, str(cause.runs), "value"),
        ]
    told = ", ".join(f"{cause.check} {cause.runs}" for cause in shown)
    rest = len(causes) - len(shown)
    words = "root causes of faulty and suspect runs" + (f"; {rest} rarer ones are not shown" if rest else "")
    return Chart("Causes by count", picture(470, 10 + 26 * len(shown), f"Runs by root cause: {told}.", *drawn), words)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("summary.html.j2")
