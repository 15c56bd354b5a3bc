from dataclasses import replace
from typing import Any

import pytest

from mlflow_clfaudit.rank import MAX_CAUSES, Ranked, causes, confidence, rank
from mlflow_clfaudit.registry import all_checks
from mlflow_clfaudit.types import Confidence, Finding, Grade, Outcome, Proof, Severity, Status, Verdict

AREAS = {name: check.area for name, check in all_checks().items()}


def finding(
    check: str,
    severity: Severity = Severity.ERROR,
    grade: Grade | None = Grade.A,
    *,
    area: str = "activation_loss",
    before: float | None = None,
    after: float | None = None,
    **fields: Any,
) -> Finding:
    proof = None if grade is None else Proof(grade, "measured", "balanced accuracy", before, after)
    return Finding(f"about {check}", check=check, area=area, severity=severity, proof=proof, **fields)


def ranked(*found: Finding, **options: Any) -> Ranked:
    outcomes = [Outcome(item.check, item.area, Status.FIRED, (item,)) for item in found]
    return rank([*outcomes, Outcome("quiet", "label_encoding", Status.PASSED)], **options)


def order(*found: Finding, **options: Any) -> list[str]:
    return [item.check for item in ranked(*found, **options).findings]


SYMPTOM = finding("constant-prediction", Severity.SYMPTOM, area="training_dynamics")
UNDER_TRAINED = finding("under-trained", grade=Grade.B, area="training_dynamics", before=0.5, after=1.0)


def test_no_finding_is_healthy() -> None:
    result = ranked()
    assert (result.verdict, result.root_cause) == (Verdict.HEALTHY, None)


def test_nothing_checked_is_not_audited() -> None:
    assert rank([Outcome("a", "label_encoding", Status.SKIPPED)]).verdict is Verdict.NOT_AUDITED
    assert rank([Outcome("a", "label_encoding", Status.FAILED)]).verdict is Verdict.NOT_AUDITED


def test_the_reproduction_gate_alone_judges_nothing() -> None:
    assert rank([Outcome("not-reproduced", "reproduction", Status.PASSED)]).verdict is Verdict.NOT_AUDITED


@pytest.mark.parametrize(
    ("severity", "verdict"),
    [
        (Severity.BLOCKER, Verdict.FAULTY),
        (Severity.ERROR, Verdict.FAULTY),
        (Severity.WARN, Verdict.SUSPECT),
        (Severity.INFO, Verdict.HEALTHY),
    ],
)
def test_the_worst_severity_gives_the_verdict(severity: Severity, verdict: Verdict) -> None:
    assert ranked(finding("a", severity)).verdict is verdict


def test_info_is_never_the_root_cause() -> None:
    assert ranked(finding("a", Severity.INFO)).root_cause is None


def test_an_ignored_finding_stays_last_and_does_not_count() -> None:
    result = ranked(finding("a", ignored="known"), finding("b", Severity.WARN))
    assert [item.check for item in result.findings] == ["b", "a"]
    assert result.verdict is Verdict.SUSPECT


def test_a_symptom_goes_under_the_cause_that_explains_it() -> None:
    result = ranked(SYMPTOM, finding("softmax-on-one-unit", explains=("constant-prediction",)))
    assert [item.check for item in result.symptoms] == ["constant-prediction"]
    assert result.findings[0].symptoms == ("constant-prediction",)


def test_an_unexplained_symptom_counts_as_what_its_check_says() -> None:
    result = ranked(SYMPTOM, unexplained={"constant-prediction": Severity.WARN})
    assert (result.verdict, result.root_cause) == (Verdict.SUSPECT, "constant-prediction")
    assert ranked(SYMPTOM).verdict is Verdict.HEALTHY


def test_error_before_warn_however_well_proven() -> None:
    assert order(finding("w", Severity.WARN), finding("e", grade=Grade.C)) == ["e", "w"]


def test_proven_before_suspected() -> None:
    assert order(finding("d", grade=Grade.D), finding("a")) == ["a", "d"]


def test_a_cause_before_what_it_explains() -> None:
    tail = finding("tail-split-of-ordered-data", explains=("single-class-validation",), area="stratification")
    assert order(finding("single-class-validation", area="stratification"), tail)[0] == "tail-split-of-ordered-data"


