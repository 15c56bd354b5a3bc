import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from mlflow_clfaudit import calibration, measures
from mlflow_clfaudit.thresholds import best_threshold, cross_fitted_thresholds, threshold_for


def test_runs_test_of_known_orders() -> None:
    assert measures.runs_test(np.repeat([1, 0], [50, 767])) == pytest.approx(-28.41, abs=0.01)
    assert measures.runs_test(np.repeat(np.arange(17), 48)) == pytest.approx(-113.0, abs=0.01)
    assert measures.runs_test(np.tile([0, 1], 400)) == pytest.approx(28.23, abs=0.01)
    assert measures.runs_test(np.zeros(50, int)) == 0.0


def test_runs_test_is_standard_normal_on_random_order() -> None:
    random = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2, 3], [50, 100, 20, 300])
    found = [measures.runs_test(random.permutation(codes)) for _ in range(800)]
    assert abs(np.mean(found)) < 0.12
    assert np.std(found) == pytest.approx(1.0, abs=0.1)


def test_class_shift_is_the_g_test_where_counts_are_large() -> None:
    first, second = np.array([300, 200]), np.array([60, 140])
    shift = measures.class_shift(first, second)
    expected = stats.chi2_contingency([first, second], correction=False, lambda_="log-likelihood")
    assert shift.p_value == pytest.approx(float(expected.pvalue))
    assert shift.variation == pytest.approx(0.3)
    assert shift.ratio == pytest.approx(2.0)


def test_class_shift_by_permutation_agrees_with_fishers_exact_test() -> None:
    table = [[40, 2], [8, 4]]
    shift = measures.class_shift(*np.array(table), resamples=20_000)
    assert shift.minimum_expected < 5
    assert shift.p_value == pytest.approx(float(stats.fisher_exact(table).pvalue), abs=0.01)


def test_class_shift_says_what_random_splits_show() -> None:
    random = np.random.default_rng(1)
    shares = random.dirichlet(np.ones(20))
    found = []
    for _ in range(300):
        first, second = random.multinomial(800, shares), random.multinomial(200, shares)
        found.append(np.abs(first / 800 - second / 200).sum() / 2)
    shift = measures.class_shift(random.multinomial(800, shares), random.multinomial(200, shares))
    assert shift.expected == pytest.approx(np.mean(found), rel=0.15)


@pytest.mark.parametrize("counts", [([5, 0], [3, 0]), ([1, 0], [0, 1]), ([1], [1])])
def test_class_shift_on_hardly_any_rows(counts: tuple[list[int], list[int]]) -> None:
    shift = measures.class_shift(*map(np.array, counts))
    assert 0.0 < shift.p_value <= 1.0
    assert not shift.is_large(significance=0.001, floor=0.05, multiple=2.0)


def test_area_interval_is_delongs() -> None:
    random = np.random.default_rng(6)
    positives, negatives = np.round(random.normal(1, 1, 30), 1), np.round(random.normal(0, 1, 50), 1)
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    variance = np.var(wins.mean(axis=1), ddof=1) / 30 + np.var(wins.mean(axis=0), ddof=1) / 50
    area, low, high = measures.area_interval(np.repeat([1, 0], [30, 50]), np.concatenate([positives, negatives]))
    assert area == pytest.approx(wins.mean())
    assert high - low == pytest.approx(2 * 1.959964 * np.sqrt(variance), rel=1e-6)


def test_area_interval_covers() -> None:
    random = np.random.default_rng(2)
    true_area = float(stats.norm.cdf(1.0 / np.sqrt(2)))
    covered = 0
    for _ in range(1000):
        scores = np.concatenate([random.normal(0, 1, 60), random.normal(1, 1, 40)])
        _, low, high = measures.area_interval(np.repeat([0, 1], [60, 40]), scores)
        covered += low <= true_area <= high
    assert covered / 1000 == pytest.approx(0.95, abs=0.025)


def test_area_interval_with_ties() -> None:
    truth, scores = np.tile([0, 1], 50), np.repeat([0.0, 1.0], 50)
    assert measures.area_interval(truth, scores)[0] == pytest.approx(roc_auc_score(truth, scores))


def test_the_best_threshold_lies_between_the_scores() -> None:
    truth, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])
    assert best_threshold(truth, scores) == pytest.approx(0.4)
    # Turned scores are best cut below or above all of them: every row is one class.
    assert np.ptp((-scores > best_threshold(truth, -scores)).astype(int)) == 0


def test_cross_fitted_thresholds_gain_nothing_on_noise() -> None:
    random = np.random.default_rng(3)
    gains = []
    for _ in range(60):
        truth, scores = np.repeat([0, 1], 60), random.uniform(size=120)
        decision, _ = cross_fitted_thresholds(truth, scores)
        gains.append(measures.balanced_accuracy(truth, decision) - 0.5)
    assert abs(np.mean(gains)) < 0.02


