"""A repair in words: on the terminal, as JSON, as a description, and as the page with the patch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlflow_clfaudit.repair.measured import Comparison
from mlflow_clfaudit.repair.repaired import Attempt, Repaired
from mlflow_clfaudit.repair.script import Script, unified_diff
from mlflow_clfaudit.report.plain import clean

MEASURES = ("balanced accuracy", "accuracy", "log loss")


def to_text(repaired: Repaired, *, dry_run: bool = False) -> str:
    """What the command prints."""
    lines = [f"{clean(repaired.run.name)}   {repaired.before.verdict}" + _cause(repaired.before.root_cause)]
    if not repaired.attempts:
        lines.append("  nothing to repair: the audit has proven no finding at warn or above")
    for attempt in repaired.attempts:
        lines.append(f"  {'repaired' if attempt.kept else 'left':10}{attempt.check}")
        lines += [f"            {line}" for line in _told(attempt)]
    if repaired.overall is None:
        if repaired.attempts:
            lines.append("  not logged: no repair is better beyond its interval")
        return clean("\n".join(lines))
    lines.append(f"  measured  on {repaired.rows}, 95 % intervals")
    lines += [f"            {line}" for line in _measures(repaired.overall)]
    if dry_run:
        return clean("\n".join([*lines, "  not logged: --dry-run", "", *repaired.patch.splitlines()]))
    if repaired.after is not None:
        lines.append(f"  audited   {repaired.after.verdict}" + _cause(repaired.after.root_cause))
    if repaired.version is not None:
        lines.append(f"  version   {repaired.version}")
    lines.append(f"  child     {repaired.url or repaired.child}")
    return clean("\n".join(lines))


def to_dict(repaired: Repaired) -> dict[str, Any]:
    """The repair as JSON-safe data."""
    return {
        "schema": 1,
        "run_id": repaired.run.run_id,
        "verdict": str(repaired.before.verdict),
        "root_cause": repaired.before.root_cause,
        "attempts": [
            {
                "check": attempt.check,
                "did": attempt.did,
                "kept": attempt.kept,
                "why": attempt.why,
                **_numbers(attempt.comparison),
            }
            for attempt in repaired.attempts
        ],
        "rows": repaired.rows,
        **_numbers(repaired.overall),
        "child": repaired.child,
        "verdict_of_child": None if repaired.after is None else str(repaired.after.verdict),
        "root_cause_of_child": None if repaired.after is None else repaired.after.root_cause,
        "version": repaired.version,
        "patch": repaired.patch,
    }


def to_note(repaired: Repaired) -> str:
    """The description of the child run."""
    done = "; ".join(f"{attempt.check}: {attempt.did}" for attempt in repaired.kept)
    parts = [f"Repair of run {repaired.run.run_id} by mlflow-clfaudit. {done}."]
    if repaired.overall is not None:
        parts += [f"On {repaired.rows}:", *(f"- {line}" for line in _measures(repaired.overall))]
    return clean("\n".join([*parts, "", "What to change in the training script: repair.patch.md"]))


def patch_page(repaired: Repaired, before: Script, after: Script) -> str:
    """repair.patch.md: what was done, what it gave, and the change of the training script as a unified diff."""
    lines = [f"# Repair of run {repaired.run.run_id}", ""]
    for attempt in repaired.kept:
        lines += [f"- **{attempt.check}**: " + "; ".join(_told(attempt))]
    if repaired.overall is not None:
        lines += [
            "",
            f"On {repaired.rows}, with 95 % intervals:",
            "",
            "| | before | after | gain |",
            "|---|---|---|---|",
        ]
        for name in MEASURES:
            if name in repaired.overall.gain:
                found = (repaired.overall.before, repaired.overall.after, repaired.overall.gain)
                lines.append(f"| {name} | " + " | ".join(str(side[name]) for side in found) + " |")
    diff = unified_diff(before, after)
    lines += ["", "## The training script", ""]
    lines.append(
        "The run does not hold its script: this one is written from the saved model and the run's params, and "
        "changed so that the next training does not need the repair."
    )
    lines += ["", "```diff", *(line.replace("`", "'") for line in diff.splitlines()), "```", ""]
    return clean("\n".join(lines))


def _told(attempt: Attempt) -> Iterator[str]:
    if attempt.did:
        yield attempt.did
    if attempt.comparison is not None and attempt.measure:
        found = attempt.comparison
        values = f"{found.before[attempt.measure].value:.3f} → {found.after[attempt.measure].value:.3f}"
        gain = found.gain[attempt.measure]
        yield f"{attempt.measure} {values}, gain {gain}"
    if attempt.why:
        yield attempt.why


def _measures(comparison: Comparison) -> Iterator[str]:
    for name in MEASURES:
        if name in comparison.gain:
            yield f"{name} {comparison.before[name]} → {comparison.after[name]}"


def _numbers(comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return {"measured": None}
    sides = {"before": comparison.before, "after": comparison.after, "gain": comparison.gain}
    measured = {
        side: {name.replace(" ", "_"): [item.value, item.low, item.high] for name, item in found.items()}
        for side, found in sides.items()
    }
    return {"measured": {"rows": comparison.rows, **measured}}


def _cause(check: str | None) -> str:
    return f": {check}" if check else ""
