"""A report without the words of the run: `--redact`, for reports that are shown to people who must not see the data.

Left out are the names of the classes (and every label that is text), of the run, and of its files. Numbers, layers,
metrics and the names of the checks stay: without them nothing could be mended.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from mlflow_clfaudit.report.plain import clean
from mlflow_clfaudit.types import Finding, Outcome, Proof, Report, SuspiciousRow

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence import Evidence

# Names are cut where a picture or a message has no room for them; that much of a name is still the name.
CUT = 16
TOKEN = re.compile(r"\w+|.", re.DOTALL)
# What may hold words of the run. Everything else is ours: names of checks, severities, seconds.
OPEN: Mapping[type, tuple[str, ...]] = {
    Report: ("findings", "symptoms", "outcomes", "sources", "figures", "rows", "headline"),
    Finding: ("message", "fix", "evidence", "proof", "unproven", "ignored"),
    Proof: ("how", "metric"),
    Outcome: ("findings", "reason", "how_to_supply"),
    SuspiciousRow: ("label", "prediction", "why"),
}


def redact(report: Report, evidence: Evidence) -> Report:
    """The report with "class 0", "run 3f2a9c1e" and "file 1.npy" in place of the names that the run gave."""
    run = evidence.get("run")
    swapped = {path: f"file {number}{_suffix(path)}" for number, path in enumerate(sorted(run.artifacts), start=1)}
    swapped |= {path.rpartition("/")[2]: name for path, name in list(swapped.items())}
    swapped |= {name: f"class {number}" for number, name in enumerate(_classes(evidence))}
    name = f"run {report.run_id[:8]}"
    walked: Report = _walk(report, _swapper(swapped | {run.name: name}))
    return replace(walked, run_name=name)


def _classes(evidence: Evidence) -> list[str]:
    """Every class name and label that is text, in the order of the codes where that is known."""
    labels, lists = evidence.peek("labels"), evidence.peek("class_lists")
    found: dict[str, None] = dict.fromkeys(labels.names or () if labels is not None else ())
    for listed in lists or ():
        found |= dict.fromkeys(listed.names)
    for split in labels.splits.values() if labels is not None else ():
        if split.values.dtype.kind == "U":
            found |= dict.fromkeys(split.classes.tolist())
    return [name for name in found if not _is_number(name)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _suffix(path: str) -> str:
    return "." + path.rpartition(".")[2] if "." in path.rpartition("/")[2] else ""


def _swapper(names: Mapping[str, str]) -> Callable[[str], str]:
    """Replace names wherever they stand as words of their own, also where they were cut short; the longest first."""
    by_start: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, instead in names.items():
        for written in {name, repr(name)[1:-1], name.strip(), clean(name)} - {""}:
            by_start[written[0]].append((written, instead))
    for known in by_start.values():
        known.sort(key=lambda pair: len(pair[0]), reverse=True)

    def swap(text: str) -> str:
        parts: list[str] = []
        place = 0
        while place < len(text):
            found = [(_alike(name, text, place), name, instead) for name, instead in by_start.get(text[place], ())]
            whole = [item for item in found if item[0] == len(item[1]) and _ends_a_word(text, place + item[0])]
            cut = [item for item in found if item[0] >= CUT]
            if whole or cut:
                alike, _, instead = (whole or cut)[0]
                parts.append(instead)
                place += alike
            else:
                token = TOKEN.match(text, place)
                parts.append(token[0] if token else text[place])
                place += len(parts[-1])
        return "".join(parts)

    return swap


def _alike(name: str, text: str, place: int) -> int:
    """How many characters of the name stand in the text from that place on."""
    for number, character in enumerate(name):
        if text[place + number : place + number + 1] != character:
            return number
    return len(name)


def _ends_a_word(text: str, place: int) -> bool:
    return not (text[place - 1].isalnum() and text[place : place + 1].isalnum())


def _walk(value: Any, swap: Callable[[str], str]) -> Any:
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return swap(value)
    if is_dataclass(value) and not isinstance(value, type):
        mine = OPEN.get(type(value), tuple(field.name for field in fields(value)))
        return replace(value, **{name: _walk(getattr(value, name), swap) for name in mine})
    if isinstance(value, Mapping):
        return {swap(key) if isinstance(key, str) else key: _walk(item, swap) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_walk(item, swap) for item in value)
    return value
