"""Networks of PyTorch: trained here, logged as MLflow logs them, judged through the public entry point."""

from __future__ import annotations

import copy
import json
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.criterion import criterion, kept_by
from mlflow_clfaudit.evidence.torch_graph import must_be_harmless
from mlflow_clfaudit.types import Confidence, Severity, Status, Verdict
from tests.kit import proof_of, ran
from tests.runs import make_run
from tests.table import Table, alarms, audited, found, log_curves, log_rows, table

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")
Losses = Callable[[Any, Any], Any]


def net(units: int, *behind: Any, dropout: float = 0.0) -> Any:
    torch.manual_seed(0)
    hidden = [torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Dropout(dropout)]
    return torch.nn.Sequential(*hidden, torch.nn.Linear(32, units), *behind)


def train(model: Any, rows: Table, loss: Losses, *, epochs: int = 120, rate: float = 0.02) -> dict[str, list[float]]:
    """Train on all rows at once; the curves as people log them."""
    optimizer = torch.optim.Adam(model.parameters(), rate)
    x, y = torch.tensor(rows.x_train).float(), torch.tensor(rows.y_train)
    held, truth = torch.tensor(rows.x_val).float(), torch.tensor(rows.y_val)
    curves: dict[str, list[float]] = {"train_loss": [], "val_loss": []}
    for _ in range(epochs):
        model.train()
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        model.eval()
        curves["train_loss"].append(value.item())
        with torch.no_grad():
            curves["val_loss"].append(float(loss(model(held), truth)))
    return curves


def log(model: Any, rows: Table, folder: Path, curves: dict[str, list[float]], *, pickled: bool = False) -> str:
    with mlflow.start_run() as run, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options: dict[str, Any] = {"input_example": rows.x_train[:4].astype(np.float32)}
        if pickled:
            options = {"serialization_format": "pickle"}
        mlflow.pytorch.log_model(model, name="model", pip_requirements=["torch"], **options)
        log_rows(rows, folder)
        log_curves(curves)
    return str(run.info.run_id)


def cross_entropy(outputs: Any, truth: Any) -> Any:
    return torch.nn.functional.cross_entropy(outputs, truth)


def of_probabilities(outputs: Any, truth: Any) -> Any:
    return torch.nn.functional.nll_loss(torch.log(outputs), truth)


def of_logarithms(outputs: Any, truth: Any) -> Any:
    return torch.nn.functional.nll_loss(outputs, truth)


def binary(outputs: Any, truth: Any) -> Any:
    return torch.nn.functional.binary_cross_entropy(outputs[:, 0], truth.float())


def binary_with_logits(outputs: Any, truth: Any) -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], truth.float())


LONG = pytest.mark.long


def normalised(momentum: float) -> Any:
    """A network that normalises its inputs; how fast it learns their statistics is the momentum."""
    torch.manual_seed(0)
    first = [torch.nn.BatchNorm1d(8, momentum=momentum), torch.nn.Linear(8, 32), torch.nn.ReLU()]
    return torch.nn.Sequential(*first, torch.nn.Dropout(0.2), torch.nn.Linear(32, 3))


def far_off(rows: Table) -> Table:
    """The rows in units in which they are far from zero, so that nothing can be decided before they are normalised."""
    return replace(rows, **{name: 100 + 5 * getattr(rows, name) for name in ("x_train", "x_val", "x_test")})


def decided(model: Any, rows: Table, *, anew: bool = False) -> float:
    """How well the network decides the validation rows; `anew` by statistics that PyTorch itself measures."""
    other = copy.deepcopy(model).eval()
    if anew:
        for layer in other.modules():
            layer.p = 0.0
        torch.optim.swa_utils.update_bn(torch.tensor(rows.x_train).float().split(350), other)
    with torch.no_grad():
        answers = other(torch.tensor(rows.x_val).float()).argmax(dim=1).numpy()
    return float(balanced_accuracy_score(rows.y_val, answers))


@pytest.mark.parametrize("pickled", [False, True], ids=["pt2", "pickled"])
@pytest.mark.parametrize("momentum", [1e-5, 0.1], ids=["never learnt", "learnt"])
def test_running_statistics_that_were_never_learnt_are_found(
    momentum: float, pickled: bool, tracking_uri: str, tmp_path: Path
) -> None:
    model, rows = normalised(momentum), far_off(table(3))
    curves = train(model, rows, cross_entropy, epochs=60)
    report = audited(log(model, rows, tmp_path, curves, pickled=pickled), allow_unsafe=pickled)
    assert "batchnorm-gap" in ran(report)
    if momentum == 0.1:
        assert alarms(report) == []
        assert not report.fired("batchnorm-gap")
        return
    assert report.root_cause == "batchnorm-gap"
    finding = found(report, "batchnorm-gap")
    assert (finding.level, finding.confidence) == (Severity.ERROR, Confidence.PROVEN)
    assert finding.message.startswith("BatchNorm's saved statistics do not fit the data")
    proof = proof_of(finding)
    assert proof.before == pytest.approx(decided(model, rows))
    assert proof.after == pytest.approx(decided(model, rows, anew=True), abs=0.02)
    assert (proof.after or 0) > 0.8


