"""The report as one self-contained page that a reviewer understands without documentation.

MLflow shows it in a frame that forbids links, storage and requests, so it holds none: only folds and drawings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from mlflow_clfaudit.report import charts, decisions, words
from mlflow_clfaudit.report.charts import Chart
from mlflow_clfaudit.report.plain import cleaned
from mlflow_clfaudit.types import Finding, Report, Status, Verdict

AFTER = "confusion_after"
VERDICTS = {
    Verdict.HEALTHY: "✓ Healthy",
    Verdict.SUSPECT: "! Suspect",
    Verdict.FAULTY: "✕ Faulty",
    Verdict.NOT_AUDITED: "? Not audited",
}
MAX_EVIDENCE = 60


def to_html(report: Report) -> str:
    """The page. It depends on the report alone: the same report gives the same bytes."""
    plain = cleaned(report)
    confusion = plain.figures.get("confusion")
    return _template().render(
        name=words.line(plain.run_name or plain.run_id, 120),
        run_id=plain.run_id,
        headline=words.headline(plain),
        verdict=VERDICTS[plain.verdict],
        verdict_class=str(plain.verdict),
        sentence=words.sentence(plain),
        quality=words.judged_on(plain),
        tiles=list(_tiles(plain.figures.get("quality") or {})),
        review=words.review_sentence(plain),
        has_cause=plain.root_cause is not None,
        findings=[_card(plain, finding, place) for place, finding in enumerate(plain.findings, 1)],
        symptoms=[_card(plain, symptom, None) for symptom in words.unexplained_symptoms(plain)],
        charts=list(_charts(plain)),
        matrix=_matrix(confusion) if confusion else None,
        counts=words.counts(plain).capitalize(),
        errors=[(item.check, item.reason) for item in plain.outcomes_of(Status.FAILED)] + list(_undrawn(plain)),
        skipped=[(reason, how, [item.check for item in found]) for reason, how, found in words.remedies(plain)],
        passed=[item.check for item in plain.outcomes_of(Status.PASSED)],
        trainings=plain.figures.get("trainings", {}).get("tried", []),
        sources=list(plain.sources.items()),
        environment=list(plain.environment.items()),
        seconds=[(stage, f"{value:.3f}") for stage, value in plain.seconds.items()],
    )


def confusion_svg(report: Report) -> str | None:
    """The confusion matrix as a picture of its own, for the run's description; None where there is none."""
    plain = cleaned(report)
    figure = plain.figures.get("confusion")
    drawn = _confusions(plain, figure) if figure else []
    chart = drawn[0] if drawn else None
    if chart is None:
        return None
    # An image without a size of its own fills the description's whole width.
    width, height = re.findall(r'viewBox="0 0 (\S+) (\S+)"', chart.svg)[0]
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    return str(chart.svg).replace("<svg ", opening, 1).replace(">", f">{_style()}", 1)


def prose(text: str) -> list[Markup]:
    """The blocks of a docstring as HTML: paragraphs with inline code, and fenced code, is all that they have."""
    blocks = re.split(r"^```(?:\w+)?\n(.*?)^```$", text.strip(), flags=re.MULTILINE | re.DOTALL)
    found: list[Markup] = []
    for place, block in enumerate(blocks):
        if place % 2:
            found.append(Markup("<pre><code>{}</code></pre>").format(block.rstrip()))
            continue
        paragraphs = [words.line(part) for part in re.split(r"\n\s*\n", block.strip()) if part.strip()]
        found += [Markup("<p>{}</p>").format(_inline(paragraph)) for paragraph in paragraphs]
    return found


def _inline(paragraph: str) -> Markup:
    parts = re.split(r"`([^`]+)`", paragraph)
    marked = [Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)]
    return Markup("").join(marked)


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html.j2")


@cache
def _style() -> str:
    """The style sheet for a picture that stands alone, with a ground of its own."""
    sheet = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    variables, rules = sheet.split("* {", 1)[0], sheet.split("/* Pictures */", 1)[1].split("@media", 1)[0]
    return f"<style>{variables}svg {{ background: var(--paper); }}{rules}</style>"


def _card(report: Report, finding: Finding, place: int | None) -> dict[str, Any]:
    messages = {symptom.check: words.line(symptom.message) for symptom in report.symptoms}
    return {
        "check": finding.check,
        "place": place,
        "class": str(finding.level) if finding.counts else "ignored",
        "title": words.title(finding),
        "standing": words.standing(finding),
        "message": _message(report, finding, place),
        "proof": words.proof_sentence(finding.proof) if finding.proof else "",
        "bars": charts.proof_bars(finding.proof) if finding.proof else None,
        "unproven": finding.unproven,
        "explained_by": finding.explained_by,
        "fix": finding.fix.strip(),
        "explains": [(name, messages.get(name, "")) for name in words.explained(report, finding)],
        "evidence": words.flat(finding.evidence, skip=(AFTER,))[:MAX_EVIDENCE],
        "sections": _sections(finding.check),
        "ignored": finding.ignored,
        "counts": finding.counts and place is not None,
    }


