import math
from typing import Any

import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.double_activation import double_activation
from mlflow_clfaudit.evidence.criterion import Criterion
from mlflow_clfaudit.evidence.history import History
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.spec import Head
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_history, make_labels, make_served, proof_of

LOGITS = {"from_logits": True}
FLOOR = math.log(1 + 9 / math.e)


def ten(**fields: object) -> Head:
    return make_head(10, "softmax", "sparse_categorical_crossentropy", loss_options=LOGITS, **fields)


def only(**given: object) -> Finding:
    (finding,) = findings(double_activation, **given)
    return finding


def test_info_on_tensorflow_where_the_logits_are_taken() -> None:
    finding = only(head=ten(backend="tensorflow"))
    assert (finding.level, finding.variant) == (Severity.INFO, "from-logits")


def test_a_loss_below_the_floor_proves_that_no_harm_was_done() -> None:
    finding = only(head=ten(after=("reshape",)), history=make_history(loss=[1.2, 0.17]))
    assert finding.level is Severity.INFO
    assert proof_of(finding).grade is Grade.A


@pytest.mark.parametrize("fields", [{"backend": "jax"}, {"after": ("reshape",)}, {"dtype": "bfloat16"}])
def test_a_loss_that_rests_on_the_floor_is_an_error(fields: dict[str, object]) -> None:
    finding = only(head=ten(**fields), history=make_history(loss=[1.8, 1.47], val_loss=[1.9, 1.49]))
    assert finding.level is Severity.ERROR
    assert finding.evidence["floor"] == pytest.approx(1.4612, abs=1e-4)
    assert "cannot fall below 1.46" in finding.message


def test_a_loss_above_the_floor_says_neither() -> None:
    assert only(head=ten(backend="jax"), history=make_history(loss=[2.3, 2.0])).level is Severity.WARN


def test_two_classes_on_one_unit() -> None:
    head = make_head(1, "sigmoid", "binary_crossentropy", loss_options=LOGITS, backend="torch")
    labels = make_labels(train=[0] * 60 + [1] * 40)
    finding = only(head=head, labels=labels, history=make_history(loss=[0.7, 0.545]))
    assert finding.evidence["floor"] == pytest.approx(0.4 * 0.3133 + 0.6 * 0.6931, abs=1e-4)
    assert finding.level is Severity.ERROR


@pytest.mark.parametrize(
    "head",
    [
        make_head(1, "sigmoid", "binary_focal_crossentropy", loss_options=LOGITS, backend="torch"),
        make_head(1, "softmax", "categorical_crossentropy", loss_options=LOGITS, backend="torch"),
    ],
    ids=["focal loss", "one unit of a categorical loss"],
)
def test_a_loss_without_a_known_floor_says_neither(head: Head) -> None:
    labels = make_labels(train=[0] * 60 + [1] * 40)
    finding = only(head=head, labels=labels, history=make_history(loss=[0.7, 0.1]))
    assert (finding.level, finding.evidence["floor"]) == (Severity.WARN, None)


def test_two_classes_on_one_unit_whose_labels_are_not_known() -> None:
    head = make_head(1, "sigmoid", "binary_crossentropy", loss_options=LOGITS, backend="torch")
    assert only(head=head, history=make_history(loss=[0.7, 0.545])).level is Severity.WARN


