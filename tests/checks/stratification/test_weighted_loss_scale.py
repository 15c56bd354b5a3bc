import numpy as np
import pytest

from mlflow_clfaudit.checks.stratification.weighted_loss_scale import weighted_loss_scale
from mlflow_clfaudit.evidence.weighting import ClassWeighting
from mlflow_clfaudit.types import Severity, Status
from tests.checks.stratification.test_class_weight_without_effect import given
from tests.kit import findings, make_history, outcome

CURVES = make_history(loss=[1.0, 0.5], val_loss=[0.3, 0.2])


def test_fires_on_weights_with_another_mean() -> None:
    (finding,) = findings(weighted_loss_scale, **given({0: 1.0, 1: 17.0}, history=CURVES))
    assert finding.level is Severity.INFO
    assert finding.evidence["mean_weight"] == pytest.approx(0.9 + 1.7)


def test_quiet_on_balanced_weights_and_without_two_curves() -> None:
    assert findings(weighted_loss_scale, **given({0: 0.56, 1: 5.0}, history=CURVES)) == ()
    assert findings(weighted_loss_scale, **given({0: 1.0, 1: 17.0}, history=make_history(loss=[1.0, 0.5]))) == ()


def test_skipped_where_the_library_divides_by_the_weights() -> None:
    weighting = ClassWeighting(
        {0: 1.0, 1: 17.0}, np.array([0, 1]), np.array([360, 40]), np.array([1.0, 17.0]), "PyTorch"
    )
    result = outcome(weighted_loss_scale, class_weighting=weighting, history=CURVES)
    assert result.status is Status.SKIPPED
    assert "only Keras" in result.reason
