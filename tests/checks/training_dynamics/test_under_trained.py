from dataclasses import replace

import numpy as np
import pytest

from mlflow_clfaudit.checks.training_dynamics.under_trained import under_trained
from mlflow_clfaudit.evidence.probes import Probe
from mlflow_clfaudit.evidence.served import Served
from mlflow_clfaudit.evidence.trainings import Continued
from mlflow_clfaudit.evidence.weights import OptimizerState
from mlflow_clfaudit.types import Finding, Grade, Severity, Status
from tests.kit import findings, make_fit, make_head, make_history, make_served, make_trial, outcome

TRUTH = np.tile([0, 1], 100)
FLAT = np.where(TRUTH == 1, 0.49, 0.489)
GOOD = np.where(TRUTH == 1, 0.95, 0.05)


def trials(served: Served, **after: np.ndarray) -> tuple[Continued, ...]:
    """trials(served, x1=outputs, x100=outputs)"""
    return tuple(
        Continued(
            f"learning rate ×{name[1:]}",
            float(name[1:]),
            5,
            served,
            replace(served, outputs=np.asarray(outputs)[:, None]),
            0.69,
            0.6,
        )
        for name, outputs in after.items()
    )


def probe(served: Served, decision: np.ndarray) -> Probe:
    scores = np.where(np.eye(2)[decision] == 1, 0.95, 0.05)
    return Probe("head refit", decision, scores, served.truth, served.decision, True, np.array([0, 1]))


def judged(served: Served, **given: object) -> tuple[Finding, ...]:
    return findings(under_trained, served=served, served_train=served, trial=make_trial(served, served), **given)


def test_a_rate_that_is_too_low_is_proven_by_the_continuation() -> None:
    served = make_served(FLAT, TRUTH)
    (finding,) = judged(
        served,
        learning_rate_trials=trials(served, x1=FLAT, x10=FLAT, x100=GOOD),
        fit=make_fit(optimizer="adam", learning_rate=1e-3),
    )
    assert (finding.level, finding.variant) == (Severity.ERROR, "lr-too-low")
    assert "learning rate ×100 lift balanced accuracy 0.50 → 1.00" in finding.message
    assert finding.fix == "keras.optimizers.Adam(learning_rate=0.01)"
    assert finding.proof is not None
    assert (finding.proof.grade, finding.proof.before, finding.proof.after) == (Grade.B, 0.5, 1.0)


def test_stopped_early_when_the_logged_rate_does_as_well() -> None:
    served = make_served(FLAT, TRUTH)
    (finding,) = judged(served, learning_rate_trials=trials(served, x1=GOOD, x10=GOOD))
    assert finding.variant == "stopped-early"
    assert "EarlyStopping" in finding.fix


def test_the_refitted_head_proves_it_where_no_rate_does() -> None:
    served = make_served(FLAT, TRUTH)
    (finding,) = judged(
        served,
        learning_rate_trials=trials(served, x1=FLAT, x10=FLAT, x100=FLAT),
        feature_probe=probe(served, TRUTH),
    )
    assert (finding.level, finding.variant) == (Severity.ERROR, "head-behind")
    assert finding.proof is not None
    assert finding.proof.after == 1.0


def test_both_are_named_when_both_succeed() -> None:
    served = make_served(FLAT, TRUTH)
    (finding,) = judged(
        served, learning_rate_trials=trials(served, x1=FLAT, x10=GOOD), feature_probe=probe(served, TRUTH)
    )
    assert "the head refitted on its frozen features reaches 1.00" in finding.message
    assert finding.evidence["head_refit"] == 1.0


def test_separation_budget_of_the_features() -> None:
    features = np.where(TRUTH[:, None] == 1, [[0.6, 0.5]], [[0.5, 0.5]])
    served = make_served(FLAT, TRUTH, features=features)
    (finding,) = judged(
        served,
        learning_rate_trials=trials(served, x1=FLAT, x100=GOOD),
        fit=make_fit(optimizer="adam", learning_rate=1e-3),
        optimizer_state=OptimizerState(700, ()),
    )
    assert finding.evidence["separation_budget"] == pytest.approx(0.14)


