from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.evidence.splits import SplitCodes
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.ERROR, explains=("class-shift",))
def class_missing_from_split(
    split_codes: SplitCodes, split_design: str | None = None, *, chance: float = 0.001
) -> Iterator[Finding]:
    """A class occurs in one split only: it can never be predicted, or its quality was never measured.

    ## Why it matters
    A net has no way to answer a class that its training rows lack, and every held-out row of it is an error; a class
    that the held-out rows lack takes part in no metric.

    ## How it is detected
    A class of one split that another has none of, where the hypergeometric chance that a random split left it out,
    times the number of classes, is below .001.

    ## Proof
    The class counts.

    ## Fix
    `train_test_split(..., stratify=y)`; merge or drop classes with too few rows to split.

    ```diff
    - X_train, X_val, y_train, y_val = train_test_split(X, y, shuffle=False)
    + X_train, X_val, y_train, y_val = train_test_split(X, y, stratify=y, random_state=0)
    ```

    ## When it is legitimate
    Open-set tests, and splits by time or by group: information only. A class of a handful of rows may be left out by
    chance; that is not reported.

    ## Measured
    Seed 004: none of 50 positives among 164 of 817 rows, chance 9.2e-6. A class of 5 rows and a fifth held out: .33.
    1,000 random honest splits (2 to 100 classes, 50 to 50,000 rows): 0 alarms.
    """
    for first, second in split_codes.pairs():
        if "train" in split_codes.codes and first != "train":
            continue
        one, other = split_codes.counts(first), split_codes.counts(second)
        rows = int(one.sum() + other.sum())
        lost: dict[str, list[tuple[str, int, float]]] = {first: [], second: []}
        for split, mine, theirs in ((first, one, other), (second, other, one)):
            for code in np.flatnonzero((mine == 0) & (theirs > 0)):
                by_chance = measures.chance_of_absence(rows, int(theirs[code]), int(mine.sum()))
                if by_chance * len(split_codes.classes) < chance:
                    lost[split].append((str(split_codes.classes[code]), int(theirs[code]), by_chance))
        for split, classes in lost.items():
            if not classes:
                continue
            where = second if split == first else first
            named = ", ".join(name for name, _, _ in classes[:5]) + (" …" if len(classes) > 5 else "")
            effect = "can never be predicted" if split == "train" else "is measured nowhere there"
            yield Finding(
                f"Class {named} has {sum(count for _, count, _ in classes)} {where} rows and no {split} rows: it "
                f"{effect}.",
                fix="train_test_split(X, y, stratify=y, random_state=0)",
                severity=Severity.INFO if split_design else Severity.ERROR,
                evidence={
                    "missing_from": split,
                    "present_in": where,
                    "classes": [name for name, _, _ in classes],
                    "rows": [count for _, count, _ in classes],
                    "chance": max(by_chance for _, _, by_chance in classes),
                    "design": split_design,
                },
                proof=Proof(Grade.A, f"the {first} and {second} labels, counted", n=rows),
            )
