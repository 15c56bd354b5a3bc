import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence import Evidence
from mlflow_clfaudit.evidence.files import Overrides
from mlflow_clfaudit.evidence.inputs import Rows
from mlflow_clfaudit.evidence.label_set import LabelSet
from mlflow_clfaudit.evidence.labels import Labels
from mlflow_clfaudit.evidence.scores import LoggedScore, Reading, logged_predictions, logged_scores, read_score
from tests.kit import make_head, make_history, make_served, make_spec
from tests.runs import make_run

RANDOM = np.random.default_rng(3)
TRUTH = (RANDOM.uniform(size=400) < 0.62).astype(int)
LOGITS = 4.0 * (TRUTH - 0.5) + RANDOM.normal(0, 1.6, 400)
PROBABILITIES = 1 / (1 + np.exp(-LOGITS))
SIGMOID = make_served(PROBABILITIES, TRUTH, logits=LOGITS[:, None])
LINEAR = make_served(LOGITS, TRUTH, head=make_head(activation="linear", loss_options={"from_logits": True}))
DECISION = (PROBABILITIES > 0.5).astype(int)
RAW = TRUTH + 1


def reading(value: float, served: object = SIGMOID, labels: np.ndarray = TRUTH, kind: str = "accuracy") -> Reading:
    found = read_score(LoggedScore("test_" + kind, kind, "test", value), served, labels)
    assert found is not None
    return found