def test_no_separation_budget_where_steps_are_not_bounded() -> None:
    served = make_served(FLAT, TRUTH, features=np.where(TRUTH[:, None] == 1, [[0.6, 0.5]], [[0.5, 0.5]]))
    (finding,) = judged(
        served,
        learning_rate_trials=trials(served, x1=FLAT, x100=GOOD),
        fit=make_fit(optimizer="sgd", learning_rate=1e-3),
        optimizer_state=OptimizerState(700, ()),
    )
    assert finding.evidence["separation_budget"] is None


def test_features_that_lost_what_the_inputs_hold_are_not_for_want_of_steps() -> None:
    served = make_served(FLAT, TRUTH)
    partly = np.where(np.arange(200) < 150, TRUTH, 0)
    flat = trials(served, x1=FLAT, x10=FLAT, x100=FLAT)
    given = {"learning_rate_trials": flat, "feature_probe": probe(served, partly)}
    assert judged(served, **given) != ()
    assert judged(served, **given, input_probe=probe(served, TRUTH)) == ()


def test_a_log_that_ends_at_another_loss_proves_nothing() -> None:
    served = make_served(FLAT, TRUTH)
    given = {"learning_rate_trials": trials(served, x1=FLAT, x100=GOOD), "history": make_history(loss=[3.0, 3.0])}
    (finding,) = judged(served, **given)
    assert finding.level is Severity.INFO
    assert "fit() saw other rows, labels or loss" in finding.unproven


def test_info_where_only_the_head_could_be_refitted_and_is_no_better() -> None:
    served = make_served(FLAT, TRUTH)
    (finding,) = judged(served, feature_probe=probe(served, np.zeros(200, int)))
    assert finding.level is Severity.INFO
    assert finding.unproven == "the training cannot be continued here, and a refitted head is no better"


def test_unproven_where_neither_can_be_tried() -> None:
    (finding,) = judged(make_served(FLAT, TRUTH))
    assert finding.unproven == "neither the head can be refitted nor the training continued"


def test_a_low_loss_on_training_rows_says_nothing_against_it() -> None:
    train = make_served(FLAT, TRUTH, held_out=False)
    given = {"served": make_served(FLAT, TRUTH), "served_train": train, "history": make_history(loss=[0.7, 0.1])}
    assert findings(under_trained, **given) != ()


def test_quiet_where_one_unit_cannot_tell_the_classes() -> None:
    served = make_served(np.full(90, 0.4), np.arange(90) % 3)
    assert findings(under_trained, served=served) == ()


def test_a_problem_at_its_ceiling_is_left_alone() -> None:
    served = make_served(FLAT, TRUTH)
    half = np.random.default_rng(0).integers(0, 2, len(TRUTH))
    found = outcome(
        under_trained,
        served=served,
        served_train=served,
        trial=make_trial(served, served),
        learning_rate_trials=trials(served, x1=FLAT, x10=FLAT, x100=FLAT),
        feature_probe=probe(served, half),
    )
    assert found.status is Status.PASSED


def test_softer_probabilities_with_the_same_decisions_are_left_alone() -> None:
    soft = np.where(TRUTH == 1, 0.6, 0.4)
    soft[:30] = 0.5 - (soft[:30] - 0.5)
    sharp = np.where(soft > 0.5, 0.95, 0.05)
    served = make_served(soft, TRUTH)
    assert judged(served, learning_rate_trials=trials(served, x1=soft, x10=sharp)) == ()


def test_a_gain_that_chance_explains_is_left_alone() -> None:
    truth = np.tile([0, 1], 10)
    served = make_served(np.full(20, 0.49), truth)
    after = np.full(20, 0.49)
    after[[1, 3]] = 0.9
    assert judged(served, learning_rate_trials=trials(served, x1=np.full(20, 0.49), x10=after)) == ()


@pytest.mark.parametrize(
    ("train", "judge"),
    [(GOOD, FLAT), (GOOD, GOOD), (1 - GOOD, 1 - GOOD)],
    ids=["overfit: the training rows are known", "trained", "confidently wrong: not for want of steps"],
)
def test_quiet_without_any_proof(train: np.ndarray, judge: np.ndarray) -> None:
    served = make_served(judge, TRUTH)
    given = {"served": served, "served_train": make_served(train, TRUTH, held_out=False)}
    assert findings(under_trained, **given) == ()


