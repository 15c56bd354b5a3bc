import pytest

from mlflow_clfaudit.checks.training_dynamics.invalid_learning_rate import invalid_learning_rate
from mlflow_clfaudit.evidence.spec import Optimizer
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import FLAT, GOOD, TRUTH, findings, make_fit, make_served, make_spec, proof_of


@pytest.mark.parametrize(
    ("optimizer", "rate", "said"),
    [
        ("adam", -0.001, "-0.001, negative"),
        ("sgd", 0.0, "0, zero"),
        ("adam", 10.0, "10, far too high for adam"),
        ("rmsprop", 100.0, "100, far too high for rmsprop"),
    ],
)
def test_the_logged_rate_is_none_to_learn_with(optimizer: str, rate: float, said: str) -> None:
    fit = make_fit(optimizer=optimizer, learning_rate=rate)
    (finding,) = findings(invalid_learning_rate, fit=fit, served=make_served(FLAT, TRUTH))
    assert finding.level is Severity.ERROR
    assert finding.message == f"The learning rate is {said}."
    assert ("SGD" in finding.fix) is (optimizer == "sgd")
    assert proof_of(finding).grade is Grade.A


def test_the_saved_rate_counts_where_none_was_logged() -> None:
    spec = make_spec(optimizer=Optimizer("adam", {"learning_rate": 50.0}))
    (finding,) = findings(invalid_learning_rate, fit=make_fit(), spec=spec)
    assert finding.evidence == {"learning_rate": 50.0, "optimizer": "adam"}


def test_info_for_a_net_that_learnt_all_the_same() -> None:
    fit = make_fit(optimizer="adam", learning_rate=20.0)
    (finding,) = findings(invalid_learning_rate, fit=fit, served=make_served(GOOD, TRUTH))
    assert finding.level is Severity.INFO


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adam", 1e-3), ("adam", 9.0), ("sgd", 30.0), ("adadelta", 10.0), (None, None)]
)
def test_quiet(optimizer: str | None, rate: float | None) -> None:
    fit = make_fit(optimizer=optimizer, learning_rate=rate)
    assert findings(invalid_learning_rate, fit=fit, served=make_served(FLAT, TRUTH)) == ()


@pytest.mark.parametrize("rate", [0.0, {"class_name": "CosineDecay"}], ids=["decayed to zero", "a schedule"])
def test_quiet_about_what_a_schedule_saved(rate: object) -> None:
    spec = make_spec(optimizer=Optimizer("adam", {"learning_rate": rate}))
    assert findings(invalid_learning_rate, fit=make_fit(), spec=spec) == ()
    logged = make_fit(optimizer="adam", learning_rate=1e-3)
    assert findings(invalid_learning_rate, fit=logged, spec=spec) == ()