def _message(report: Report, finding: Finding, place: int | None) -> str:
    """What the finding says, unless the page's heading says all of it."""
    said = words.line(finding.message)
    return "" if place == 1 and finding is words.lead(report) and said == words.sentence(report) else said


def _sections(check: str) -> list[tuple[str, list[Markup]]]:
    """What the check's documentation says, by heading; nothing for a check that is not installed here."""
    from mlflow_clfaudit.registry import all_checks

    known = all_checks().get(check)
    return [(heading, prose(text)) for heading, text in known.sections.items()] if known else []


def _tiles(quality: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    names = {
        "balanced_accuracy": "balanced accuracy",
        "accuracy": "accuracy",
        "majority_share": "share of the largest class",
        "area_under_curve": "ROC AUC",
        "information": "information U (0: class shares only)",
    }
    yield from (
        (f"{quality[key]:.3f}".replace("-", "−"), label) for key, label in names.items() if quality.get(key) is not None
    )


def _charts(report: Report) -> Iterator[Chart]:
    figures = report.figures
    quality = figures.get("quality") or {}
    proposed, interval = _proposed(report)
    drawn: list[Chart | None] = []
    if "confusion" in figures:
        drawn += _confusions(report, figures["confusion"])
    if "scores" in figures:
        drawn.append(decisions.histogram(figures["scores"], proposed))
    if "thresholds" in figures:
        drawn.append(decisions.thresholds(figures["thresholds"], proposed, interval))
    if "reliability" in figures:
        drawn.append(decisions.reliability(figures["reliability"]))
    if "curves" in figures:
        curves = figures["curves"]
        drawn += [
            charts.curves(curves, ("loss", "val_loss"), "Loss"),
            charts.curves(curves, ("accuracy", "val_accuracy"), "Accuracy", level=quality.get("majority_share")),
        ]
        rates = curves["series"].get("learning_rate", {}).get("y", [])
        if len(set(rates)) > 1:
            drawn.append(charts.curves(curves, ("learning_rate",), "Learning rate"))
    if "layers" in figures:
        drawn.append(charts.layers(figures["layers"]))
    if "shares" in figures:
        drawn.append(charts.shares(figures["shares"]))
    yield from (chart for chart in drawn if chart is not None)


def _confusions(report: Report, figure: Mapping[str, Any]) -> list[Chart | None]:
    """The matrix as it is served and, where a finding measured it, as it would be after its fix."""
    labels, matrix = figure["labels"], figure["matrix"]
    after = next(((finding, finding.evidence[AFTER]) for finding in report.findings if AFTER in finding.evidence), None)
    fixed = _same_classes(after[1], figure) if after else None
    title = "Confusion matrix, as served" if fixed else "Confusion matrix"
    right = figure["right"] if len(labels) > len(figure["indices"]) else None
    drawn = [decisions.confusion(labels, matrix, title, right=right)]
    if after and fixed:
        known = sum(row[i] for i, row in enumerate(after[1])) if right is not None else None
        title = f"Confusion matrix with {words.title(after[0])} fixed"
        drawn.append(decisions.confusion(labels, fixed, title, right=known))
    return drawn


def _same_classes(matrix: Sequence[Sequence[float]], figure: Mapping[str, Any]) -> Sequence[Sequence[float]] | None:
    """A counterfactual matrix of all classes, over the classes that the figure shows."""
    import numpy as np

    from mlflow_clfaudit.report.served_figures import reduced

    if not isinstance(matrix, list) or any(not isinstance(row, list) or len(row) != len(matrix) for row in matrix):
        return None
    if len(matrix) == figure["classes"]:
        return reduced(np.asarray(matrix), figure["indices"])
    return matrix if len(matrix) == len(figure["labels"]) else None


def _proposed(report: Report) -> tuple[float | None, Sequence[float] | None]:
    """The threshold that a finding proposes, and its interval."""
    for finding in report.findings:
        threshold = finding.evidence.get("threshold")
        if finding.check == "threshold-off" and isinstance(threshold, int | float):
            interval = finding.evidence.get("threshold_interval")
            return float(threshold), interval if isinstance(interval, list) and len(interval) == 2 else None
    return None, None


def _matrix(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {"labels": figure["labels"], "rows": list(zip(figure["labels"], figure["matrix"], strict=True))}


def _undrawn(report: Report) -> Iterator[tuple[str, str]]:
    yield from ((f"picture: {name}", error) for name, error in (report.figures.get("undrawn") or {}).items())
