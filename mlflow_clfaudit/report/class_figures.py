"""The classes of a run as its pictures have them: what they are called, and their shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence.labels import Labels

SPLITS = ("train", "validation", "test")
MAX_CLASSES = 30
MAX_NAME = 40


def class_names(labels: Labels | None, classes: int) -> list[str]:
    """What to call each class index: the run's own names, else the labels that the indices stand for."""
    known: list[Any] = []
    if labels is not None:
        if labels.names and len(labels.names) == classes:
            known = list(labels.names)
        elif _are_sorted_codes(labels, classes):
            known = labels.classes.tolist()
    names = [str(name) for name in known] or [str(index) for index in range(classes)]
    return [name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…" for name in names]


def shares(labels: Labels) -> dict[str, Any] | None:
    """The share of each class in each split; of more than 30 classes, those of the 30 largest."""
    ordered = sorted(labels.splits.items(), key=lambda item: (*SPLITS, item[0]).index(item[0]))
    single = {split: item for split, item in ordered if item.is_single_label}
    if not single:
        return None
    counts = {split: {str(code): rows for code, rows in item.counts.items()} for split, item in single.items()}
    totals: dict[str, int] = {}
    for by_code in counts.values():
        for code, count in by_code.items():
            totals[code] = totals.get(code, 0) + count
    order = _in_order(totals)
    kept = order
    if len(order) > MAX_CLASSES:
        largest = set(sorted(order, key=lambda code: -totals[code])[:MAX_CLASSES])
        kept = [code for code in order if code in largest]
    rows = {split: item.rows for split, item in single.items()}
    shown = {split: [by_code.get(code, 0) / rows[split] for code in kept] for split, by_code in counts.items()}
    named = _by_name(labels, order)
    names = [named.get(code, code)[:MAX_NAME] for code in kept]
    return {"labels": names, "splits": shown, "rows": rows, "classes": len(order)}


def _are_sorted_codes(labels: Labels, classes: int) -> bool:
    """Whether index i stands for the i-th of the sorted labels; indices that are the labels themselves are."""
    return len(labels.classes) == classes and all(item.is_single_label for item in labels.splits.values())


def _by_name(labels: Labels, order: list[str]) -> Mapping[str, str]:
    if not labels.names or len(labels.names) != len(order) or order != [str(i) for i in range(len(order))]:
        return {}
    return dict(zip(order, map(str, labels.names), strict=True))


def _in_order(codes: Mapping[str, int]) -> list[str]:
    try:
        return sorted(codes, key=float)
    except ValueError:
        return sorted(codes)
