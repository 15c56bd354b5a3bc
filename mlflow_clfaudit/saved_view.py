"""The view "clfaudit" of an experiment's runs table: verdict, root cause and severity as columns, faulty runs first.

MLflow keeps a view that users share as an experiment tag. Its form is not documented: this is what MLflow 3.17 reads.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping

NAME = "clfaudit"
TAG = f"mlflow.sharedViewState.{NAME}"
# MLflow drops this field when a person saves the view again, and from then on the view is theirs.
OURS = "writtenBy"
# In this order, with widths in pixels that show a name whole; "runDateAndNestInfo" is MLflow's column Created.
WIDTHS = {
    "attributes.`Run Name`": 190,
    "tags.`clfaudit.verdict`": 130,
    "tags.`clfaudit.root_cause`": 230,
    "tags.`clfaudit.severity`": 130,
    "tags.`clfaudit.review`": 130,
    "metrics.`clfaudit/balanced_accuracy`": 205,
    "runDateAndNestInfo": 150,
    "attributes.`Models`": 150,
}
STATE = {
    "selectedColumns": [name for name in WIDTHS if "`" in name and name != "attributes.`Run Name`"],
    "columnOrder": list(WIDTHS),
    "columnWidths": WIDTHS,
    "orderByKey": "metrics.`clfaudit/severity`",
    "orderByAsc": False,
}


def to_write(experiment_tags: Mapping[str, str], now: int) -> str | None:
    """The tag's new value; None where the view is there as it should be, or is no longer ours. `now` is in ms."""
    kept = experiment_tags.get(TAG)
    if not kept:
        return _written(now)
    try:
        view = json.loads(kept)
    except ValueError:
        return None
    if not isinstance(view, dict) or view.get(OURS) != NAME or view.get("state") == _state():
        return None
    return _written(now)


def _written(now: int) -> str:
    return json.dumps({"name": NAME, "createdAt": now, "updatedAt": now, "state": _state(), OURS: NAME})


def _state() -> str:
    packed = zlib.compress(json.dumps(STATE).encode(), 9)
    return f"deflate;{base64.b64encode(packed).decode()}"
