"""Estimators of scikit-learn: trained here, logged as MLflow logs them, judged through the public entry point."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.svm import SVC

from mlflow_clfaudit.evidence.class_indices import known_indices
from mlflow_clfaudit.evidence.estimators import Estimator
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.types import Status, Verdict
from tests.kit import proof_of, ran
from tests.table import NAMES, Table, alarms, audited, log_rows, table

pytestmark = pytest.mark.slow


def log(
    model: Any,
    rows: Table,
    folder: Path,
    *,
    serialization: str = "skops",
    accuracy: Callable[[np.ndarray, np.ndarray], float] | None = None,
    **changed: np.ndarray,
) -> str:
    """Log the fitted model, its held-out rows and its test accuracy; `changed` replaces arrays that are logged."""
    with mlflow.start_run() as run:
        options: dict[str, Any] = {"skops_trusted_types": trusted(model)} if serialization == "skops" else {}
        mlflow.sklearn.log_model(
            model, name="model", serialization_format=serialization, pip_requirements=["scikit-learn"], **options
        )
        log_rows(rows, folder, **changed)
        answers = model.predict(rows.x_test)
        score = accuracy or (lambda truth, answered: float(np.mean(truth == answered)))
        mlflow.log_metric("test_accuracy", score(rows.y_test, answers))
    return str(run.info.run_id)


def trusted(model: Any) -> list[str]:
    import skops.io

    return list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))


BOOSTED = HistGradientBoostingClassifier(max_iter=15, random_state=0)
HEALTHY: dict[str, tuple[Any, Table]] = {
    "three classes": (LogisticRegression(), table(3)),
    "margins": (make_pipeline(StandardScaler(), SVC()), table()),
    "margins of three": (make_pipeline(StandardScaler(), SVC()), table(3)),
    "search": (GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3), table()),
    "calibrated": (CalibratedClassifierCV(GaussianNB(), cv=3), table()),
    "forest": (RandomForestClassifier(40, random_state=0), table()),
    "boosting of text labels": (BOOSTED, table(3, names=NAMES)),
    "boosting of a rare class": (BOOSTED, table(share=0.8)),
    "network": (make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=1_000, random_state=0)), table()),
    "balanced weights": (LogisticRegression(class_weight="balanced"), table(share=0.8)),
    "own threshold": (FixedThresholdClassifier(LogisticRegression(), threshold=0.35), table(share=0.8)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_estimator_is_judged_and_found_healthy(name: str, tracking_uri: str, tmp_path: Path) -> None:
    model, rows = HEALTHY[name]
    report = audited(log(model.fit(rows.x_train, rows.y_train), rows, tmp_path), allow_unsafe=True)
    assert alarms(report) == []
    assert report.verdict is Verdict.HEALTHY
    assert "scikit-learn, CPU" in report.headline
    assert not [outcome for outcome in report.outcomes if outcome.status is Status.FAILED]
    assert {"permuted-labels", "scored-in-wrong-label-space", "majority-accuracy"} <= ran(report)
    # A threshold is a matter of two classes.
    assert ("threshold-off" in ran(report)) == (len(np.unique(rows.y_train)) == 2)
    # A network of scikit-learn keeps its losses.
    assert ("stuck-loss" in ran(report)) == (name == "network")
    assert ("class-weight-overcorrected" in ran(report)) == (name == "balanced weights")
    of_layers = {outcome.check for outcome in report.outcomes if "no layers" in (outcome.reason or "")}
    assert {"no-nonlinearity", "bottleneck"} <= of_layers


def test_a_hard_problem_is_not_called_a_lack_of_training(tracking_uri: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(1_500, 8)) + 0.1 * np.tile([[0.0], [1.0]], (750, 1))
    codes = np.tile([0, 1], 750)
    rows = Table(noise[:700], codes[:700], noise[700:1100], codes[700:1100], noise[1100:], codes[1100:])
    report = audited(log(LogisticRegression().fit(rows.x_train, rows.y_train), rows, tmp_path))
    assert "under-trained" not in [item.check for item in report.findings]


@pytest.fixture
def fitted() -> tuple[Any, Table]:
    rows = table(share=0.8)
    return LogisticRegression().fit(rows.x_train, rows.y_train), rows


def test_a_threshold_far_off_is_found(fitted: tuple[Any, Table], tracking_uri: str, tmp_path: Path) -> None:
    _, rows = fitted
    model = FixedThresholdClassifier(LogisticRegression(), threshold=0.97).fit(rows.x_train, rows.y_train)
    report = audited(log(model, rows, tmp_path))
    assert report.root_cause == "threshold-off"
    (finding,) = [item for item in report.findings if item.check == "threshold-off"]
    assert "cut at 0.97" in finding.message
    assert (proof_of(finding).after or 0) - (proof_of(finding).before or 0) > 0.1


def test_labels_under_other_names_are_found(tracking_uri: str, tmp_path: Path) -> None:
    rows = table(3, names=NAMES)
    turned = {name: dict(zip(NAMES, [*NAMES[1:], NAMES[0]], strict=True))[name] for name in NAMES}
    model = LogisticRegression().fit(rows.x_train, rows.y_train)
    changed = {
        f"y_{split}": np.array([turned[name] for name in labels])
        for split, labels in (("train", rows.y_train), ("val", rows.y_val), ("test", rows.y_test))
    }
    assert audited(log(model, rows, tmp_path, **changed)).root_cause == "permuted-labels"


def test_an_accuracy_in_another_label_space_is_found(tracking_uri: str, tmp_path: Path) -> None:
    rows = table(3)
    model = LogisticRegression().fit(rows.x_train, rows.y_train)
    one_up = {f"y_{split}": getattr(rows, f"y_{split}") + 1 for split in ("train", "val", "test")}
    run_id = log(model, rows, tmp_path, accuracy=lambda truth, answers: float(np.mean(truth + 1 == answers)), **one_up)
    assert audited(run_id).root_cause == "scored-in-wrong-label-space"


def test_an_accuracy_of_the_other_class_is_found(fitted: tuple[Any, Table], tracking_uri: str, tmp_path: Path) -> None:
    report = audited(log(*fitted, tmp_path, accuracy=lambda truth, answers: float(np.mean(truth != answers))))
    assert report.root_cause == "inverted-positive-class"


def test_shuffled_test_rows_are_found(tracking_uri: str, tmp_path: Path) -> None:
    rows = table()
    model = make_pipeline(StandardScaler(), SVC()).fit(rows.x_train, rows.y_train)
    shuffled = np.random.default_rng(2).permutation(rows.y_test)
    assert audited(log(model, rows, tmp_path, y_test=shuffled)).root_cause == "misaligned-rows"


def test_a_pickle_is_run_only_where_that_was_allowed(
    fitted: tuple[Any, Table], tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = log(*fitted, tmp_path, serialization="cloudpickle")
    refused = {outcome.check: outcome for outcome in audited(run_id).outcomes}["permuted-labels"]
    assert refused.reason == "the model is a pickle, which is not run"
    assert "--allow-unsafe" in (refused.how_to_supply or "")
    allowed = audited(run_id, allow_unsafe=True)
    assert "400 validation rows" in allowed.headline
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    assert "400 validation rows" not in audited(run_id, allow_unsafe=True).headline


def test_a_skops_file_of_unknown_types_is_run_only_where_that_was_allowed(tracking_uri: str, tmp_path: Path) -> None:
    rows = table()
    run_id = log(RandomForestClassifier(5, random_state=0).fit(rows.x_train, rows.y_train), rows, tmp_path)
    refused = {outcome.check: outcome for outcome in audited(run_id).outcomes}["permuted-labels"]
    assert "sklearn.tree._tree.Tree" in (refused.reason or "")
    assert "400 validation rows" in audited(run_id, allow_unsafe=True).headline


def test_a_pickled_solver_at_its_limit_is_found(tracking_uri: str, tmp_path: Path) -> None:
    rows = table()
    with pytest.warns(ConvergenceWarning):
        model = LogisticRegression(max_iter=2).fit(rows.x_train, rows.y_train)
    report = audited(log(model, rows, tmp_path, serialization="cloudpickle"), allow_unsafe=True)
    assert "solver-not-converged" in [item.check for item in report.findings]


def test_columns_are_given_their_names() -> None:
    rows = table()
    names = [f"column {number}" for number in range(8)]
    model = LogisticRegression().fit(pd.DataFrame(rows.x_train, columns=names), rows.y_train)
    estimator = Estimator(model, "scikit-learn")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(estimator.predict_on_batch(rows.x_val).sum(axis=1), 1.0)
        np.testing.assert_array_equal(
            estimator.decide(rows.x_val), np.argmax(estimator.predict_on_batch(rows.x_val), axis=1)
        )


@pytest.mark.parametrize(
    ("labels", "known", "expected", "classes"),
    [
        ([2, 1, 2], [1, 2], [1, 0, 1], 2),
        (["b", "a"], ["a", "b"], [1, 0], 2),
        ([1.0, 2.0], [1, 2], [0, 1], 2),
        ([True, False], [False, True], [1, 0], 2),
        (["b", "a"], [0, 1], [1, 0], 2),
        ([1, 2, 3], [0, 1, 2], [0, 1, 2], 3),
        ([0, 1, 7], [0, 1], [0, 1, 2], 3),
    ],
)
def test_labels_are_places_in_the_classes_of_the_model(
    labels: list[Any], known: list[Any], expected: list[int], classes: int
) -> None:
    truth, count = known_indices(LabelSet(np.array(labels)), np.array(known))
    assert truth.tolist() == expected
    assert count == classes


@pytest.mark.parametrize(
    "model", [LogisticRegression(), make_pipeline(StandardScaler(), SVC())], ids=["scores", "margins"]
)
@pytest.mark.parametrize("how", ["fitted anew", pytest.param("shifted", marks=pytest.mark.long)])
def test_held_out_labels_encoded_by_themselves_are_found(
    how: str, model: Any, tracking_uri: str, tmp_path: Path
) -> None:
    rows = table(4)
    changed = {}
    for split in ("val", "test"):
        kept = getattr(rows, f"y_{split}") != 0
        x, y = getattr(rows, f"x_{split}"), getattr(rows, f"y_{split}")
        if how == "fitted anew":
            # The encoder of a split without class 0 calls class 1 by that number.
            changed |= {f"X_{split}": x[kept], f"y_{split}": LabelEncoder().fit_transform(y[kept])}
        else:
            changed[f"y_{split}"] = (y + 1) % 4
    report = audited(log(model.fit(rows.x_train, rows.y_train), rows, tmp_path, **changed))
    assert report.root_cause == "encoder-refit"
