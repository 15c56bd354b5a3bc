from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

SCALES = (255.0, 256.0, 127.5, 100.0, 10.0)
SHOWN = 3


@check(
    severity=Severity.WARN,
    explains=("constant-prediction", "majority-accuracy", "loss-accuracy-divergence", "continuous-targets"),
)
def dirty_labels(
    labels: Labels, head: Head | None = None, history: History | None = None, *, most_classes: int = 1000
) -> Iterator[Finding]:
    """Labels are missing, were scaled like inputs, or write one class in several ways.

    ## Why it matters
    "Cat" and "cat " become two classes, a missing label becomes one of its own. Labels divided by 255 together with
    the images are floats below 1, and sparse cross-entropy cuts them off to whole numbers: every row is class 0.

    ## How it is detected
    Class names that are equal but for case, spaces or number format; empty or NaN labels; a few distinct floats that
    sparse cross-entropy would cut off to fewer classes.

    ## Proof
    The value sets before and after the repair; for scaled labels also the logged accuracy, if it is the share of the
    rows that the cut leaves right.

    ## Fix
    `y = y.str.strip().str.lower()`, `y.dropna()`, `y = y.astype("int64")` before anything is scaled.

    ```diff
    - y = encoder.fit_transform(df["label"])
    + y = encoder.fit_transform(df["label"].str.strip().str.lower())
    ```

    ## When it is legitimate
    Soft labels and label smoothing under a loss that takes them.
    """
    for split, given in labels.splits.items():
        missing = _missing(given)
        if missing:
            yield Finding(
                f"{missing} of {given.rows} {split} labels are missing.",
                fix="keep = ~pd.isna(y); X, y = X[keep], y[keep]",
                variant="missing",
                evidence={"split": split, "missing": missing, "rows": given.rows},
                proof=Proof(Grade.A, "counted", n=given.rows),
            )
            break
    yield from _twins(labels, most_classes)
    train = labels.whole or labels.train
    if train is not None and head is not None:
        yield from _scaled(train, head, history)


def _missing(labels: LabelSet) -> int:
    if labels.form == "string":
        return int(sum(labels.counts.get(name, 0) for name in ("", "nan", "NaN")))
    if labels.values.dtype.kind != "f":
        return 0
    return int(np.sum(~np.isfinite(labels.values).reshape(labels.rows, -1).all(axis=1)))


def _twins(labels: Labels, most_classes: int) -> Iterator[Finding]:
    """Names that are one when case, outer spaces and number format are set aside."""
    if not all(item.form == "string" for item in labels.splits.values()) or len(labels.classes) > most_classes:
        return
    alike: dict[str, set[str]] = defaultdict(set)
    for name in labels.classes.tolist():
        alike[_plain(name)].add(name)
    twins = [sorted(names) for plain, names in sorted(alike.items()) if len(names) > 1 and plain]
    if not twins:
        return
    shown = "; ".join(" and ".join(repr(name[:30]) for name in names) for names in twins[:SHOWN])
    yield Finding(
        f"{len(twins)} classes are written in several ways ({shown}): {len(labels.classes)} names for "
        f"{len(alike)} classes.",
        fix="y = y.str.strip().str.lower()",
        variant="twins",
        evidence={"names": len(labels.classes), "classes": len(alike)},
        proof=Proof(
            Grade.A, "names equal but for case, spaces or number format", "classes", len(labels.classes), len(alike)
        ),
    )


def _plain(name: str) -> str:
    plain = " ".join(name.split()).casefold()
    try:
        return f"{float(plain):g}"
    except ValueError:
        return plain


def _scaled(labels: LabelSet, head: Head, history: History | None) -> Iterator[Finding]:
    """Fractions under sparse cross-entropy, which cuts them off to whole numbers."""
    if head.loss is None or not head.loss.is_sparse or labels.form != "continuous":
        return
    classes = labels.classes
    whole = np.trunc(classes)
    kept = len(np.unique(whole))
    if len(classes) > 10 * max(head.units or 0, 2) or kept == len(classes):
        return
    factor = next((s for s in SCALES if np.allclose(classes * s, np.round(classes * s), atol=1e-3)), None)
    share = float(np.mean(labels.values == np.trunc(labels.values)))
    accuracy = history.accuracy if history is not None else None
    matches = accuracy is not None and len(accuracy) > 0 and abs(accuracy[-1] - share) <= 0.5 / labels.rows + 5e-3
    if history is not None and accuracy is not None and len(accuracy) and accuracy[-1] > share + 0.05:
        # More right answers than these labels allow: fit() was given others.
        return
    yield Finding(
        f"The {len(classes)} classes are fractions{f' of {factor:g}' if factor else ''}, which sparse cross-entropy "
        f"cuts off to {kept}: {share:.0%} of the training labels stay what they are.",
        fix='y = y.astype("int64"); scale the inputs alone',
        severity=Severity.ERROR,
        variant="scaled",
        evidence={"classes": len(classes), "classes_after_cut": kept, "factor": factor, "share_whole": share},
        proof=Proof(
            Grade.A,
            "the logged accuracy is the share of labels that the cut leaves alone"
            if matches
            else "the labels cut off to whole numbers",
            metric="classes",
            before=float(len(classes)),
            after=float(kept),
            n=labels.rows,
        ),
    )
