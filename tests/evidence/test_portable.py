"""ONNX and pyfunc models: logged as MLflow logs them, judged through the public entry point by what they answer."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlflow_clfaudit.types import Status, Verdict
from tests.kit import ran
from tests.table import NAMES, Table, alarms, audited, log_rows, table

pytestmark = pytest.mark.slow
LONG = pytest.mark.long


def logged(folder: Path, rows: Table, flavor: str, **options: Any) -> str:
    """Log a model in that flavor with the arrays of all splits."""
    with mlflow.start_run() as run, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(mlflow, flavor).log_model(name="model", pip_requirements=[], **options)
        log_rows(rows, folder)
    return str(run.info.run_id)


def graph(rows: Table, *, raw: bool) -> Any:
    """A logistic regression as an ONNX graph of plain operators: logits, or a softmax of them."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = LogisticRegression().fit(rows.x_train, rows.y_train)
    weights = [
        onnx.numpy_helper.from_array(model.coef_.T.astype(np.float32), "w"),
        onnx.numpy_helper.from_array(model.intercept_.astype(np.float32), "b"),
    ]
    nodes = [onnx.helper.make_node("Gemm", ["x", "w", "b"], ["logits"])]
    if not raw:
        nodes.append(onnx.helper.make_node("Softmax", ["logits"], ["proba"], axis=1))
    kind = onnx.TensorProto.FLOAT
    inputs = [onnx.helper.make_tensor_value_info("x", kind, [None, rows.x_train.shape[1]])]
    outputs = [onnx.helper.make_tensor_value_info("logits" if raw else "proba", kind, [None, len(model.classes_)])]
    made = onnx.helper.make_graph(nodes, "net", inputs, outputs, weights)
    return onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("raw", [pytest.param(True, marks=LONG), False], ids=["logits", "softmax"])
def test_a_healthy_onnx_model_is_judged_and_found_healthy(raw: bool, tracking_uri: str, tmp_path: Path) -> None:
    rows = table(3)
    report = audited(logged(tmp_path, rows, "onnx", onnx_model=graph(rows, raw=raw)))
    assert alarms(report) == []
    assert report.verdict is Verdict.HEALTHY
    assert report.headline == "onnx · 400 validation rows · ONNX Runtime, CPU"
    assert not report.outcomes_of(Status.FAILED)
    assert {"permuted-labels", "uncalibrated-probabilities", "majority-accuracy", "class-imbalance"} <= ran(report)


@LONG
def test_labels_under_other_numbers_are_found_of_onnx(tracking_uri: str, tmp_path: Path) -> None:
    rows = table(3)
    model = graph(rows, raw=True)
    shifted = Table(rows.x_train, (rows.y_train + 1) % 3, rows.x_val, (rows.y_val + 1) % 3, rows.x_test, rows.y_test)
    assert audited(logged(tmp_path, shifted, "onnx", onnx_model=model)).root_cause == "permuted-labels"


class Labels(mlflow.pyfunc.PythonModel):
    """Answers with the names of the classes."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        del context, params
        return self.model.predict(np.asarray(model_input))


class Frames(Labels):
    """Answers with a table, one column of probabilities a class."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        del context, params
        return pd.DataFrame(self.model.predict_proba(np.asarray(model_input)))


@pytest.mark.parametrize("kind", [Labels, pytest.param(Frames, marks=LONG)], ids=["classes", "probabilities"])
def test_a_pyfunc_is_judged_by_what_it_answers(kind: type[Labels], tracking_uri: str, tmp_path: Path) -> None:
    rows = table(3, names=NAMES if kind is Labels else None)
    model = kind(LogisticRegression().fit(rows.x_train, rows.y_train))
    run_id = logged(tmp_path, rows, "pyfunc", python_model=model)
    refused = {item.check: item for item in audited(run_id).outcomes}["permuted-labels"]
    assert refused.reason == "a pyfunc is the author's own code, which is not run"
    report = audited(run_id, allow_unsafe=True)
    assert alarms(report) == []
    assert report.headline == "pyfunc · 400 validation rows · pyfunc, CPU"
    assert not report.outcomes_of(Status.FAILED)
    assert {"permuted-labels", "majority-accuracy", "constant-prediction"} <= ran(report)
    assert ("uncalibrated-probabilities" in ran(report)) == (kind is Frames)
