from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.evidence.estimators import Solver
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity

# Estimators whose max_iter is the size of the model, not a limit to its solver.
BOOSTING = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
SCORES = ("training_score", "training_accuracy_score")


@check(severity=Severity.WARN)
def solver_not_converged(
    solvers: tuple[Solver, ...], run: Run | None = None, *, good: float = 0.95
) -> Iterator[Finding]:
    """The solver of a scikit-learn estimator ended at its iteration limit, not at the solution.

    ## Why it matters
    The coefficients are those of an unfinished search: another scaling or another limit gives another model.

    ## How it is detected
    The saved model's `n_iter_` has reached its `max_iter`. It is read from the skops file as JSON; nothing is loaded.

    ## Proof
    The two numbers.

    ## Fix
    Standardise the inputs (`make_pipeline(StandardScaler(), …)`), then raise `max_iter`.

    ## When it is legitimate
    Early stopping by the limit on purpose; a logged training score of .95 and more makes it an info. Boosted trees
    use all of their iterations by design.
    """
    logged = [run.metrics[name][1][-1] for name in SCORES if name in run.metrics] if run is not None else []
    for solver in solvers:
        if solver.estimator in BOOSTING or solver.iterations < solver.limit:
            continue
        yield Finding(
            f"{solver.estimator} stopped at its limit of {solver.limit} iterations.",
            fix=f"make_pipeline(StandardScaler(), {solver.estimator}(max_iter={solver.limit * 10}))",
            severity=Severity.INFO if logged and max(logged) >= good else Severity.WARN,
            evidence={"estimator": solver.estimator, "iterations": solver.iterations, "max_iter": solver.limit},
            proof=Proof(Grade.A, "n_iter_ has reached max_iter"),
        )
