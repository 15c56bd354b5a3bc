"""Runs without a model: predictions and labels among the artifacts, audited through the public entry point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_clfaudit.audit import audit
from mlflow_clfaudit.types import Report, Severity, Status, Verdict
from tests.kit import proof_of, ran
from tests.runs import make_run

ROWS = 600
NAMES = np.array(["ant", "bee", "cat"])


def scores(classes: int = 2, *, strength: float = 3.0, share: float | None = None, seed: int = 0) -> tuple[Any, Any]:
    """Labels (N,) and calibrated probabilities (N, K): the labels are drawn from them."""
    random = np.random.default_rng(seed)
    logits = strength * random.normal(size=(ROWS, classes))
    if share is not None:
        logits[:, 1] += np.log(share / (1 - share)) * 2
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    truth = np.array([random.choice(classes, p=row) for row in probabilities])
    return truth, probabilities


def audited(folder: Path, *, metrics: dict[str, list[float]] | None = None, tables: tuple[str, ...] = ()) -> Report:
    tags = {"mlflow.loggedArtifacts": json.dumps([{"path": path, "type": "table"} for path in tables])}
    report = audit(make_run(folder, metrics=metrics, tags=tags), tier="static")
    assert report.outcomes_of(Status.FAILED) == []
    return report


def alarms(report: Report) -> list[str]:
    return [f"{item.check}: {item.message}" for item in report.findings if item.level.at_least(Severity.WARN)]


def save(folder: Path, **arrays: Any) -> None:
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)


def test_probabilities_and_labels_are_judged_without_a_model(tmp_path: Path) -> None:
    truth, probabilities = scores()
    save(tmp_path, y_test=truth, y_proba_test=probabilities[:, 1])
    right = float(np.mean((probabilities[:, 1] > 0.5) == truth))
    report = audited(tmp_path, metrics={"test_accuracy": [right]})
    assert alarms(report) == []
    assert report.verdict is Verdict.HEALTHY
    assert report.headline == "no model · 600 test rows"
    assert report.sources["predictions of test"] == "y_proba_test.npy"
    assert {
        "threshold-off",
        "uncalibrated-probabilities",
        "permuted-labels",
        "majority-accuracy",
        "scored-in-wrong-label-space",
        "auc-on-labels",
        "class-imbalance",
        "constant-prediction",
    } <= ran(report)


@pytest.mark.parametrize("kind", ["rows of probabilities", "classes", "logits", "log-probabilities", "text"])
def test_every_kind_of_answer_is_found_out_and_stays_quiet(kind: str, tmp_path: Path) -> None:
    truth, probabilities = scores(3)
    labels = truth
    match kind:
        case "rows of probabilities":
            save(tmp_path, y_proba_val=probabilities)
        case "classes":
            save(tmp_path, y_pred_val=probabilities.argmax(axis=1))
        case "logits":
            save(tmp_path, logits_val=np.log(probabilities) + 4.0)
        case "log-probabilities":
            save(tmp_path, y_proba_val=np.log(probabilities))
        case "text":
            labels = NAMES[truth]
            save(tmp_path, y_pred_val=NAMES[probabilities.argmax(axis=1)])
    save(tmp_path, y_val=labels)
    report = audited(tmp_path, metrics={"val_accuracy": [float(np.mean(probabilities.argmax(axis=1) == truth))]})
    assert alarms(report) == []
    assert {"permuted-labels", "constant-prediction", "majority-accuracy", "scored-in-wrong-label-space"} <= ran(report)
    # Calibration is a matter of probabilities.
    assert ("uncalibrated-probabilities" in ran(report)) == (kind not in ("classes", "text"))


def test_a_threshold_far_off_is_found_from_a_table(tmp_path: Path) -> None:
    truth, probabilities = scores(strength=1.5)
    frame = pd.DataFrame(
        {"label": truth, "prediction": (probabilities[:, 1] > 0.97).astype(int), "probability": probabilities[:, 1]}
    )
    frame.to_csv(tmp_path / "test_predictions.csv", index=False)
    report = audited(tmp_path)
    (finding,) = [item for item in report.findings if item.check == "threshold-off"]
    assert report.root_cause == "threshold-off"
    assert "cut at 0.9" in finding.message
    assert (proof_of(finding).after or 0) - (proof_of(finding).before or 0) > 0.1


def test_a_table_of_log_table_is_read_by_its_columns(tmp_path: Path) -> None:
    truth, probabilities = scores(3)
    columns = ["feature", "label", *(f"proba_{name}" for name in ("cat", "ant", "bee"))]
    rows = [
        [0.0, str(NAMES[code]), float(row[2]), float(row[0]), float(row[1])]
        for code, row in zip(truth, probabilities, strict=True)
    ]
    (tmp_path / "results.json").write_text(json.dumps({"columns": columns, "data": rows}))
    report = audited(tmp_path, tables=("results.json",))
    assert alarms(report) == []
    assert "600 test rows" in report.headline
    assert report.sources["labels of test"].startswith("results.json")
    # Not named for predictions and not logged as a table, it is none of our business.
    assert "test rows" not in audited(tmp_path).headline


def test_classes_under_other_numbers_are_found(tmp_path: Path) -> None:
    truth, probabilities = scores(3)
    save(tmp_path, y_test=(truth + 1) % 3, y_proba_test=probabilities)
    report = audited(tmp_path)
    assert report.root_cause == "permuted-labels"


def test_labels_encoded_anew_for_one_split_are_found(tmp_path: Path) -> None:
    truth, probabilities = scores(3)
    held, held_probabilities = scores(3, seed=1)
    save(tmp_path, y_train=truth, y_proba_train=probabilities, y_test=(held + 1) % 3, y_proba_test=held_probabilities)
    assert audited(tmp_path).root_cause == "encoder-refit"


def test_an_auc_of_classes_is_found(tmp_path: Path) -> None:
    truth, probabilities = scores(strength=1.5)
    decision = probabilities[:, 1] > 0.5
    save(tmp_path, y_test=truth, y_proba_test=probabilities[:, 1])
    hard = float((np.mean(decision[truth == 1]) + np.mean(~decision[truth == 0])) / 2)
    assert audited(tmp_path, metrics={"test_auc": [hard]}).root_cause == "auc-on-labels"


def test_one_class_for_every_row_is_found(tmp_path: Path) -> None:
    truth, _ = scores(3)
    save(tmp_path, y_test=truth, y_pred_test=np.zeros(ROWS, dtype=np.int64))
    report = audited(tmp_path)
    assert report.fired("constant-prediction")
    assert report.verdict is Verdict.SUSPECT


@pytest.mark.parametrize(
    "name",
    ["misclassified_predictions", "prediction_errors", "sample_predictions"],
)
def test_rows_that_were_chosen_for_being_wrong_are_not_judged(name: str, tmp_path: Path) -> None:
    truth, _ = scores(3)
    pd.DataFrame({"label": truth, "prediction": (truth + 1) % 3}).to_csv(tmp_path / f"{name}.csv", index=False)
    assert audited(tmp_path).verdict is Verdict.NOT_AUDITED


def test_predictions_of_other_rows_are_not_paired(tmp_path: Path) -> None:
    truth, _ = scores(3)
    save(tmp_path, y_test=truth, y_val=truth, predictions=np.zeros(ROWS, dtype=np.int64))
    assert not audited(tmp_path).fired("constant-prediction")


def test_a_score_without_a_scale_decides_nothing(tmp_path: Path) -> None:
    truth, probabilities = scores()
    save(tmp_path, y_test=truth, y_score_test=100.0 * probabilities[:, 1])
    assert "constant-prediction" not in ran(audited(tmp_path))