@pytest.mark.parametrize(
    ("head", "criterion", "outputs", "served_again"),
    [
        (make_head(3, "softmax", None, kind="Module"), "CrossEntropyLoss", np.eye(3) * 0.97 + 0.01, 0.5644),
        (make_head(1, "sigmoid", None, kind="Module"), "BCEWithLogitsLoss", np.array([0.02, 0.98, 0.98]), 0.447),
    ],
    ids=["softmax", "sigmoid"],
)
def test_a_network_of_pytorch_whose_logged_loss_is_that_of_a_second_one(
    head: Head, criterion: str, outputs: np.ndarray, served_again: float
) -> None:
    truth = [0, 1, 2] if len(outputs.shape) == 2 else [0, 1, 1]
    given = {"head": head, "labels": make_labels(train=truth), "served": make_served(outputs, truth, head=head)}
    finding = only(**given, history=make_history(loss=[0.9, served_again], val_loss=[0.9, served_again]))
    assert (finding.level, finding.variant) == (Severity.ERROR, "criterion")
    assert criterion in finding.message
    proof = proof_of(finding)
    assert (proof.grade, proof.after) == (Grade.A, pytest.approx(served_again, rel=0.01))
    other = make_history(loss=[0.9, served_again * 1.1], val_loss=[0.9, served_again * 1.1])
    assert findings(double_activation, **given, history=other) == (), "the logged loss is another"


def test_a_network_of_pytorch_that_did_not_run_stays_suspected() -> None:
    head = make_head(3, "softmax", None, kind="Module")
    finding = only(head=head, history=make_history(loss=[0.9, 0.56]))
    assert finding.level is Severity.INFO
    assert "are not at hand" in finding.unproven
    assert findings(double_activation, head=head, history=make_history(loss=[0.9, 0.2])) == (), "below the floor"


def test_a_softmax_behind_a_softmax() -> None:
    head = make_head(10, "softmax", "categorical_crossentropy")
    head = Head(**{**vars(head), "activations": ("softmax", "softmax")})
    finding = only(head=head, history=make_history(loss=[1.9, FLOOR * 1.01]))
    assert (finding.level, finding.variant) == (Severity.ERROR, "stacked")


@pytest.mark.parametrize(
    "head",
    [
        make_head(10, "softmax", "sparse_categorical_crossentropy"),
        make_head(10, "linear", "sparse_categorical_crossentropy", loss_options=LOGITS),
        make_head(10, "softmax", "mean_squared_error"),
        make_head(10, "softmax", None),
        make_head(10, "softmax", "sparse_categorical_crossentropy", loss_options=LOGITS, opaque=("lambda",)),
        Head(units=3, activations=("relu", "softmax"), loss=make_head(loss="categorical_crossentropy").loss),
    ],
    ids=["softmax", "logits", "mse", "no loss", "lambda", "relu before"],
)
def test_quiet_where_it_is_legitimate(head: Head) -> None:
    assert findings(double_activation, head=head, history=make_history(loss=[1.9, FLOOR])) == ()


SOFTMAX = make_head(3, "softmax", None, kind="Module")
CLASSES = np.tile([0, 1, 2], 50)
WEIGHTS = np.array([1.0, 2.0, 3.0])
CROSS_ENTROPY = Criterion("CrossEntropyLoss", "self.loss")


def sure(head: Head = SOFTMAX) -> Served:
    """Nine rows in ten answered rightly, with .98."""
    answered = np.where(np.arange(150) % 10 == 0, (CLASSES + 1) % 3, CLASSES)
    outputs = np.where(np.eye(3, dtype=bool)[answered], 0.98, 0.01)
    return Served("validation", held_out=True, head=head, outputs=outputs, truth=CLASSES, classes=3)


def logged_twice(weight: np.ndarray | None = None, smoothing: float = 0.0) -> float:
    """The loss that PyTorch reports of these outputs, given to it for logits."""
    torch = pytest.importorskip("torch")
    weights = None if weight is None else torch.tensor(weight)
    loss = torch.nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing)
    return float(loss(torch.tensor(sure().outputs), torch.tensor(CLASSES)))


