"""The rows of the judged split that the served model gets wrong, the worst first: where a person looks for bad labels.

A row is named by its place in its split. Nothing of its inputs is kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlflow_clfaudit.report.class_figures import class_names
from mlflow_clfaudit.report.plain import clean, data
from mlflow_clfaudit.types import SuspiciousRow

if TYPE_CHECKING:
    from mlflow_clfaudit.evidence import Evidence
    from mlflow_clfaudit.evidence.inputs import RowHashes
    from mlflow_clfaudit.evidence.labels import Labels
    from mlflow_clfaudit.evidence.served import Served

COLUMNS = ("row", "split", "label", "prediction", "score", "why")
MAX_ROWS = 100


def suspicious_rows(evidence: Evidence) -> tuple[SuspiciousRow, ...]:
    """At most 100 rows, from evidence that the audit has computed anyway; none where all rows are served alike."""
    served: Served | None = evidence.peek("served")
    if served is None or served.rows == 0 or np.unique(served.decision).size < 2:
        return ()
    return tuple(_worst(served, evidence.peek("labels"), evidence.peek("row_hashes")))


def to_table(rows: Sequence[SuspiciousRow]) -> str:
    """The rows as MLflow's own log_table writes them, so that its pages show a table."""
    values = [[getattr(row, column) for column in COLUMNS] for row in rows]
    return json.dumps({"columns": COLUMNS, "data": data(values, clean)}, ensure_ascii=False)


def _worst(
    served: Served, labels: Labels | None, hashes: RowHashes | None, *, confident: float = 0.9, close: float = 0.1
) -> list[SuspiciousRow]:
    """The wrong rows by how little the model thought of their labels; `confident` and `close` are probabilities."""
    truth, decision = served.truth, served.decision
    scores = served.probabilities
    is_probability = scores is not None
    if scores is None:
        column = served.outputs[:, 0] - served.head.threshold
        scores = np.column_stack([-column, column]) if served.width == 1 else served.outputs
    width = max(scores.shape[1], int(truth.max()) + 1, int(decision.max()) + 1)
    # A class that has no output of its own was given nothing.
    padded = np.full((served.rows, width), 0.0 if is_probability else -np.inf)
    padded[:, : scores.shape[1]] = np.nan_to_num(scores, nan=-np.inf)
    every = np.arange(served.rows)
    of_label, of_decision = padded[every, truth], padded[every, decision]
    wrong = np.flatnonzero(decision != truth)
    order = wrong[np.lexsort((wrong, -of_decision[wrong], of_label[wrong]))][:MAX_ROWS]
    names = [clean(name) for name in class_names(labels, width)]
    twice = _contradicted(served, hashes)
    found = []
    for row in order.tolist():
        score, given = float(of_decision[row]), float(of_label[row])
        parts = [f"served as {names[decision[row]]}"]
        if is_probability:
            how = "confidently wrong" if score >= confident else "a close call" if score - given < close else "wrong"
            parts = [f"{how}: {names[decision[row]]} at {score:.2f}, its label at {given:.2f}"]
        if twice[row]:
            parts.append("the same inputs occur with another label")
        label = names[truth[row]]
        found.append(SuspiciousRow(row, served.split, label, names[decision[row]], round(score, 4), "; ".join(parts)))
    return found


def _contradicted(served: Served, hashes: RowHashes | None) -> np.ndarray:
    """Which rows have inputs that occur with another label too, (N,) bool; none where rows were not compared."""
    known = hashes.splits.get(served.split) if hashes is not None else None
    if known is None or len(known) != served.rows:
        return np.zeros(served.rows, dtype=bool)
    _, group = np.unique(known, return_inverse=True)
    lowest = np.full(group.max() + 1, np.iinfo(np.int64).max)
    highest = np.full(group.max() + 1, -1)
    np.minimum.at(lowest, group, served.truth)
    np.maximum.at(highest, group, served.truth)
    return np.asarray((lowest != highest)[group])