def test_upstream_first_among_equals() -> None:
    found = order(
        finding("threshold-off", area="thresholding"),
        finding("clipped-output"),
        finding("dirty-labels", area="label_encoding"),
    )
    assert found == ["dirty-labels", "clipped-output", "threshold-off"]


def test_under_training_makes_thresholds_and_directions_unreadable() -> None:
    result = ranked(UNDER_TRAINED, finding("threshold-off", grade=Grade.B, area="thresholding", before=0.5, after=1.0))
    assert result.findings[1].level is Severity.INFO
    assert result.findings[1].explained_by == "under-trained"


def test_suspected_under_training_excludes_nothing() -> None:
    suspected = finding("under-trained", grade=None, area="training_dynamics")
    result = ranked(suspected, finding("threshold-off", area="thresholding"))
    assert all(item.level is Severity.ERROR for item in result.findings)


def test_under_training_before_imbalance_and_splits() -> None:
    found = ranked(
        finding("class-imbalance", area="stratification"),
        finding("tail-split-of-ordered-data", area="stratification"),
        UNDER_TRAINED,
    )
    assert found.root_cause == "under-trained"
    assert {item.check: item.level for item in found.findings}["class-imbalance"] is Severity.WARN


def test_imbalance_beside_suspected_under_training_stays_an_error() -> None:
    suspected = finding("under-trained", Severity.INFO, None, area="training_dynamics")
    result = ranked(suspected, finding("class-imbalance", area="stratification"))
    assert (result.root_cause, result.findings[0].level) == ("class-imbalance", Severity.ERROR)


def test_a_proven_blocker_of_the_loss_owns_what_training_shows() -> None:
    blocker = finding("softmax-on-one-unit", Severity.BLOCKER)
    result = ranked(blocker, finding("no-gradient", Severity.BLOCKER, area="training_dynamics"))
    assert [item.level for item in result.findings] == [Severity.BLOCKER, Severity.INFO]


def test_what_remains_after_the_repair_is_a_second_cause() -> None:
    blocker = finding("softmax-on-one-unit", Severity.BLOCKER)
    result = ranked(blocker, UNDER_TRAINED, repaired=blocker.check, residual=frozenset({"under-trained"}))
    assert [item.check for item in causes(result.findings)] == ["softmax-on-one-unit", "under-trained"]


def test_a_wrong_number_about_a_good_model_is_the_headline() -> None:
    number = finding("rounded-unbounded-output", area="thresholding")
    head = finding("logits-in-probability-loss", explains=("rounded-unbounded-output",))
    assert order(number, head, quality=0.99)[0] == "rounded-unbounded-output"
    assert order(number, head, quality=0.5)[0] == "logits-in-probability-loss"


def test_a_failed_reproduction_caps_counterfactuals() -> None:
    gate = finding("not-reproduced", Severity.INFO, area="reproduction")
    result = ranked(gate, finding("threshold-off", grade=Grade.B, area="thresholding", before=0.5, after=0.9))
    proof = result.findings[0].proof
    assert proof is not None
    assert proof.grade is Grade.C
    assert result.findings[0].confidence is Confidence.SUSPECTED


def test_a_counterfactual_that_regains_most_is_proven() -> None:
    strong = finding("a", grade=Grade.B, before=0.5, after=0.95)
    weak = finding("b", grade=Grade.B, before=0.5, after=0.6)
    assert confidence(strong, 1.0) is Confidence.PROVEN
    assert confidence(weak, 1.0) is Confidence.SUPPORTED
    assert confidence(finding("c", grade=Grade.C)) is Confidence.SUSPECTED
    assert confidence(finding("d", grade=None)) is Confidence.SUSPECTED


def test_counterfactuals_are_compared_by_the_same_metric() -> None:
    loss = finding("overfit", Severity.WARN, grade=Grade.C, before=13.8, after=2.6)
    loss = replace(loss, proof=replace(loss.proof, metric="loss"))
    result = ranked(finding("encoder-refit", grade=Grade.B, before=0.0, after=0.97), loss)
    assert result.findings[0].confidence is Confidence.PROVEN


def test_at_most_three_causes() -> None:
    result = ranked(*(finding(name) for name in "abcde"))
    assert len(causes(result.findings)) == MAX_CAUSES


def test_the_order_does_not_depend_on_the_order_of_outcomes() -> None:
    found = [finding("a", grade=Grade.B), UNDER_TRAINED, finding("c", Severity.WARN), finding("d", Severity.BLOCKER)]
    assert order(*found) == order(*reversed(found))


