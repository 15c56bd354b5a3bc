import numpy as np

from mlflow_clfaudit.checks.training_dynamics.logged_in_training_mode import logged_in_training_mode
from mlflow_clfaudit.evidence.pytorch import ServedModes
from mlflow_clfaudit.evidence.torch_graph import TorchGraph
from mlflow_clfaudit.types import Grade, Severity
from tests.kit import GOOD, SLIGHT, TRUTH, findings, make_head, make_served, proof_of

TRAINING = TorchGraph(make_head(kind="Module"), {"x": "7"}, trained=("dropout", "batch_norm", "dropout"))


def modes(logged: np.ndarray, evaluated: np.ndarray, again: np.ndarray) -> ServedModes:
    served = make_served(logged, TRUTH)
    return ServedModes(served, again[:, None], make_served(evaluated, TRUTH), {"dropout": 2, "batch_norm": 1})


def test_answers_that_get_better_with_the_flags_off_are_an_error() -> None:
    (finding,) = findings(logged_in_training_mode, torch_graph=TRAINING, served_modes=modes(SLIGHT, GOOD, 1 - SLIGHT))
    assert finding.level is Severity.ERROR
    assert "2 dropout and 1 batch norm" in finding.message
    assert finding.evidence["rows_that_change"] == 1.0
    assert proof_of(finding).grade is Grade.B


def test_answers_that_stay_good_are_a_warning() -> None:
    (finding,) = findings(logged_in_training_mode, torch_graph=TRAINING, served_modes=modes(GOOD, GOOD, GOOD))
    assert finding.level is Severity.WARN
    assert proof_of(finding).grade is Grade.A
    assert "second pass" not in finding.message


def test_the_graph_alone_tells_it() -> None:
    (finding,) = findings(logged_in_training_mode, torch_graph=TRAINING)
    assert finding.level is Severity.WARN


def test_a_network_in_evaluation_mode_is_quiet() -> None:
    assert not findings(logged_in_training_mode, torch_graph=TorchGraph(make_head(kind="Module"), {"x": "7"}))
