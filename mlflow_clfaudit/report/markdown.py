"""The report as Markdown: report.md, and the block at the top of the run's description in MLflow."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlflow_clfaudit.report import words
from mlflow_clfaudit.report.plain import cleaned
from mlflow_clfaudit.report.tags import CLOSE, OPEN
from mlflow_clfaudit.types import Finding, Report, Status

CONFUSION_PATH = "clfaudit/confusion.svg"
# MLflow shows four lines of a description before "Show more"; a longer line would push the fix out of sight. As many
# characters fit a line of its page at 1440 pixels: with a word in front, and set as code.
ONE_LINE, LABELLED_LINE, CODE_LINE = 98, 90, 76
SPECIAL = re.compile(r"([\\`*_\[\]|~$]|:(?=//)|(?<=www)\.|^[#+=-]|^\d+[.)](?=\s|$))")
SAFE = re.compile(r"[0-9A-Za-z_-]+")
MAX_TABLE_CLASSES = 10


def to_markdown(report: Report) -> str:
    """report.md: everything that report.html says in words."""
    return "\n".join(_document(cleaned(report))).rstrip() + "\n"


def description(report: Report) -> str:
    """The block for mlflow.note.content, in its markers: verdict, cause, proof and fix in four lines, then the rest."""
    plain = cleaned(report)
    return "\n".join([OPEN, *_description(plain), CLOSE])


def escaped(text: str) -> str:
    """Text on one line, in which Markdown and HTML mean nothing."""
    html = words.line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(_escape, html)


def _escape(found: re.Match[str]) -> str:
    return f"{found[0][:-1]}\\{found[0][-1]}"


def code(text: str, *, in_table: bool = False) -> str:
    """Text as inline code, whatever backticks it holds."""
    joined = words.line(text).replace("<!--", "<! --")
    if in_table:
        joined = joined.replace("|", "\\|")
    if not joined:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", joined)), default=0))
    space = " " if joined.startswith("`") or joined.endswith("`") else ""
    return f"{fence}{space}{joined}{space}{fence}"


def block(text: str) -> list[str]:
    """Text as a block of code."""
    body = text.strip("\n").replace("<!--", "<! --")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", body)), default=0))
    return [f"{fence}python", *body.splitlines(), fence]


def _document(report: Report) -> Iterator[str]:
    verdict = str(report.verdict).replace("_", " ")
    yield f"# {escaped(report.run_name or report.run_id)}: {verdict}"
    yield ""
    yield f"**{escaped(words.sentence(report))}**"
    yield ""
    details = [words.headline(report), words.quality_sentence(report), f"run {report.run_id}"]
    yield escaped(" · ".join(detail for detail in details if detail))
    review = words.review_sentence(report)
    if review:
        yield from ("", f"**Review** {escaped(review)}")
    for place, finding in enumerate(report.findings, 1):
        yield from _finding(report, finding, place)
    if report.symptoms:
        yield from ("", "## Symptoms", "")
        yield from (f"- {code(symptom.check)} {escaped(symptom.message)}" for symptom in report.symptoms)
    yield from _confusion(report)
    yield from ("", "## What was checked", "", escaped(words.counts(report).capitalize()) + ".")
    yield from _skipped(report)
    failed = report.outcomes_of(Status.FAILED)
    if failed:
        yield from ("", "Checks that failed:", "")
        yield from (f"- {code(outcome.check)} {escaped(outcome.reason)}" for outcome in failed)
    passed = report.outcomes_of(Status.PASSED)
    if passed:
        yield from ("", "Passed: " + ", ".join(code(outcome.check) for outcome in passed) + ".")
    if report.sources:
        yield from ("", "## Evidence", "", "| evidence | read from |", "|---|---|")
        yield from (f"| {escaped(name)} | {code(source, in_table=True)} |" for name, source in report.sources.items())


def _finding(report: Report, finding: Finding, place: int) -> Iterator[str]:
    yield from ("", f"## {place}. {escaped(words.title(finding))} ({words.standing(finding)})", "")
    yield escaped(finding.message)
    if finding.proof is not None:
        yield from ("", f"**Proof** ({finding.proof.grade}) {escaped(words.proof_sentence(finding.proof))}")
    elif finding.unproven:
        yield from ("", f"**Unproven** {escaped(finding.unproven)}")
    if finding.fix.strip():
        yield from ("", "**Fix**", "", *block(finding.fix))
    explained = words.explained(report, finding)
    if explained:
        yield from ("", "**Explains** " + ", ".join(map(code, explained)))
    if finding.explained_by:
        yield from ("", f"**Because of** {code(finding.explained_by)}")
    if finding.ignored is not None:
        yield from ("", f"**Ignored** {escaped(finding.ignored)}")
    evidence = words.flat(finding.evidence, skip=("confusion_after",))
    if evidence:
        yield from ("", "| evidence | |", "|---|---|")
        yield from (f"| {escaped(name)} | {escaped(value)} |" for name, value in evidence)


def _confusion(report: Report) -> Iterator[str]:
    confusion = report.figures.get("confusion")
    if not confusion or len(confusion["labels"]) > MAX_TABLE_CLASSES:
        return
    labels = [escaped(label) for label in confusion["labels"]]
    yield from ("", "## Confusion matrix", "", f"| true ↓ served → | {' | '.join(labels)} |")
    yield "|---" * (len(labels) + 1) + "|"
    for label, row in zip(labels, confusion["matrix"], strict=True):
        yield f"| {label} | {' | '.join(map(str, row))} |"


def _skipped(report: Report) -> Iterator[str]:
    groups = words.remedies(report)
    if groups:
        yield from ("", "| skipped | because | supplied by |", "|---|---|---|")
    for reason, how, outcomes in groups:
        names = ", ".join(code(outcome.check, in_table=True) for outcome in outcomes)
        yield f"| {names} | {escaped(reason)} | {code(how, in_table=True)} |"


def _description(report: Report) -> Iterator[str]:
    verdict = str(report.verdict).upper().replace("_", " ")
    cause = words.lead(report)
    named = f" · {code(words.title(cause))} ({words.standing(cause)})" if cause else ""
    yield f"**{verdict}**{named}  "
    yield escaped(words.line(words.sentence(report, ONE_LINE), ONE_LINE)) + "  "
    if cause is not None:
        if cause.proof is not None:
            yield f"**Proof** {escaped(words.proof_in_brief(cause.proof, LABELLED_LINE))}  "
        else:
            yield f"**Unproven** {escaped(words.line(cause.unproven or 'no proof was measured', LABELLED_LINE))}  "
        if cause.fix.strip():
            yield f"**Fix** {code(words.line(cause.fix, CODE_LINE))}"
    else:
        yield escaped(words.line(words.quality_sentence(report) or words.counts(report), ONE_LINE))
    if report.findings:
        yield from ("", "| finding | severity | confidence | |", "|---|---|---|---|")
        for finding in report.findings[:10]:
            state = f"ignored: {words.line(finding.ignored, 60)}" if finding.ignored is not None else ""
            told = [code(words.title(finding), in_table=True), finding.level, finding.confidence, escaped(state)]
            yield f"| {' | '.join(told)} |"
        if len(report.findings) > 10:
            yield f"| {len(report.findings) - 10} more | | | |"
    review = words.review_sentence(report)
    if review:
        yield from ("", f"**Review** {escaped(review)}")
    yield from ("", f"{escaped(words.counts(report))}" + _link(report))
    if report.figures.get("confusion") and SAFE.fullmatch(report.run_id):
        yield from ("", f"![Confusion matrix](get-artifact?path={CONFUSION_PATH}&run_uuid={report.run_id})")
    name = cause.check if cause is not None else "CHECK"
    yield ""
    yield (
        f"Not a fault? Set the tag {code(f'clfaudit.ignore.{name}')} to the reason, on the run or on its experiment; "
        f"the next audit honours it. Reviewed? Set {code('clfaudit.review')} to accepted, rejected or fixed."
    )


def _link(report: Report) -> str:
    if not (SAFE.fullmatch(report.experiment_id) and SAFE.fullmatch(report.run_id)):
        return ""
    artifacts = f"#/experiments/{report.experiment_id}/runs/{report.run_id}/artifacts"
    # Without it MLflow opens a page of its generative side, whose lists do not have the run.
    mode = "?workflowType=machine_learning"
    link = f" · [Full report]({artifacts}/{words.REPORT_PATH}{mode})"
    count = len(report.rows)
    table = f" · [{count} suspicious row{'s' * (count != 1)}]({artifacts}/{words.ROWS_PATH}{mode})"
    return link + table * bool(count)