@pytest.mark.parametrize(
    "criterion",
    [
        None,
        CROSS_ENTROPY,
        Criterion("CrossEntropyLoss", "self.loss", WEIGHTS),
        Criterion("CrossEntropyLoss", "self.loss", WEIGHTS, 0.1),
    ],
    ids=["not said", "plain", "weighted", "smoothed"],
)
def test_the_loss_of_a_second_softmax_is_proven_with_what_the_module_keeps(criterion: Criterion | None) -> None:
    kept: tuple[Any, ...] = () if criterion is None else (criterion.weight, criterion.smoothing)
    value = logged_twice(*kept)
    given = {} if criterion is None else {"criterion": criterion}
    finding = only(head=SOFTMAX, history=make_history(val_loss=[1.09, value]), served=sure(), **given)
    assert finding.level is Severity.ERROR
    assert proof_of(finding).after == pytest.approx(value)
    assert ("self.loss" in finding.message) == (criterion is not None)


def test_a_loss_that_the_module_keeps_is_no_proof_alone() -> None:
    finding = only(head=SOFTMAX, served=sure(), criterion=CROSS_ENTROPY)
    assert finding.level is Severity.INFO
    finding = only(head=SOFTMAX, served=sure(), criterion=CROSS_ENTROPY, history=make_history(val_loss=[1.09, 0.9]))
    assert finding.level is Severity.INFO
    assert finding.unproven == "no logged loss is that of the served outputs passed through it again"


@pytest.mark.parametrize(
    ("activation", "criterion", "least"),
    [
        ("softmax", CROSS_ENTROPY, 0.2),
        ("softmax", Criterion("NLLLoss", "self.loss"), 0.6),
        ("log_softmax", CROSS_ENTROPY, 0.6),
        ("linear", CROSS_ENTROPY, 0.6),
    ],
    ids=["logits in the loss", "logarithms in the loss", "a log_softmax changes nothing twice", "logits"],
)
def test_quiet_where_a_network_of_pytorch_is_healthy(activation: str, criterion: Criterion, least: float) -> None:
    head = make_head(3, activation, None, kind="Module")
    history = make_history(val_loss=[1.09, least])
    assert findings(double_activation, head=head, served=sure(head), history=history, criterion=criterion) == ()


def test_the_known_loss_of_keras_is_met_exactly_by_the_second_activation() -> None:
    head = make_head(3, "softmax", "sparse_categorical_crossentropy", loss_options=LOGITS, after=("rescaling",))
    truth = np.tile([0, 1, 2], 40)
    served = make_served(0.4 * np.eye(3)[truth] + 0.2, truth, head=head)
    twice = float(np.log(np.exp(0.6) + 2 * np.exp(0.2)) - 0.6)
    given = {"head": head, "labels": make_labels(train=truth.tolist()), "served": served}
    finding = only(**given, history=make_history(loss=[1.1, twice], val_loss=[1.1, twice]))
    assert finding.level is Severity.ERROR
    assert proof_of(finding).grade is Grade.A
    other = only(**given, history=make_history(loss=[1.1, twice], val_loss=[1.1, 1.001 * twice]))
    assert (other.level, other.proof) == (Severity.WARN, None), "near is not enough where the loss is known"


@pytest.mark.parametrize("history", [make_history(), make_history(loss=[2.0, 1.8])], ids=["no curve", "a high loss"])
def test_quiet_where_nothing_says_that_the_loss_applies_it_again(history: History) -> None:
    assert findings(double_activation, head=SOFTMAX, served=sure(), history=history) == ()


def test_the_weighted_loss_of_a_second_sigmoid_is_proven() -> None:
    torch = pytest.importorskip("torch")
    truth = np.tile([0, 1], 60)
    outputs = np.where(truth == 1, 0.98, 0.02)
    loss = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))
    value = float(loss(torch.tensor(outputs), torch.tensor(truth, dtype=torch.float64)))
    head = make_head(1, "sigmoid", None, kind="Module")
    finding = only(
        head=head,
        labels=make_labels(train=truth),
        served=make_served(outputs, truth, head=head),
        history=make_history(val_loss=[1.2, value]),
        criterion=Criterion("BCEWithLogitsLoss", "self.loss", np.array([1.0, 3.0])),
    )
    assert finding.level is Severity.ERROR
    assert proof_of(finding).after == pytest.approx(value)
