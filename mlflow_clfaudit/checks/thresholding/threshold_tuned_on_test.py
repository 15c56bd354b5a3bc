from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from mlflow_clfaudit import measures
from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


def _f1(truth: np.ndarray, decision: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, decision, zero_division=0))


CRITERIA: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "balanced accuracy": measures.balanced_accuracy,
    "F1": _f1,
    "accuracy": lambda truth, decision: float(np.mean(truth == decision)),
}


@check(severity=Severity.WARN)
def threshold_tuned_on_test(
    served_by_split: Mapping[str, Served], run: Run, *, gap: float = 0.005, digits: float = 1e-6
) -> Iterator[Finding]:
    """The logged threshold is the best one for the test rows, so the test score was chosen, not measured.

    ## Why it matters
    The best threshold on a set scores too well on that set: on noise alone it gains .13 of Youden's J on average.

    ## How it is detected
    A logged threshold that is one of the test scores to six digits and none of the validation scores, and that is the
    optimum of balanced accuracy, F1 or accuracy on the test rows but not on the validation rows.

    ## Proof
    The two optima.

    ## Fix
    Choose the threshold on validation rows (`TunedThresholdClassifierCV`), then score the test rows once.

    ```diff
    - threshold = max(candidates, key=lambda t: f1_score(y_test, p_test > t))
    + threshold = max(candidates, key=lambda t: f1_score(y_val, p_val > t))
      f1_score(y_test, p_test > threshold)
    ```

    ## When it is legitimate
    Nested cross-validation.
    """
    if not {"validation", "test"} <= set(served_by_split):
        raise Missing(
            "the run has no validation and test rows with labels", 'mlflow.log_artifact("X_test.npy", "data")'
        )
    logged = _threshold(run)
    if logged is None:
        raise Missing("the run logged no threshold", 'mlflow.log_param("threshold", t)')
    validation, test = served_by_split["validation"], served_by_split["test"]
    if test.scores is None or validation.scores is None:
        return
    name, threshold = logged
    if not np.any(np.abs(test.scores - threshold) < digits) or np.any(np.abs(validation.scores - threshold) < digits):
        return
    for criterion, score in CRITERIA.items():
        on_test, on_validation = (_shortfall(score, served, threshold, digits) for served in (test, validation))
        if on_test > 1e-9 or on_validation < gap:
            continue
        yield Finding(
            f"The logged {name} of {threshold:.6g} is a score of the test rows and gives their best {criterion}; on "
            f"the validation rows it is {on_validation:.3f} below the best.",
            fix="TunedThresholdClassifierCV(model, cv='prefit').fit(X_val, y_val)",
            evidence={"threshold": threshold, "criterion": criterion, "below_best_on_validation": on_validation},
            proof=Proof(Grade.A, f"the best {criterion} on the test rows is at the logged threshold", n=test.rows),
        )
        return


def _threshold(run: Run) -> tuple[str, float] | None:
    for name, text in run.params.items():
        if "threshold" in name.lower():
            try:
                return name, float(text)
            except ValueError:
                continue
    for name, (_, values) in run.metrics.items():
        if "threshold" in name.lower() and len(values):
            return name, float(values[-1])
    return None


def _shortfall(
    score: Callable[[np.ndarray, np.ndarray], float], served: Served, threshold: float, digits: float
) -> float:
    """How far the score at the threshold is below the best of all, a row at the threshold being either class."""
    scores = np.asarray(served.scores)
    candidates = np.unique(scores)
    if len(candidates) > 2_000:
        candidates = np.quantile(candidates, np.linspace(0, 1, 2_000))
    best = max(score(served.truth, (scores >= candidate).astype(int)) for candidate in candidates)
    reached = (score(served.truth, (scores > threshold + sign * digits).astype(int)) for sign in (-1, 1))
    return best - max(reached)
