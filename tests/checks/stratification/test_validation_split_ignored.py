from mlflow_clfaudit.checks.stratification.validation_split_ignored import validation_split_ignored
from mlflow_clfaudit.evidence.run import Dataset
from mlflow_clfaudit.types import Severity
from tests.kit import findings, make_fit
from tests.runs import make_run

GIVEN = make_run(datasets=(Dataset("d", "eval", "0", "code"),))


def test_fires() -> None:
    (finding,) = findings(validation_split_ignored, fit=make_fit(validation_split=0.2), run=GIVEN)
    assert finding.level is Severity.INFO


def test_quiet() -> None:
    assert findings(validation_split_ignored, fit=make_fit(), run=GIVEN) == ()
    assert findings(validation_split_ignored, fit=make_fit(validation_split=0.2), run=make_run()) == ()
