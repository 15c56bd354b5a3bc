import numpy as np
from sklearn.metrics import roc_auc_score

from mlflow_clfaudit.checks.thresholding.auc_on_labels import auc_on_labels
from mlflow_clfaudit.evidence.scores import LoggedScore, Reading, read_score
from mlflow_clfaudit.types import Severity, Status
from tests.checks.thresholding.test_readings import read
from tests.evidence.test_scores import DECISION, PROBABILITIES, SIGMOID, TRUTH
from tests.kit import findings, make_served, outcome


def test_fires_on_the_auc_of_decisions() -> None:
    (finding,) = findings(auc_on_labels, **read("auc", roc_auc_score(TRUTH, DECISION), SIGMOID))
    assert finding.level is Severity.ERROR
    assert finding.proof is not None
    assert finding.proof.after == roc_auc_score(TRUTH, PROBABILITIES)


def test_quiet_on_the_auc_of_scores() -> None:
    assert findings(auc_on_labels, **read("auc", roc_auc_score(TRUTH, PROBABILITIES), SIGMOID)) == ()
    assert findings(auc_on_labels, **read("auc", 0.7, SIGMOID)) == ()


def test_quiet_where_scores_rank_hardly_better_than_decisions() -> None:
    nearly_hard = 0.1 + 0.8 * DECISION + np.where(np.arange(400) < 4, 0.01 * TRUTH, 0.0)
    served = make_served(nearly_hard, TRUTH)
    given = read("auc", roc_auc_score(TRUTH, DECISION), served)
    assert given["readings"][0].match == "hard labels"
    assert findings(auc_on_labels, **given) == ()


def test_a_curve_of_the_auc_metric_is_not_held_against_hard_labels() -> None:
    value = roc_auc_score(TRUTH, DECISION)
    score = LoggedScore("val_auc", "auc", "validation", value, (0.6, value))
    found = read_score(score, SIGMOID, TRUTH)
    assert isinstance(found, Reading)
    assert findings(auc_on_labels, readings=(found,)) == ()


def test_skipped_without_a_score() -> None:
    assert outcome(auc_on_labels).status is Status.SKIPPED


def test_fires_where_the_decisions_of_a_good_model_come_near_to_its_scores() -> None:
    truth = np.tile([0, 1], 100)
    scores = np.where(truth == 1, 0.9, 0.1)
    scores[1] = 0.45
    found = read("auc", roc_auc_score(truth, scores > 0.5), make_served(scores, truth), truth)
    (finding,) = findings(auc_on_labels, **found)
    assert finding.proof is not None
    assert (finding.proof.before, finding.proof.after) == (0.995, 1.0)
