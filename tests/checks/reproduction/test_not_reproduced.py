import numpy as np
import pytest

from mlflow_clfaudit.checks.reproduction.not_reproduced import not_reproduced
from mlflow_clfaudit.evidence.reproduction import Reproduction
from mlflow_clfaudit.evidence.spec import Optimizer
from mlflow_clfaudit.types import Severity, Status
from tests.kit import findings, make_spec, outcome

LOGGED = np.array([0.9, 0.5, 0.3, 0.2, 0.25])


def reproduced(loss: float, split: str = "validation", logged: np.ndarray = LOGGED) -> Reproduction:
    return Reproduction(split, 100, loss, {"loss": loss}, logged)


def test_fires_where_no_epoch_had_this_loss() -> None:
    (finding,) = findings(not_reproduced, reproduction=reproduced(7.3), spec=make_spec())
    assert finding.level is Severity.INFO
    assert "the nearest logged val_loss is 0.9" in finding.message


def test_a_loss_that_is_not_finite_contradicts() -> None:
    (finding,) = findings(not_reproduced, reproduction=reproduced(float("nan")), spec=make_spec())
    assert "nan" in finding.message
    diverged = reproduced(float("nan"), logged=np.array([0.9, 5.0, np.nan]))
    assert findings(not_reproduced, reproduction=diverged, spec=make_spec()) == ()


@pytest.mark.parametrize("loss", [0.25, 0.2, 0.9, 0.3001, 0.2 * (1 + 1e-5), 0.2 * 1.01])
def test_quiet_where_some_epoch_had_it(loss: float) -> None:
    assert findings(not_reproduced, reproduction=reproduced(loss), spec=make_spec()) == ()


def test_names_the_epoch_that_was_restored() -> None:
    assert reproduced(0.2).epoch == 3
    assert reproduced(0.2).is_exact
    assert not reproduced(0.2 * 1.01).is_exact
    assert not reproduced(0.2 * 1.01).contradicts


def test_tiny_losses_are_compared_absolutely() -> None:
    assert reproduced(3e-7, logged=np.array([0.1, 1e-7])).is_exact


def test_quiet_where_a_transform_explains_it_and_where_weights_were_averaged() -> None:
    given = {"reproduction": reproduced(7.3), "spec": make_spec()}
    assert findings(not_reproduced, **given, input_transform=lambda array: array / 255) == ()
    averaged = make_spec(optimizer=Optimizer("adam", {"use_ema": True}))
    assert findings(not_reproduced, reproduction=reproduced(7.3), spec=averaged) == ()


def test_test_rows_do_not_contradict() -> None:
    result = outcome(not_reproduced, reproduction=reproduced(7.3, "test"), spec=make_spec())
    assert result.status is Status.SKIPPED
