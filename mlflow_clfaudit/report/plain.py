"""What came from a run, made plain: data that JSON can hold, and text that cannot act on a reader's screen."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date
from enum import Enum
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from mlflow_clfaudit.types import Report

MAX_DEPTH = 20
SEPARATORS = {"\r\n": "\n"} | dict.fromkeys("\x0b\x0c\x85\u2028\u2029", "\n") | dict.fromkeys("\t\r", " ")
# Characters that reorder what follows them or that are never seen: they make one text look like another.
HIDDEN = "\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f"
CONTROLS = "\x00-\x09\x0b-\x1f\x7f-\x9f"
ACTING = re.compile(f"\r\n|[{CONTROLS}{HIDDEN}\u2028\u2029]|(?P<lone>[\ud800-\udfff\ufffe\uffff])")

# Reports that are clean already, by their ids, for as long as they are there.
_clean: WeakValueDictionary[int, Report] = WeakValueDictionary()


def cleaned(report: Report) -> Report:
    """The report with every text cleaned and every value plain data. Every form but JSON is rendered from this.

    Cleaning it costs as much as drawing it: a report that is clean already is given back as it is.
    """
    if _clean.get(id(report)) is report:
        return report
    plain = replace(report, **{item.name: _cleaned(getattr(report, item.name)) for item in fields(report)})
    _clean[id(plain)] = plain
    return plain


def clean(text: str) -> str:
    """Text without control and reordering characters; line ends stay, as newlines; lone surrogates become U+FFFD."""
    return ACTING.sub(_instead, text)


def data(value: Any, text: Callable[[str], str] | None = None, depth: int = 0) -> Any:
    """Any value as JSON holds it: NaN and infinities are null, arrays are lists, what has no such form is its type.

    `text` is applied to every string and key; without it, only what UTF-8 cannot hold is replaced.
    """
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return value
    if kind is float or isinstance(value, np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Enum):
        return data(value.value, text, depth)
    if isinstance(value, str):
        return (text or _encodable)(str(value))
    if isinstance(value, int | np.integer | np.bool_):
        return value.item() if isinstance(value, np.generic) else int(value)
    if isinstance(value, float):
        return data(float(value), text, depth)
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, list | tuple | range):
        return [data(item, text, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {str(data(key, text, MAX_DEPTH)): data(item, text, depth + 1) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return data(value.tolist(), text, depth)
    if isinstance(value, set | frozenset):
        return [data(item, text, depth + 1) for item in sorted(value, key=str)]
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: data(getattr(value, item.name), text, depth + 1) for item in fields(value)}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return data(value.decode("utf-8", "replace"), text, depth)
    # str() of a stranger's object may hold its address, and so differ from one rendering to the next.
    return f"<{kind.__name__}>"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _instead(found: re.Match[str]) -> str:
    return "\ufffd" if found["lone"] else SEPARATORS.get(found[0], "")


def _cleaned(value: Any) -> Any:
    """A part of the report: dataclasses and tuples keep their kind, all else becomes plain data."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, float):
        return float(value)  # a proof that is not a number says so
    if isinstance(value, list | tuple):
        return tuple(_cleaned(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{item.name: _cleaned(getattr(value, item.name)) for item in fields(value)})
    return data(value, clean)
