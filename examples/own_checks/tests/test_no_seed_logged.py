import pytest
from house_checks.no_seed_logged import no_seed_logged

from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.run import Run
from mlflow_clfaudit.examine import examine_one
from mlflow_clfaudit.types import Severity, Status


def evidence(**params: str) -> Evidence:
    return Evidence({"run": Run(run_id="0" * 32, name="a-run", params=params)})


@pytest.mark.parametrize("params", [{}, {"epochs": "5"}, {"random_state": "None"}])
def test_fires(params: dict[str, str]) -> None:
    outcome = examine_one(evidence(**params), no_seed_logged)
    assert outcome.status is Status.FIRED
    assert outcome.findings[0].level is Severity.WARN


@pytest.mark.parametrize("params", [{"seed": "7"}, {"forest_random_state": "0"}])
def test_quiet(params: dict[str, str]) -> None:
    assert examine_one(evidence(**params), no_seed_logged).status is Status.PASSED


def test_skipped_without_a_run() -> None:
    assert examine_one(Evidence({}), no_seed_logged).status is Status.SKIPPED
