from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.evidence.solvers import Solver
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

# Estimators whose max_iter is the size of the model, not a limit to its solver.
BOOSTING = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
SCORES = ("training_score", "training_accuracy_score")


@check(severity=Severity.WARN)
def solver_not_converged(
    solvers: tuple[Solver, ...],
    run: Run | None = None,
    history: History | None = None,
    *,
    good: float = 0.95,
    late: float = 0.2,
    falls: float = 0.05,
) -> Iterator[Finding]:
    """The solver ended at its iteration limit, not at the solution: of scikit-learn, or boosting before it was best.

    ## Why it matters
    The coefficients are those of an unfinished search: another scaling or another limit gives another model.

    ## How it is detected
    The saved model's `n_iter_` has reached its `max_iter`. It is read from the skops file as JSON; nothing is loaded.
    Of boosted trees with early stopping, the best round is the last one allowed: a warning where the logged validation
    loss still fell by 5 % in the last fifth of the rounds, else information.

    ## Proof
    The two numbers.

    ## Fix
    Standardise the inputs (`make_pipeline(StandardScaler(), …)`), then raise `max_iter`.

    ```diff
    - model = LogisticRegression(max_iter=100)
    + model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    ```

    ## When it is legitimate
    Early stopping by the limit on purpose; a logged training score of .95 and more makes it an info. Boosted trees
    use all of their iterations by design.
    """
    logged = [run.metrics[name][1][-1] for name in SCORES if name in run.metrics] if run is not None else []
    for solver in solvers:
        if solver.estimator in BOOSTING or solver.iterations < solver.limit:
            continue
        if solver.is_boosting:
            yield _rounds(solver, None if history is None else history.validation_loss, late, falls)
            continue
        yield Finding(
            f"{solver.estimator} stopped at its limit of {solver.limit} iterations.",
            fix=f"make_pipeline(StandardScaler(), {solver.estimator}(max_iter={solver.limit * 10}))",
            severity=Severity.INFO if logged and max(logged) >= good else Severity.WARN,
            evidence={"estimator": solver.estimator, "iterations": solver.iterations, "max_iter": solver.limit},
            proof=Proof(Grade.A, "n_iter_ has reached max_iter"),
        )


def _rounds(solver: Solver, losses: np.ndarray | None, late: float, falls: float) -> Finding:
    """Boosting whose best round is its last."""
    still = 0.0
    if losses is not None and len(losses) >= solver.limit > 1 and np.all(np.isfinite(losses)) and losses[-1] > 0:
        still = 1.0 - float(losses[-1]) / float(losses[int((1 - late) * (len(losses) - 1))])
    said = f", and the validation loss fell by {still:.0%} in the last {late:.0%} of them" if still >= falls else ""
    return Finding(
        f"Early stopping of {solver.estimator} never stopped: of {solver.limit} rounds the best is the last{said}.",
        fix=f"n_estimators={solver.limit * 10}, with the same early_stopping_rounds",
        severity=Severity.WARN if still >= falls else Severity.INFO,
        evidence={"estimator": solver.estimator, "best_round": solver.iterations, "rounds": solver.limit},
        proof=Proof(Grade.A, "the best round is the last one allowed"),
    )