HEALTHY: dict[str, tuple[Callable[[], Any], Losses, int]] = {
    "logits": (lambda: net(3), cross_entropy, 3),
    "softmax": (lambda: net(3, torch.nn.Softmax(dim=1)), of_probabilities, 3),
    "log_softmax": (lambda: net(3, torch.nn.LogSoftmax(dim=1)), of_logarithms, 3),
    "one logit": (lambda: net(1), binary_with_logits, 2),
    "sigmoid": (lambda: net(1, torch.nn.Sigmoid()), binary, 2),
    "dropout": (lambda: net(3, dropout=0.2), cross_entropy, 3),
}


@pytest.mark.parametrize(
    "name", ["softmax", *(pytest.param(name, marks=LONG) for name in HEALTHY if name != "softmax")]
)
def test_a_healthy_network_is_judged_and_found_healthy(name: str, tracking_uri: str, tmp_path: Path) -> None:
    make, loss, classes = HEALTHY[name]
    model, rows = make(), table(classes)
    curves = train(model, rows, loss, epochs=40)
    report = audited(log(model, rows, tmp_path, curves))
    assert alarms(report) == []
    assert report.verdict is Verdict.HEALTHY
    assert report.headline == "pytorch · 400 validation rows · PyTorch, CPU"
    assert not report.outcomes_of(Status.FAILED)
    wanted = {
        "permuted-labels",
        "uncalibrated-probabilities",
        "double-activation",
        "logged-in-training-mode",
        "overfit",
    }
    assert wanted <= ran(report)


