"""What came from a run, made plain: data that JSON can hold, and text that cannot act on a reader's screen."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date
from enum import Enum
from typing import Any

import numpy as np

from mlflow_clfaudit.types import Report

MAX_DEPTH = 20
SEPARATORS = {"\t": " ", "\r": " ", "\x0b": "\n", "\x0c": "\n", "\x85": "\n", "\u2028": "\n", "\u2029": "\n"}
# Characters that reorder what follows them or that are never seen: they make one text look like another.
HIDDEN = frozenset("\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def cleaned(report: Report) -> Report:
    """The report with every text cleaned and every value plain data. Every form but JSON is rendered from this."""
    return replace(report, **{item.name: _cleaned(getattr(report, item.name)) for item in fields(report)})


def clean(text: str) -> str:
    """Text without control and reordering characters; line ends stay, as newlines; lone surrogates become U+FFFD."""
    return "".join(map(_character, text.replace("\r\n", "\n")))


def data(value: Any, depth: int = 0) -> Any:
    """Any value as JSON holds it: NaN and infinities are null, arrays are lists, what has no such form is its type."""
    if value is None or isinstance(value, bool | np.bool_):
        return None if value is None else bool(value)
    if isinstance(value, Enum):
        return data(value.value, depth)
    if isinstance(value, str):
        return _encodable(str(value))
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {_key(key): data(item, depth + 1) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return data(value.tolist(), depth)
    if isinstance(value, set | frozenset):
        return [data(item, depth + 1) for item in sorted(value, key=str)]
    if isinstance(value, list | tuple | range):
        return [data(item, depth + 1) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: data(getattr(value, item.name), depth + 1) for item in fields(value)}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    # str() of a stranger's object may hold its address, and so differ from one rendering to the next.
    return f"<{type(value).__name__}>"


def _key(key: Any) -> str:
    plain = data(key, MAX_DEPTH)
    return plain if isinstance(plain, str) else str(plain)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode() if any("\ud800" <= c <= "\udfff" for c in text) else text


def _character(character: str) -> str:
    if character == "\n" or " " <= character <= "~":
        return character
    if character in SEPARATORS:
        return SEPARATORS[character]
    if character in HIDDEN:
        return ""
    category = unicodedata.category(character)
    if category == "Cs" or character in "\ufffe\uffff":
        return "\ufffd"
    return "" if category == "Cc" or "\U000e0000" <= character <= "\U000e007f" else character


def _cleaned(value: Any) -> Any:
    if value is None or isinstance(value, Enum | bool):
        return value
    if isinstance(value, str):
        return clean(str(value))
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(item) for key, item in data(value).items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_cleaned(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{item.name: _cleaned(getattr(value, item.name)) for item in fields(value)})
    return data(value)