PROPER = float(np.mean(DECISION == TRUTH))
# What people write, and the name under which the search gives it back.
VARIANTS = {
    "argmax": np.mean(np.argmax(PROBABILITIES[:, None], axis=1) == TRUTH),
    "exact": np.mean(PROBABILITIES == TRUTH),
    "threshold 0": np.mean((PROBABILITIES > 0) == TRUTH),
    "inverted": np.mean((PROBABILITIES < 0.5) == TRUTH),
    "labels up by one": np.mean(DECISION == TRUTH + 1),
    "labels down by one": np.mean(DECISION == TRUTH - 1),
    "broadcast": (DECISION[:, None] == TRUTH).mean(),
    "logits at 0.5": np.mean((LOGITS > 0.5) == TRUTH),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_recovers_the_post_processing(name: str) -> None:
    assert name in reading(float(VARIANTS[name])).matches


def test_recovers_rounding_and_the_integer_cast_of_unbounded_outputs() -> None:
    assert reading(float(np.mean(np.round(LOGITS) == TRUTH)), LINEAR).match == "rounded"
    assert reading(float(np.mean(LOGITS.astype(int) == TRUTH)), LINEAR).match == "integer cast"
    assert reading(float(np.mean((LOGITS > 0.5) == TRUTH)), LINEAR).match == "threshold 0.5"


def test_recovers_shuffled_rows() -> None:
    shuffled = float(np.mean(RANDOM.permutation(TRUTH) == DECISION))
    assert set(reading(shuffled).matches) & {"shuffled", "broadcast"}


def test_recovers_the_raw_labels() -> None:
    assert reading(float(np.mean(DECISION == RAW)), labels=RAW).match == "label space"


def test_recovers_one_column_of_a_pair() -> None:
    pair = make_served(np.column_stack([0.3 + 0.3 * PROBABILITIES, PROBABILITIES]), TRUTH, head=make_head(2, "sigmoid"))
    column = np.mean((0.3 + 0.3 * PROBABILITIES > 0.5) == TRUTH)
    assert reading(float(column), pair).match == "column 0"
    softmax = make_served(np.column_stack([1 - PROBABILITIES, PROBABILITIES]), TRUTH)
    assert "inverted" in reading(1 - PROPER, softmax).matches


def test_the_right_number_matches_nothing_else() -> None:
    assert reading(PROPER).is_proper
    assert reading(PROPER).matches == ()
    assert reading(round(PROPER, 4)).is_proper


def test_a_number_that_nothing_gives_matches_nothing() -> None:
    assert reading(PROPER - 0.0375).matches == ()
    assert not reading(PROPER - 0.0375).is_proper


def test_the_variants_are_told_apart() -> None:
    values = {name: float(value) for name, value in VARIANTS.items() if name not in ("exact", "labels down by one")}
    assert len({round(value * 400) for value in values.values()}) == len(values)
    assert all(reading(value).match == name for name, value in values.items())


def test_auc_and_log_loss_of_decisions() -> None:
    area = reading(roc_auc_score(TRUTH, DECISION), kind="auc")
    assert area.match == "hard labels"
    assert area.proper == pytest.approx(roc_auc_score(TRUTH, PROBABILITIES))
    assert reading(1 - roc_auc_score(TRUTH, PROBABILITIES), kind="auc").match == "inverted"
    loss = reading(log_loss(TRUTH, np.eye(2)[DECISION]), kind="log loss")
    assert loss.match == "hard labels"
    assert loss.score.value == pytest.approx(36.04 * (1 - PROPER), rel=1e-3)


def test_any_epoch_of_a_curve_may_be_the_saved_one() -> None:
    score = LoggedScore("val_accuracy", "accuracy", "validation", float(np.mean(TRUTH == 0)), (PROPER, 0.3))
    found = read_score(score, SIGMOID, TRUTH)
    assert found is not None
    assert found.is_proper


def test_few_rows_match_nothing() -> None:
    few = SIGMOID.take(np.arange(40))
    assert reading(float(np.mean(TRUTH[:40] == 0)), few, TRUTH[:40]).matches == ()
    # Labels that are stored as 1 and 2 are no coincidence.
    assert reading(float(np.mean(few.decision == TRUTH[:40] + 1)), few, TRUTH[:40] + 1).matches == ("label space",)


def test_scores_are_found_by_name() -> None:
    run = make_run(
        metrics={
            "loss": [1.0, 0.5],
            "accuracy": [0.6, 0.7],
            "val_accuracy": [0.5, 0.6],
            "validation_accuracy": [0.5, 0.6],
            "test_accuracy": [0.8],
            "final_auc": [0.9],
            "test_balanced_accuracy": [0.7],
            "accuracy_percent": [96.45],
            "vacc": [0.3],
        }
    )
    found = {score.name: score for score in logged_scores(run, make_history(loss=[1.0, 0.5], accuracy=[0.6, 0.7]))}
    assert set(found) == {
        "accuracy",
        "val_accuracy",
        "test_accuracy",
        "final_auc",
        "test_balanced_accuracy",
        "accuracy_percent",
    }
    assert found["accuracy"].split == "train"
    assert found["val_accuracy"].curve == (0.5, 0.6)
    assert (found["test_accuracy"].split, found["test_accuracy"].curve) == ("test", ())
    assert found["final_auc"].kind == "auc"
    assert found["test_balanced_accuracy"].kind == "balanced accuracy"
    assert found["accuracy_percent"].value == pytest.approx(0.9645)
    with pytest.raises(Missing):
        logged_scores(make_run(metrics={"loss": [1.0]}), None)


def test_predictions_are_found_by_name(tmp_path: Path) -> None:
    np.save(tmp_path / "y_pred_test.npy", DECISION)
    np.save(tmp_path / "pred_proba.npy", PROBABILITIES)
    np.save(tmp_path / "y_test.npy", TRUTH)
    table = {"columns": ["label", "prediction"], "data": [[1, 0.9], [0, 0.2]]}
    (tmp_path / "predictions.json").write_text(json.dumps(table))
    found = {item.source: item for item in logged_predictions(make_run(tmp_path))}
    assert set(found) == {"y_pred_test.npy", "pred_proba.npy", "predictions.json:prediction"}
    assert found["y_pred_test.npy"].split == "test"
    assert found["pred_proba.npy"].named_as_scores
    assert found["predictions.json:prediction"].truth is not None
    with pytest.raises(Missing):
        logged_predictions(make_run())


def test_a_score_is_read_on_its_own_split_and_on_the_saved_model_only() -> None:
    rows = {name: Rows(name, PROBABILITIES[:, None], LabelSet(TRUTH), held_out=True) for name in ("validation", "test")}
    given = {
        "run": make_run(metrics={"test_accuracy": [float(np.mean(TRUTH == 0))], "val_accuracy": [0.4, PROPER]}),
        "overrides": Overrides(),
        "served_by_split": {"validation": SIGMOID, "test": SIGMOID},
        "rows": rows,
        "head": SIGMOID.head,
        "spec": make_spec(SIGMOID.head),
    }
    found = {item.score.name: item for item in Evidence(given).get("readings")}
    assert found["test_accuracy"].match == "argmax"
    assert found["val_accuracy"].is_proper
    with pytest.raises(Missing, match="as it was saved"):
        Evidence(given | {"head": make_head(activation="softmax")}).get("readings")


def test_curves_of_fit_are_held_against_thresholds_only() -> None:
    for name, value in VARIANTS.items():
        score = LoggedScore("val_accuracy", "accuracy", "validation", float(value), (0.4, float(value)))
        found = read_score(score, SIGMOID, TRUTH)
        assert found is not None
        assert (found.matches != ()) == (name == "threshold 0")


def test_class_names_that_are_numbers_are_the_labels_as_stored() -> None:
    named = Evidence(
        {
            "logged_scores": (LoggedScore("accuracy_score", "accuracy", None, 0.0),),
            "served_by_split": {"validation": make_served(np.zeros(400), TRUTH)},
            "rows": {"validation": Rows("validation", None, LabelSet(TRUTH), True)},
            "spec": make_spec(make_head()),
            "head": make_head(),
            "labels": Labels({"validation": LabelSet(TRUTH)}, None, ("1", "2")),
        }
    )
    assert [found.match for found in named.get("readings")] == ["label space"]


@pytest.mark.parametrize("shape", [(), (4, 3, 2), (29, 0)])
def test_predictions_that_are_no_rows_are_none(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "y_pred.npy", np.zeros(shape))
    with pytest.raises(Missing, match="no predictions"):
        logged_predictions(make_run(tmp_path))
