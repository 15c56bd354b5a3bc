from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import scipy

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.reproduction import Reproduction
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(
    severity=Severity.ERROR,
    explains=("not-reproduced", "labels-unrelated-to-inputs", "baseline-wins", "majority-accuracy", "overfit"),
)
def misaligned_rows(
    served: Served,
    history: History | None = None,
    reproduction: Reproduction | None = None,
    served_by_split: Mapping[str, Served] | None = None,
    *,
    rows: int = 100,
    gap: float = 0.1,
    independent: float = 0.001,
    association: float = 0.1,
    furthest: int = 64,
    significance: float = 0.001,
) -> Iterator[Finding]:
    """The held-out rows and their labels are in different orders.

    ## Why it matters
    A shuffled generator scored against `.classes`, a sorted index or dropped rows leave the right labels beside the
    wrong rows. Every number computed from them is chance, whatever the model is worth.

    ## How it is detected
    fit() logged a validation accuracy well above what is recomputed, and on the logged rows decisions and labels are
    independent (G-test above `independent`, Cramér's V below `association`) although both have the same class shares.
    Then the order is searched for: reversed, and shifted by up to `furthest` rows. The same is asked of the test rows,
    where the model does well on validation rows.

    ## Proof
    The accuracy with the labels put in the order that was found, corrected for the number of orders tried.

    ## Fix
    `shuffle=False` in the generator that predict() reads; keep an id beside X and y.

    ```diff
    - batches = generator.flow_from_directory("test")
    + batches = generator.flow_from_directory("test", shuffle=False)
      accuracy_score(batches.classes, model.predict(batches).argmax(axis=1))
    ```

    ## When it is legitimate
    Inputs that were transformed before fit() explain it as well; that is tried first.
    """
    yield from _of_test_rows(served, (served_by_split or {}).get("test"), gap, independent, association)
    curve = history.validation_accuracy if history is not None else None
    if curve is None or not len(curve) or not served.held_out or served.split != "validation" or served.rows < rows:
        return
    if reproduction is not None and reproduction.split == "validation" and not reproduction.contradicts:
        return
    logged = float(np.nanmax(curve)) if np.any(np.isfinite(curve)) else 0.0
    chance = float(
        np.dot(np.bincount(served.decision, minlength=served.classes)[: served.classes] / served.rows, served.shares)
    )
    if logged - served.accuracy < gap or logged <= float(served.shares.max()) + gap / 2:
        return
    if not _are_independent(served, independent, association):
        return
    name, accuracy, tried = _best_order(served, furthest)
    p_value = min(
        1.0, tried * float(scipy.stats.binomtest(round(accuracy * served.rows), served.rows, chance, "greater").pvalue)
    )
    restored = accuracy - served.accuracy >= gap and p_value < significance
    yield Finding(
        f"fit() logged a validation accuracy of {logged:.3g}, but on the logged rows decisions and labels have nothing "
        f"to do with each other ({served.accuracy:.3g}, chance {chance:.3g})"
        + (f": the labels are {name}." if restored else ": rows and labels are in different orders."),
        fix="predict on a generator with shuffle=False; keep an id beside X and y",
        severity=None if restored else Severity.WARN,
        variant=name if restored else None,
        evidence={"logged": logged, "recomputed": served.accuracy, "chance": chance, "orders_tried": tried},
        proof=Proof(
            Grade.B if restored else Grade.C,
            f"labels put in order: {name}" if restored else "independence of decisions and labels",
            metric="accuracy",
            before=served.accuracy,
            after=accuracy if restored else None,
            n=served.rows,
            p_value=p_value if restored else None,
        ),
    )


def _of_test_rows(
    served: Served, test: Served | None, gap: float, independent: float, association: float
) -> Iterator[Finding]:
    """Test labels that have nothing to do with the decisions of a model that is good on validation rows."""
    if test is None or served.split != "validation" or not served.held_out or test.classes != served.classes:
        return
    least = float(test.shares.max()) + 2 * gap
    worse = scipy.stats.fisher_exact(
        [[np.sum(item.decision == item.truth), np.sum(item.decision != item.truth)] for item in (served, test)],
        alternative="greater",
    ).pvalue
    if served.accuracy < least or worse > 1e-4 or not _are_independent(test, independent, association):
        return
    yield Finding(
        f"The model is right on {served.accuracy:.3g} of the validation rows, but on test rows decisions and labels "
        f"have nothing to do with each other ({test.accuracy:.3g}, with the same class shares): they are in different "
        "orders.",
        fix="predict on a generator with shuffle=False; keep an id beside X and y",
        variant="test rows",
        evidence={"validation_accuracy": served.accuracy, "test_accuracy": test.accuracy, "rows": test.rows},
        proof=Proof(
            Grade.B,
            "independence of decisions and labels on test rows, of the model that is right on validation rows",
            metric="accuracy",
            before=test.accuracy,
            after=served.accuracy,
            n=test.rows,
            p_value=float(worse),
        ),
    )


def _are_independent(served: Served, p_floor: float, association: float) -> bool:
    """Whether decisions and labels are independent although their class shares are alike."""
    table = np.zeros((served.classes, served.classes))
    inside = served.decision < served.classes
    np.add.at(table, (served.decision[inside], served.truth[inside]), 1)
    shares = np.abs(table.sum(axis=1) - table.sum(axis=0)).sum() / (2 * served.rows)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2 or shares > 0.1:
        return False
    result = scipy.stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    strength = float(scipy.stats.contingency.association(table.astype(int), method="cramer"))
    # Cramér's V of unrelated classes grows with their number.
    expected = np.sqrt((table.shape[0] - 1) * (table.shape[1] - 1) / (served.rows * (min(table.shape) - 1)))
    return bool(result.pvalue > p_floor and strength < association + expected)


def _best_order(served: Served, furthest: int) -> tuple[str, float, int]:
    """The order of the labels that the decisions agree with most, its accuracy, and how many were tried."""
    truth, decision = served.truth, served.decision
    orders = {"reversed": truth[::-1]}
    for step in range(1, min(furthest, served.rows // 4) + 1):
        orders[f"shifted down by {step} rows"] = np.roll(truth, -step)
        orders[f"shifted up by {step} rows"] = np.roll(truth, step)
    found = {name: float(np.mean(order == decision)) for name, order in orders.items()}
    best = max(found, key=lambda name: found[name])
    return best, found[best], len(orders)
