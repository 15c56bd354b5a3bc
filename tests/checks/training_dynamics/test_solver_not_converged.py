import pytest

from mlflow_clfaudit.checks.training_dynamics.solver_not_converged import solver_not_converged
from mlflow_clfaudit.evidence.estimators import Solver
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import findings, proof_of
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
    "solvers",
    [(Solver("LogisticRegression", 99, 100),), (Solver("HistGradientBoostingClassifier", 100, 100),), ()],
    ids=["converged", "boosted trees use all of theirs", "no solver"],
)
def test_quiet(solvers: tuple[Solver, ...]) -> None:
    assert findings(solver_not_converged, solvers=solvers, run=make_run()) == ()
