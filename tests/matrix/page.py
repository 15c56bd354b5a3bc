"""docs/versions.md, from what the rows last came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.matrix.environments import OLDER_SQLALCHEMY, lowest_versions
from tests.matrix.rows import LOWEST, MAIN, trials
from tests.matrix.trial import ROOT, Outcome

PAGE = ROOT / "docs" / "versions.md"
SHOWN = ("sqlalchemy", "numpy", "pandas", "pyarrow", "scikit-learn", "keras", "tensorflow-cpu")
NAMED = ("mlflow", *SHOWN)
BESIDE = {
    LOWEST: "every dependency at the lowest version that is declared, named below: all of the columns above, and the "
    "tests of `tests/checks`, `tests/evidence` and `tests/report` that train nothing",
    "skinny": "`mlflow-skinny` {mlflow-skinny} as the client of a server: both commands, tags and report, doctor; "
    "without a backend of Keras the model is judged by its files alone, and the report says so",
    "PostgreSQL": "PostgreSQL {postgresql} as the tracking store: train, both commands, tags and report, doctor",
    "S3": "artifacts in S3 (moto {moto}): train, both commands, tags and report",
}
PAGE_TEXT = """\
# Versions

What was tried with which MLflow, each in an environment of its own: plain scripts that train, and the commands that a
user types. Written by `make test-matrix`, which fails where a step does. Python {python} on Linux; other Pythons and
other systems were not tried.

{outcomes}

- train: a Keras network with a softmax on its one unit, and the same with a sigmoid, logged by
  `mlflow.keras.log_model` with the arrays of all splits as artifacts. The store is SQLite.
- `mlflow clfaudit` names softmax-on-one-unit and exits with 1; `mlflow-clfaudit RUN_ID --format json` finds the other
  network healthy, judged on its 200 validation rows.
- hook: an unchanged script with `mlflow.keras.autolog()` under `MLFLOW_CLFAUDIT_AUTO=1`.
- scikit-learn, server, file store: a LogisticRegression, audited with `--allow-unsafe` because older MLflow logs
  pickles; on SQLite, through `mlflow server` of that version, which proxies the artifacts, and on a file store (with
  `MLFLOW_ALLOW_FILE_STORE=true` where MLflow asks for it).

{beside}

The package asks pip for the whole of MLflow. Beside mlflow-skinny it is installed with `pip install --no-deps`, and
the rest of its dependencies by name.

{installed}

{refused}

The lowest versions, `make test-lowest`: {lowest}.
"""


def page(known: Mapping[str, Outcome]) -> str:
    """The page, in Markdown, of the rows that were tried."""
    main = [known[trial.name] for trial in trials() if trial.steps is MAIN and trial.name in known]
    outcomes = [[row.packages["mlflow"], row.date, *(row.steps[name] for name in MAIN)] for row in main]
    installed = [[row.packages.get(name, "–") for name in NAMED] for row in main]
    beside = [
        [text.format_map(row.packages), row.date, f"FAILS: {', '.join(row.failed)}" if row.failed else "works"]
        for name, text in BESIDE.items()
        if (row := known.get(name))
    ]
    refusing = {row.packages["mlflow"]: row.refused for row in known.values() if row.refused}
    refused = (
        f"MLflow {', '.join(refusing)} let pip choose SQLAlchemy {', '.join(sorted({*refusing.values()}))}, and cannot "
        f"open an SQLite store with it: `pip install '{OLDER_SQLALCHEMY}'`, as was done here."
    )
    lowest = "not tried yet"
    if row := known.get(LOWEST):
        lowest = ", ".join(f"{name} {row.packages[name]}" for name in sorted(lowest_versions()))
    return PAGE_TEXT.format(
        python=", ".join(sorted({row.python for row in known.values()})),
        outcomes=lines_of(["MLflow", "tried on", *MAIN], outcomes),
        beside=lines_of(["beside the newest MLflow", "tried on", "outcome"], beside),
        installed=lines_of(NAMED, installed),
        refused=refused if refusing else "All take the SQLAlchemy that pip chooses.",
        lowest=lowest,
    )


def lines_of(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table."""
    titles = list(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in (titles, ["---"] * len(titles), *rows))