@LONG
def test_a_pickled_network_is_run_only_where_that_was_allowed(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rows = net(3), table(3)
    run_id = log(model, rows, tmp_path, train(model, rows, cross_entropy, epochs=40), pickled=True)
    refused = {item.check: item for item in audited(run_id).outcomes}["permuted-labels"]
    assert refused.reason == "the model is a pickle, which is not run"
    allowed = audited(run_id, allow_unsafe=True)
    assert "400 validation rows" in allowed.headline
    assert allowed.verdict is Verdict.HEALTHY
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    assert "400 validation rows" not in audited(run_id, allow_unsafe=True).headline


@pytest.mark.parametrize("units", [3, pytest.param(1, marks=LONG)])
def test_a_second_softmax_or_sigmoid_in_the_loss_is_proven(units: int, tracking_uri: str, tmp_path: Path) -> None:
    model = net(units, torch.nn.Sigmoid() if units == 1 else torch.nn.Softmax(dim=1))
    rows = table(2 if units == 1 else 3)
    curves = train(model, rows, binary_with_logits if units == 1 else cross_entropy)
    report = audited(log(model, rows, tmp_path, curves))
    assert report.root_cause == "double-activation"
    finding = found(report, "double-activation")
    assert finding.confidence is Confidence.PROVEN
    lowest = [min(curves[name]) for name in ("val_loss", "train_loss")]
    assert any(value == pytest.approx(proof_of(finding).after, rel=0.05) for value in lowest)


class Keeping(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A network that keeps its loss among its attributes."""

    def __init__(self, layers: Any, loss: Any) -> None:
        super().__init__()
        self.layers, self.loss = layers, loss

    def forward(self, rows: Any) -> Any:
        return self.layers(rows)


PICKLED: dict[str, tuple[Callable[[], Any], Any, Losses]] = {
    "second softmax": (lambda: net(3, torch.nn.Softmax(dim=1)), torch.nn.CrossEntropyLoss(), cross_entropy),
    "second softmax in a function": (lambda: net(3, torch.nn.Softmax(dim=1)), None, cross_entropy),
    "logits": (lambda: net(3), torch.nn.CrossEntropyLoss(), cross_entropy),
    "log_softmax": (lambda: net(3, torch.nn.LogSoftmax(dim=1)), torch.nn.NLLLoss(), of_logarithms),
    "log_softmax twice": (lambda: net(3, torch.nn.LogSoftmax(dim=1)), torch.nn.CrossEntropyLoss(), cross_entropy),
    "softmax": (lambda: net(3, torch.nn.Softmax(dim=1)), torch.nn.NLLLoss(), of_probabilities),
}


@pytest.mark.parametrize(
    "name", ["second softmax", *(pytest.param(name, marks=LONG) for name in PICKLED if name != "second softmax")]
)
def test_a_second_softmax_in_the_loss_of_a_pickled_module_is_proven(
    name: str, tracking_uri: str, tmp_path: Path
) -> None:
    make, kept, loss = PICKLED[name]
    model, rows = Keeping(make(), kept), table(3)
    report = audited(log(model, rows, tmp_path, train(model, rows, loss, epochs=60), pickled=True), allow_unsafe=True)
    if not name.startswith("second"):
        assert alarms(report) == []
        assert not report.fired("double-activation")
        return
    assert report.root_cause == "double-activation"
    finding = found(report, "double-activation")
    assert finding.confidence is Confidence.PROVEN
    assert ("self.loss" in finding.message) == (kept is not None)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda: torch.nn.CrossEntropyLoss(torch.tensor([1.0, 2.0]), label_smoothing=0.1), ("softmax", [1.0, 2.0])),
        (lambda: torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(5.0)), ("sigmoid", [1.0, 5.0])),
        (lambda: torch.nn.functional.cross_entropy, ("softmax", None)),
        (lambda: torch.nn.CrossEntropyLoss(reduction="sum"), None),
        (lambda: torch.nn.ModuleList([torch.nn.CrossEntropyLoss(), torch.nn.BCEWithLogitsLoss()]), None),
        (torch.nn.MSELoss, None),
    ],
    ids=["cross-entropy", "binary", "function", "sum", "several", "of no classes"],
)
def test_the_loss_that_a_module_keeps_is_read(loss: Any, expected: tuple[str, list[float] | None] | None) -> None:
    kept = kept_by(torch, Keeping(net(2), loss()))
    if expected is None:
        assert kept is None
        return
    assert kept is not None
    assert kept.where == "self.loss"
    assert (kept.applies, None if kept.weight is None else kept.weight.tolist()) == expected


@pytest.mark.parametrize("said", ["CrossEntropyLoss()", "cross_entropy", "nn.CrossEntropyLoss", "F.mse_loss"])
def test_the_loss_that_a_param_names_is_read(said: str) -> None:
    run = make_run(params={"criterion": said})
    if "mse" in said:
        with pytest.raises(Missing):
            criterion(run)
        return
    assert criterion(run).applies == "softmax"


@LONG
def test_a_softmax_on_one_unit_is_seen_in_the_graph_and_proven(tracking_uri: str, tmp_path: Path) -> None:
    model, rows = net(1), table()
    train(model, rows, binary_with_logits)
    model.append(torch.nn.Softmax(dim=1))
    run_id = log(model, rows, tmp_path, {})
    assert audited(run_id, tier="static").root_cause == "softmax-on-one-unit"
    report = audited(run_id)
    assert report.root_cause == "softmax-on-one-unit"
    finding = found(report, "softmax-on-one-unit")
    assert (proof_of(finding).after or 0) > (proof_of(finding).before or 1) + 0.3


@LONG
def test_a_network_logged_in_training_mode_is_found(tracking_uri: str, tmp_path: Path) -> None:
    model, rows = net(3, dropout=0.9), table(3)
    curves = train(model, rows, cross_entropy)
    model.train()
    run_id = log(model, rows, tmp_path, curves)
    assert audited(run_id, tier="static").fired("logged-in-training-mode")
    report = audited(run_id)
    assert report.root_cause == "logged-in-training-mode"
    finding = found(report, "logged-in-training-mode")
    assert finding.level is Severity.ERROR
    assert finding.evidence["operators"] == {"dropout": 1}
    assert finding.evidence["rows_that_change"] > 0.5


def archive(path: Path, content: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/models/model.json", json.dumps(content))
    return path


@pytest.mark.parametrize(
    "content",
    [
        {"nodes": [{"target": "torch.os.system"}]},
        {"nodes": [{"target": "torch.ops.aten.from_file.default"}]},
        {"nodes": [{"target": "_operator.methodcaller('x')"}]},
        {"sizes": [{"as_expr": {"expr_str": "__import__('os').system('true')"}}]},
        {"sizes": [{"as_expr": {"expr_str": "exec('1')"}}]},
    ],
)
def test_a_graph_that_is_more_than_arithmetic_is_not_run(content: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"no arithmetic|no plain expressions"):
        must_be_harmless(archive(tmp_path / "model.pt2", content))
