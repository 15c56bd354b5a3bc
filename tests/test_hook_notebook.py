"""The hook in a notebook: a real kernel, cells run one by one, runs that one cell opens and a later one ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

pytestmark = pytest.mark.slow

CELLS = (
    """
import mlflow, mlflow_clfaudit, numpy as np
from sklearn.linear_model import LogisticRegression

mlflow_clfaudit.autolog()
mlflow.sklearn.autolog()
mlflow.set_experiment("notebook")
X = np.random.default_rng(0).normal(size=(400, 4))
y = (X[:, 0] > 0).astype(int)
""",
    "run = mlflow.start_run(run_name='open over cells')",
    "model = LogisticRegression().fit(X[:300], y[:300])",
    "mlflow.end_run()",
    # The same cell again, as people do, and a cell that fails within a run.
    "with mlflow.start_run(run_name='again'):\n    LogisticRegression().fit(X[:300], y[:300])",
    "with mlflow.start_run(run_name='again'):\n    LogisticRegression().fit(X[:300], y[:300])",
    """
try:
    with mlflow.start_run(run_name="failed"):
        LogisticRegression().fit(X[:10], y)
except ValueError as error:
    print(type(error).__name__)
""",
    "report = mlflow_clfaudit.audit_run(run.info.run_id, dry_run=True)\nreport",
)


def test_runs_of_a_notebook_are_audited_as_they_end(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()

    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name("notebook")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["again", "again", "failed", "open over cells"]
    for run in runs:
        audits = client.get_metric_history(run.info.run_id, "clfaudit/seconds")
        assert len(audits) == 1, run.info.run_name
        assert "clfaudit.error" not in run.data.tags
    (shown,) = notebook.cells[-1].outputs
    assert "<iframe" in shown["data"]["text/html"]
    assert notebook.cells[-2].outputs[0]["text"] == "ValueError\n"
