"""Lightning: trained by its Trainer under MLflow's autologging, judged as the PyTorch modules that MLflow logs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from mlflow_clfaudit.types import Confidence, Status, Verdict
from tests.kit import ran
from tests.table import Table, alarms, audited, log_rows, table

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")
lightning = pytest.importorskip("lightning")


def module(*, softmax: bool) -> Any:
    """A network that returns logits, or by mistake a softmax of them, trained with cross_entropy."""

    class Network(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))

        def forward(self, rows: Any) -> Any:
            logits = self.layers(rows)
            return torch.softmax(logits, dim=1) if softmax else logits

        def training_step(self, batch: Any) -> Any:
            loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: Any) -> None:
            self.log("val_loss", torch.nn.functional.cross_entropy(self(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), 0.02)

    torch.manual_seed(0)
    return Network()


def logged(model: Any, rows: Table, folder: Path, *, by_autologging: bool) -> str:
    """Train for sixty epochs, with the model logged as an exported graph or by autologging, which pickles it."""

    def batches(split: str) -> Any:
        x, y = getattr(rows, f"x_{split}"), getattr(rows, f"y_{split}")
        data = torch.utils.data.TensorDataset(torch.tensor(x).float(), torch.tensor(y))
        return torch.utils.data.DataLoader(data, batch_size=len(y))

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    with warnings.catch_warnings(), mlflow.start_run() as run:
        warnings.simplefilter("ignore")
        mlflow.pytorch.autolog(log_models=by_autologging)
        try:
            trainer = lightning.Trainer(max_epochs=60, accelerator="cpu", enable_model_summary=False, **quiet)
            trainer.fit(model, batches("train"), batches("val"))
        finally:
            mlflow.pytorch.autolog(disable=True)
        if not by_autologging:
            example = rows.x_train[:4].astype(np.float32)
            mlflow.pytorch.log_model(model, name="model", input_example=example, pip_requirements=["torch"])
        log_rows(rows, folder)
    return str(run.info.run_id)


@pytest.mark.parametrize("by_autologging", [False, True])
def test_a_healthy_module_is_judged_and_found_healthy(by_autologging: bool, tracking_uri: str, tmp_path: Path) -> None:
    run_id = logged(module(softmax=False), table(3), tmp_path, by_autologging=by_autologging)
    report = audited(run_id, allow_unsafe=by_autologging)
    assert alarms(report) == []
    assert report.verdict is Verdict.HEALTHY
    assert report.headline == "pytorch · 400 validation rows · PyTorch, CPU"
    assert not report.outcomes_of(Status.FAILED)
    assert {"permuted-labels", "double-activation", "overfit", "uncalibrated-probabilities"} <= ran(report)


@pytest.mark.parametrize("by_autologging", [False, True])
def test_a_softmax_before_cross_entropy_is_proven(by_autologging: bool, tracking_uri: str, tmp_path: Path) -> None:
    run_id = logged(module(softmax=True), table(3), tmp_path, by_autologging=by_autologging)
    report = audited(run_id, allow_unsafe=by_autologging)
    assert report.root_cause == "double-activation"
    (finding,) = [item for item in report.findings if item.check == "double-activation"]
    assert finding.confidence is Confidence.PROVEN
