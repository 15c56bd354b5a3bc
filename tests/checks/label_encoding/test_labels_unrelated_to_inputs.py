import numpy as np
import pytest

from mlflow_clfaudit.checks.label_encoding.labels_unrelated_to_inputs import labels_unrelated_to_inputs
from mlflow_clfaudit.evidence.served import Trial
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_probe, make_served, make_trial, proof_of


def trial_of(
    signal: float, *, rows: int = 400, shape: tuple[int, ...] = (6,), seed: int = 0, dtype: str = "f4"
) -> Trial:
    """Rows whose first column says `signal` about the class, and a model that answers at random."""
    random = np.random.default_rng(seed)

    def served(held_out: bool, count: int):  # type: ignore[no-untyped-def]
        truth = random.integers(0, 2, count)
        inputs = random.normal(size=(count, *shape))
        inputs.reshape(count, -1)[:, 0] += signal * truth
        inputs = (inputs * 10).astype("i4") if dtype == "i4" else inputs.astype(dtype)
        return make_served(random.uniform(0.4, 0.6, count), truth, held_out=held_out, inputs=inputs)

    return make_trial(served(False, rows), served(True, rows))


def found(trial: Trial) -> tuple[Finding, ...]:
    return findings(labels_unrelated_to_inputs, trial=trial, served=trial.judge)


def test_shuffled_labels_fire_with_a_permutation_test() -> None:
    (finding,) = found(trial_of(0.0))
    assert finding.level is Severity.ERROR
    assert proof_of(finding).grade is Grade.C
    assert proof_of(finding).p_value > 0.05  # type: ignore[operator]
    assert "nor a forest" in finding.message


def test_shuffled_labels_do_not_pass_by_the_luck_of_many_tests() -> None:
    assert sum(bool(found(trial_of(0.0, rows=250, seed=seed))) for seed in range(12)) >= 11


def test_a_probe_that_is_lucky_on_few_rows_makes_it_a_warning() -> None:
    (finding,) = found(trial_of(0.0, rows=210, seed=6))
    assert finding.level is Severity.WARN


def test_sequences_stay_a_warning() -> None:
    (finding,) = found(trial_of(0.0, shape=(20, 3), dtype="i4"))
    assert finding.level is Severity.WARN


@pytest.mark.parametrize("signal", [1.0, 3.0])
def test_quiet_where_a_linear_classifier_learns(signal: float) -> None:
    assert found(trial_of(signal)) == ()


def test_quiet_where_only_gradient_boosting_learns() -> None:
    random = np.random.default_rng(0)

    def served(held_out: bool):  # type: ignore[no-untyped-def]
        inputs = random.normal(size=(400, 3)).astype("f4")
        truth = (np.abs(inputs[:, 0]) > 0.67).astype(int)
        return make_served(random.uniform(0.4, 0.6, 400), truth, held_out=held_out, inputs=inputs)

    trial = make_trial(served(False), served(True))
    assert found(trial) == ()
    useless = make_probe(trial.judge.truth, decision=np.zeros(400, int), served=trial.judge.decision)
    given = {"trial": trial, "served": trial.judge, "input_probe": useless}
    assert findings(labels_unrelated_to_inputs, **given) == ()
    assert findings(labels_unrelated_to_inputs, **given, tree_probe=useless) != ()


def test_outputs_that_are_not_finite_rank_nothing() -> None:
    trial = trial_of(0.0)
    broken = make_served(np.full(400, np.nan), trial.judge.truth)
    (finding,) = findings(labels_unrelated_to_inputs, trial=trial, served=broken)
    assert finding.level is Severity.ERROR


def test_quiet_where_the_model_is_better_than_chance() -> None:
    trial = trial_of(0.0)
    good = make_served(np.where(trial.judge.truth == 1, 0.9, 0.1), trial.judge.truth)
    assert findings(labels_unrelated_to_inputs, trial=trial, served=good) == ()


def test_quiet_where_the_ranking_is_right_but_the_threshold_is_not() -> None:
    trial = trial_of(0.0)
    ranked = make_served(0.1 + 0.05 * trial.judge.truth, trial.judge.truth)
    assert findings(labels_unrelated_to_inputs, trial=trial, served=ranked) == ()


def test_quiet_on_few_rows() -> None:
    assert found(trial_of(0.0, rows=80)) == ()
