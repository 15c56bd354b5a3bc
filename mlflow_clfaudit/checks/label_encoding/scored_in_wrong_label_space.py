from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.scores import Reading
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

WRONG_SPACES = {
    "label space": "class numbers 0 to K - 1 with the labels as they were stored",
    "labels up by one": "class numbers with labels that count from 1",
    "labels down by one": "class numbers that count from 1 with labels that count from 0",
}


@check(severity=Severity.ERROR, explains=("metric-misresolved", "argmax-on-one-column", "majority-accuracy"))
def scored_in_wrong_label_space(
    readings: tuple[Reading, ...], *, gap: float = 0.05, minimum_rows: int = 50, wide_gap: float = 0.5
) -> Iterator[Finding]:
    """The logged accuracy compares encoded predictions with labels that were not encoded.

    ## Why it matters
    `accuracy_score(model.predict_classes(X), y_raw)` with labels 1 and 2 scores 0.0 for a perfect net and 0.5 for a
    constant one. The number is wrong, not the model.

    ## How it is detected
    The logged accuracy is, to one row, that of the decisions against labels shifted by one or not encoded, and not
    that against the encoded labels, from which it is `gap` away or more; on fewer than `minimum_rows`, where an
    accuracy is one of few numbers, `wide_gap`.

    ## Proof
    Both accuracies, recomputed on the same rows.

    ## Fix
    `accuracy_score(y_raw, encoder.inverse_transform(predictions))`

    ```diff
    - accuracy_score(y_raw, predictions)
    + accuracy_score(y_raw, encoder.inverse_transform(predictions))
    ```

    ## When it is legitimate
    Never.
    """
    for reading in readings:
        if reading.score.kind != "accuracy" or reading.is_proper:
            continue
        least = gap if reading.rows >= minimum_rows else wide_gap
        space = next((name for name in reading.matches if name in WRONG_SPACES), None)
        # Only where no simpler mistake gives the same number, and where it matters.
        if space is None or reading.match != space or reading.proper - reading.score.value < least:
            continue
        yield Finding(
            f"{reading.score.name} = {reading.score.value:.4g} compares {WRONG_SPACES[space]}: in one label space the "
            f"accuracy is {reading.proper:.4g}.",
            fix="accuracy_score(y_raw, encoder.inverse_transform(predictions))",
            variant=space,
            evidence={"logged": reading.score.value, "proper": reading.proper, "rows": reading.rows},
            proof=Proof(
                Grade.A,
                "the accuracy in the wrong label space equals the logged one",
                metric="accuracy",
                before=reading.score.value,
                after=reading.proper,
                n=reading.rows,
            ),
        )
        return
