import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.solver_not_converged import solver_not_converged
from mlflow_clfaudit.evidence.solvers import Solver
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import findings, make_history, proof_of
from tests.runs import make_run


@pytest.mark.parametrize(
    ("score", "level"),
    [(None, Severity.WARN), (0.8, Severity.WARN), (0.97, Severity.INFO)],
    ids=["no score", "a poor score", "good all the same"],
)
def test_the_limit_was_reached(score: float | None, level: Severity) -> None:
    run = make_run(metrics={} if score is None else {"training_score": [score]})
    (finding,) = findings(solver_not_converged, solvers=(Solver("LogisticRegression", 100, 100),), run=run)
    assert finding.level is level
    assert finding.message == "LogisticRegression stopped at its limit of 100 iterations."
    assert finding.fix == "make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))"
    assert proof_of(finding).grade is Grade.A


def test_each_solver_is_judged_for_itself() -> None:
    solvers = (Solver("MLPClassifier", 200, 200), Solver("LogisticRegression", 40, 100), Solver("LinearSVC", 50, 50))
    assert [item.evidence["estimator"] for item in findings(solver_not_converged, solvers=solvers)] == [
        "MLPClassifier",
        "LinearSVC",
    ]


@pytest.mark.parametrize(
    ("losses", "level", "said"),
    [
        (None, Severity.INFO, "the best is the last."),
        ([0.5] * 10, Severity.INFO, "the best is the last."),
        (list(np.linspace(0.9, 0.3, 10)), Severity.WARN, "fell by 31% in the last 20% of them."),
    ],
    ids=["no curve", "a flat curve", "a falling curve"],
)
def test_boosting_that_was_best_in_its_last_round(losses: list[float] | None, level: Severity, said: str) -> None:
    history = None if losses is None else make_history(val_loss=losses)
    (finding,) = findings(solver_not_converged, solvers=(Solver("XGBClassifier", 10, 10, True),), history=history)
    assert finding.level is level
    assert finding.message.endswith(said)
    assert finding.fix == "n_estimators=100, with the same early_stopping_rounds"


@pytest.mark.parametrize(
    "solvers",
    [(Solver("LogisticRegression", 99, 100),), (Solver("HistGradientBoostingClassifier", 100, 100),), ()],
    ids=["converged", "boosted trees use all of theirs", "no solver"],
)
def test_quiet(solvers: tuple[Solver, ...]) -> None:
    assert findings(solver_not_converged, solvers=solvers, run=make_run()) == ()