def test_what_remains_is_ranked_by_the_same_exclusions() -> None:
    blocker = finding("softmax-on-one-unit", Severity.BLOCKER)
    threshold = finding("threshold-off", grade=Grade.B, area="thresholding", before=0.5, after=1.0)
    left = frozenset({"under-trained", "threshold-off"})
    result = ranked(blocker, UNDER_TRAINED, threshold, repaired=blocker.check, residual=left)
    assert [item.explained_by for item in result.findings] == [None, None, "under-trained"]


def test_unscaled_inputs_are_no_effect_of_a_broken_loss() -> None:
    scale = finding("unscaled-inputs", Severity.WARN, area="training_dynamics")
    result = ranked(finding("clipped-output", Severity.BLOCKER), scale)
    assert [item.level for item in result.findings] == [Severity.BLOCKER, Severity.WARN]


def test_a_suspicion_that_a_proven_cause_explains_is_at_most_a_warning() -> None:
    tail = finding("tail-split-of-ordered-data", explains=("class-shift", "single-class-validation"))
    shift = finding("class-shift", grade=Grade.C, area="stratification")
    void = finding("single-class-validation", area="stratification")
    found = {item.check: item for item in ranked(tail, shift, void, UNDER_TRAINED).findings}
    assert (found["class-shift"].level, found["class-shift"].explained_by) == (Severity.WARN, tail.check)
    assert found["single-class-validation"].level is Severity.ERROR


def test_a_wrong_number_about_a_bad_model_is_not_the_headline() -> None:
    number = finding("scored-in-wrong-label-space", area="label_encoding")
    supported = finding("under-trained", grade=Grade.B, area="training_dynamics", before=0.5, after=0.7)
    reference = finding("unscaled-inputs", Severity.WARN, Grade.B, area="training_dynamics", before=0.5, after=1.0)
    assert order(number, supported, reference, quality=0.5)[0] == "under-trained"


SCALE = finding(
    "unscaled-inputs", Severity.WARN, Grade.B, area="training_dynamics", before=0.5, after=1.0, explains=("dead-units",)
)
DEAD = finding("dead-units", grade=Grade.B, area="training_dynamics", before=0.5, after=0.9)


def test_a_proven_cause_does_the_harm_of_what_it_explains() -> None:
    result = ranked(SCALE, DEAD)
    cause, effect = result.findings
    assert (result.root_cause, cause.level) == ("unscaled-inputs", Severity.ERROR)
    assert (effect.level, effect.explained_by) == (Severity.INFO, "unscaled-inputs")


def test_a_cause_that_regains_little_explains_nothing_away() -> None:
    weak = replace(SCALE, proof=Proof(Grade.B, "measured", "balanced accuracy", 0.5, 0.6))
    assert [(item.check, item.level) for item in ranked(weak, DEAD).findings] == [
        ("dead-units", Severity.ERROR),
        ("unscaled-inputs", Severity.WARN),
    ]


def test_two_that_explain_each_other_keep_their_severity() -> None:
    both = replace(DEAD, explains=("unscaled-inputs",), proof=SCALE.proof)
    assert {item.level for item in ranked(SCALE, both).findings} == {Severity.ERROR, Severity.WARN}


def test_a_fading_gradient_outranks_a_head_that_could_be_fitted() -> None:
    fading = finding("vanishing-gradient", Severity.WARN, None, area="training_dynamics")
    behind = replace(UNDER_TRAINED, variant="head-behind")
    assert order(fading, behind) == ["vanishing-gradient", "under-trained"]
    assert order(fading, replace(UNDER_TRAINED, variant="lr-too-low"))[0] == "under-trained"


def test_weights_of_classes_outrank_the_threshold_that_they_moved() -> None:
    weights = finding("class-weight-overcorrected", Severity.WARN, Grade.B, area="stratification")
    threshold = finding("threshold-off", grade=Grade.B, area="thresholding", before=0.5, after=0.9)
    result = ranked(threshold, weights)
    assert (result.root_cause, result.verdict) == ("class-weight-overcorrected", Verdict.FAULTY)


