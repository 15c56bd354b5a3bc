"""Healthy programs that a simple rule would flag: each is right for the reason that its `why` gives."""

from __future__ import annotations

from tests.corpus.healthy import decisions, estimators, labels, losses, others, splits, training
from tests.corpus.program import Program

PROGRAMS: tuple[Program, ...] = tuple(
    value
    for module in (losses, labels, splits, decisions, training, others, estimators)
    for value in vars(module).values()
    if isinstance(value, Program)
)