def test_fractions_are_recognised_to_the_rounding_of_float32() -> None:
    share = float(np.float32(603) / np.float32(653))
    sizes = np.arange(2, 2000)
    assert sizes[measures.common_denominators(np.array([share]), sizes)].tolist() == [653, 1306, 1959]
    both = np.array([share, float(np.float32(1) / np.float32(653))])
    assert sizes[measures.common_denominators(both, sizes)][0] == 653


def test_chances_and_intervals() -> None:
    assert measures.chance_of_absence(817, 50, 164) == pytest.approx(9.187e-6, rel=1e-3)
    assert measures.chance_of_absence(817, 5, 163) == pytest.approx(0.328, abs=0.001)
    low, high = measures.share_interval(90, 100)
    assert (low, high) == (pytest.approx(0.826, abs=0.001), pytest.approx(0.945, abs=0.001))
    assert measures.adjusted([0.01, 0.02, 0.03]).tolist() == pytest.approx([0.03, 0.03, 0.03])


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (2.0, 0.0), (1.0, 1.0)])
def test_recalibration_finds_slope_and_intercept(scale: float, shift: float) -> None:
    random = np.random.default_rng(4)
    odds = random.normal(0, 1.5, 4000)
    outcomes = random.uniform(size=4000) < 1 / (1 + np.exp(-odds))
    served = 1 / (1 + np.exp(-(scale * odds + shift)))
    fit = calibration.recalibration(outcomes, served)
    assert fit is not None
    assert fit.slope_low <= 1 / scale <= fit.slope_high
    assert np.sign(-shift) == np.sign(fit.intercept) or shift == 0
    excess = calibration.calibration_excess(outcomes, served)
    assert (excess > 0.03) == (scale != 1.0 or shift != 0.0)


def test_recalibration_of_outcomes_that_are_all_alike() -> None:
    assert calibration.recalibration(np.ones(10, bool), np.full(10, 0.9)) is None


def test_a_threshold_for_costs_a_recall_or_a_precision() -> None:
    random = np.random.default_rng(8)
    truth = np.repeat([0, 1], 2000)
    scores = random.normal(0, 1, 4000) + 2.0 * truth
    # Unit variances two apart: the cut where the likelihood ratio is the cost ratio is 1 + ln(ratio) / 2.
    assert best_threshold(truth, scores, negative=20.0) == pytest.approx(1 + np.log(20) / 2, abs=0.25)
    cut = threshold_for(truth, scores, recall=0.9)
    assert cut == pytest.approx(2.0 + stats.norm.ppf(0.1), abs=0.1)
    assert np.mean(scores[truth == 1] > cut) >= 0.9
    cut = threshold_for(truth, scores, precision=0.95)
    assert cut is not None
    assert np.mean(truth[scores > cut]) >= 0.95
    assert threshold_for(truth, -scores, precision=0.999) is None


def test_what_is_computed_without_scipy_stats_is_what_it_gives() -> None:
    random = np.random.default_rng(0)
    for size in (0, 1, 2, 7):
        p_values = random.uniform(0, 0.2, size)
        expected = stats.false_discovery_control(p_values) if size else []
        assert measures.adjusted(list(p_values)) == pytest.approx(expected)
    for count, rows in ((0, 9), (3, 9), (9, 9), (700, 1234)):
        interval = stats.binomtest(count, rows).proportion_ci(0.95, method="wilson")
        assert measures.share_interval(count, rows) == pytest.approx((interval.low, interval.high))
        at_least = stats.binomtest(count, rows, 0.4, alternative="greater").pvalue
        assert measures.majority_p_value(count, rows, 0.4) == pytest.approx(at_least)
    first, second = np.array([30, 50, 20]), np.array([40, 20, 20])
    table = np.vstack([first, second])
    shift = measures.class_shift(first, second)
    assert shift.p_value == pytest.approx(stats.chi2_contingency(table, lambda_="log-likelihood").pvalue)
    assert shift.cramer == pytest.approx(stats.contingency.association(table, method="cramer"))


def test_the_information_of_forecasts_is_compared_row_by_row() -> None:
    random = np.random.default_rng(0)
    truth = np.tile([0, 1], 30)
    right = random.uniform(0.55, 0.75, 60)
    before = np.column_stack([np.where(truth == 0, right, 1 - right), np.where(truth == 1, right, 1 - right)])
    after = before.copy()
    after[np.arange(60), truth] += 0.2
    after[np.arange(60), 1 - truth] -= 0.2
    assert measures.information_p_value(truth, before, after) < 1e-6
    assert measures.information_p_value(truth, after, before) > 0.99
    assert measures.information_p_value(truth, before, before) == 1.0