def test_a_threshold_that_is_surely_off_stands_where_the_weights_are_only_information() -> None:
    weights = finding("class-weight-overcorrected", Severity.INFO, Grade.B, area="stratification")
    threshold = finding("threshold-off", Severity.WARN, Grade.B, area="thresholding", before=0.79, after=0.87)
    calibration = finding("uncalibrated-probabilities", Severity.WARN, Grade.B, area="thresholding")
    result = ranked(weights, threshold, calibration)
    assert (result.root_cause, result.verdict) == ("threshold-off", Verdict.SUSPECT)
    lowered = next(item for item in result.findings if item.check == "uncalibrated-probabilities")
    assert (lowered.level, lowered.explained_by) == (Severity.INFO, "class-weight-overcorrected")


def test_a_metric_on_the_wrong_scale_is_one_fault() -> None:
    scale = finding("threshold-on-wrong-scale", Severity.WARN, area="thresholding")
    outputs = finding("outputs-not-probabilities", Severity.WARN)
    result = ranked(outputs, scale)
    assert result.root_cause == "threshold-on-wrong-scale"
    assert (result.findings[1].level, result.findings[1].explained_by) == (Severity.INFO, "threshold-on-wrong-scale")


def test_probabilities_that_overfitting_spoilt_are_no_second_fault() -> None:
    overfit = finding("overfit", Severity.WARN, Grade.C, area="training_dynamics")
    calibration = finding("uncalibrated-probabilities", Severity.WARN, Grade.B, area="thresholding")
    assert order(calibration, overfit) == ["overfit", "uncalibrated-probabilities"]
    assert ranked(calibration, replace(overfit, severity=Severity.INFO)).root_cause == "uncalibrated-probabilities"


def test_weights_of_classes_outrank_the_training_that_they_bent() -> None:
    weights = finding("class-weight-overcorrected", Severity.WARN, Grade.B, area="stratification")
    assert order(UNDER_TRAINED, weights)[0] == "class-weight-overcorrected"
    assert order(UNDER_TRAINED, replace(weights, severity=Severity.INFO))[0] == "under-trained"


def test_a_dead_layer_of_one_unit_is_why_no_gradient_flows() -> None:
    narrow = finding("bottleneck", grade=Grade.B, area="training_dynamics", before=0.1, after=0.9)
    cut = finding("no-gradient", Severity.BLOCKER, Grade.A, area="training_dynamics")
    result = ranked(cut, narrow)
    assert result.root_cause == "bottleneck"
    assert result.findings[1].explained_by == "bottleneck"


@pytest.mark.parametrize(
    ("effect", "variant", "level"),
    [
        ("under-trained", "stopped-early", Severity.INFO),
        ("bottleneck", "flat", Severity.INFO),
        ("bottleneck", "narrow", Severity.WARN),
    ],
)
def test_rows_without_a_gradient_explain_what_was_not_learnt(effect: str, variant: str, level: Severity) -> None:
    head = finding("clipped-output", grade=Grade.B, area="activation_loss", before=0.9, after=0.92)
    shown = finding(effect, Severity.WARN, Grade.B, area="training_dynamics", before=0.9, after=0.98)
    result = ranked(head, replace(shown, variant=variant))
    assert {item.check: item.level for item in result.findings}[effect] is level


@pytest.mark.parametrize("cause", ["unscaled-inputs", "low-contrast-inputs"])
def test_a_net_kept_from_learning_by_its_inputs_has_no_threshold_yet(cause: str) -> None:
    inputs = finding(cause, Severity.WARN, Grade.B, area="training_dynamics", before=0.5, after=0.6)
    threshold = finding("threshold-off", Severity.WARN, Grade.B, area="thresholding", before=0.5, after=0.7)
    result = ranked(threshold, inputs)
    assert result.root_cause == cause
    assert result.findings[1].level is Severity.INFO


def test_a_rate_that_came_to_rest_explains_the_want_of_steps() -> None:
    rest = finding("learning-rate-exhausted", Severity.WARN, Grade.B, area="training_dynamics", before=0.5, after=0.7)
    result = ranked(UNDER_TRAINED, rest)
    assert result.root_cause == "learning-rate-exhausted"
    assert result.findings[1].level is Severity.INFO


def test_weights_that_reach_no_row_are_not_beside_the_point_of_an_untrained_net() -> None:
    weights = finding("class-weight-without-effect", Severity.ERROR, Grade.A, area="stratification")
    split = finding("rows-in-both-splits", Severity.ERROR, Grade.A, area="stratification")
    assert order(UNDER_TRAINED, weights)[0] == "class-weight-without-effect"
    assert order(UNDER_TRAINED, split)[0] == "under-trained"