@pytest.mark.parametrize("last", [0.1, -3.0, float("nan")], ids=["learnt", "negative", "not a number"])
def test_quiet_when_the_logged_loss_contradicts(last: float) -> None:
    served = make_served(FLAT, TRUTH)
    assert findings(under_trained, served=served, history=make_history(loss=[0.7, last])) == ()


def test_unproven_it_is_no_error() -> None:
    served = make_served(FLAT, TRUTH, head=make_head(loss="custom"))
    (finding,) = findings(under_trained, served=served)
    assert finding.level is Severity.WARN
    assert finding.unproven


def test_weights_thrown_far_out_that_decide_better_by_luck_are_left_alone() -> None:
    served = make_served(FLAT, TRUTH)
    lucky = np.where((TRUTH == 1) | (np.arange(200) % 5 == 0), 1.0, 0.0)
    (_, _, thrown) = far = trials(served, x1=FLAT, x10=FLAT, x100=lucky)
    assert thrown.gain > 0.3
    assert thrown.after.skill < served.skill
    assert judged(served, learning_rate_trials=far) == ()


def test_features_as_they_were_drawn_that_keep_the_information_are_for_want_of_steps() -> None:
    served = make_served(FLAT, TRUTH)
    most = np.where(np.arange(200) % 40 < 6, 0, TRUTH)
    flat = trials(served, x1=FLAT, x10=FLAT, x100=FLAT)
    unsure = replace(probe(served, most), scores=np.where(np.eye(2)[TRUTH] == 1, 0.9, 0.1))
    lost = probe(served, TRUTH).balanced_accuracy - unsure.balanced_accuracy
    assert 0 < lost < 0.1
    fewer = np.where(np.arange(200) % 40 < 12, 0, TRUTH)
    informed = replace(probe(served, fewer), scores=np.where(np.eye(2)[TRUTH] == 1, 0.95, 0.05))
    (finding,) = judged(served, learning_rate_trials=flat, feature_probe=informed, input_probe=probe(served, TRUTH))
    assert finding.variant == "head-behind"
    unknown = replace(informed, classes=None)
    assert judged(served, learning_rate_trials=flat, feature_probe=unknown, input_probe=probe(served, TRUTH)) == ()


def test_a_drawn_net_on_rare_classes_knows_less_than_their_shares() -> None:
    truth = (np.arange(400) % 20 == 0).astype(int)
    served = make_served(np.full(400, 0.6), truth)
    assert served.skill < -1
    good = np.where(truth == 1, 0.9, 0.02)
    (finding,) = findings(
        under_trained,
        served=served,
        served_train=served,
        trial=make_trial(served, served),
        learning_rate_trials=trials(served, x1=np.full(400, 0.6), x10=good),
    )
    assert finding.level is Severity.ERROR
    sure = make_served(np.where(truth == 1, 0.001, 0.999), truth)
    assert findings(under_trained, served=sure, served_train=sure) == ()


def test_without_probabilities_the_decisions_say_whether_something_else_is_wrong() -> None:
    head = make_head(1, "linear", "hinge")
    served = make_served(np.where(TRUTH == 1, 0.1, 0.2), TRUTH, head=head)
    assert served.probabilities is None
    assert len(findings(under_trained, served=served)) == 1


def test_on_few_rows_what_the_probabilities_say_proves_it() -> None:
    truth = np.tile([0, 1], 18)
    before = np.where(truth == 1, 0.62, 0.38)
    before[:6] = 1 - before[:6]
    after = np.where(truth == 1, 0.9, 0.1)
    served = make_served(before, truth)
    (finding,) = judged(served, learning_rate_trials=trials(served, x1=before, x10=after))
    assert (finding.level, finding.variant) == (Severity.WARN, "lr-too-low")
    assert finding.proof is not None
    assert (finding.proof.grade, finding.proof.metric) == (Grade.B, "U")
    assert finding.proof.p_value is not None
    assert finding.proof.p_value < 0.01
