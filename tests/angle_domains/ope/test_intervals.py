"""Intervals against scipy, against numbers worked by hand, and against how often they hold."""

import numpy as np
import pytest
from scipy import stats

from angle_domains.errors import ConfigError
from angle_domains.ope.bounds import anderson, empirical_bernstein, hoeffding, lower_bounds
from angle_domains.ope.episodes import Episodes
from angle_domains.ope.estimators import ESTIMATORS, Ratios, importance, weighted
from angle_domains.ope.intervals import bca, interval, jackknife, percentile, resample, standard_error, t_interval
from angle_domains.ope.value import OpeConfig, evaluate
from angle_domains.ope.weights import log_weights
from tests.angle_domains.ope.chains import GAMMA, TRUE, chain


def sample(seed: int, count: int = 150) -> tuple[np.ndarray, Ratios]:
    """Values and weights of patients, one each."""
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0.0, 0.7, (count, 1))
    return np.arange(count), Ratios(weight * rng.exponential(1.0, (count, 1)), weight)


def test_a_mean_of_patients_has_the_textbook_error() -> None:
    values = np.random.default_rng(0).normal(size=40)
    ratios = Ratios(values[:, None], np.ones((40, 1)))
    assert standard_error(ratios, np.arange(40)) == pytest.approx(values.std(ddof=1) / np.sqrt(40))
    found = interval(ratios, np.arange(40), np.empty(0), method="t")
    known = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((known.low, known.high))


def test_the_jackknife_leaves_out_each_patient() -> None:
    patient, ratios = sample(1, 12)
    patient = patient // 3
    for number, value in enumerate(jackknife(ratios, patient)):
        kept = patient != number
        assert value == pytest.approx(Ratios(ratios.numerator[kept], ratios.denominator[kept]).value())


def test_bca_is_scipys() -> None:
    """On scipy's own resamples: the same quantiles."""
    patient, ratios = sample(2)

    def ratio(numerator: np.ndarray, denominator: np.ndarray, axis: int = -1) -> np.ndarray:
        return numerator.sum(axis) / denominator.sum(axis)

    data = ratios.numerator[:, 0], ratios.denominator[:, 0]
    known = stats.bootstrap(data, ratio, paired=True, n_resamples=2_000, rng=np.random.default_rng(3))
    ours = bca(ratios.value(), known.bootstrap_distribution, jackknife(ratios, patient))
    assert (ours.low, ours.high) == pytest.approx(known.confidence_interval, rel=1e-3)


def test_patients_are_resampled_and_not_their_episodes() -> None:
    """Every patient twenty times over says nothing new: the error stays, where that of rows would fall by 4.5."""
    patient, ratios = sample(4, 60)
    many = Ratios(np.repeat(ratios.numerator, 20, 0), np.repeat(ratios.denominator, 20, 0))
    group = np.repeat(patient, 20)
    assert standard_error(many, group) == pytest.approx(standard_error(ratios, patient))
    assert standard_error(many, np.arange(len(group))) < 0.25 * standard_error(ratios, patient)
    one = resample({"x": ratios}, patient, generator=np.random.default_rng(5))["x"]
    twenty = resample({"x": many}, group, generator=np.random.default_rng(5))["x"]
    np.testing.assert_allclose(one, twenty)


def test_resamples_spread_as_the_influence_function_says() -> None:
    patient, ratios = sample(6, 400)
    drawn = resample({"x": ratios}, patient, count=4_000, generator=np.random.default_rng(7))["x"]
    assert drawn.std() == pytest.approx(standard_error(ratios, patient), rel=0.1)


def test_a_resample_of_matrix_products_is_one_of_episodes() -> None:
    """The first resample by hand: the episodes that were drawn, estimated anew."""
    episodes = chain("end", "two", "four", "two", "end", "two")
    parts = {name: ESTIMATORS[name](episodes, GAMMA, log_weights(episodes)) for name in ("IS", "WIS", "CWPDIS")}
    drawn = resample(parts, episodes.patient, count=1, generator=np.random.default_rng(8))
    index = np.random.default_rng(8).integers(6, size=(1, 6))[0]
    again = type(episodes)(*(None if part is None else part[index] for part in episodes))
    for name in parts:
        expected = ESTIMATORS[name](again, GAMMA, log_weights(again)).value()
        assert drawn[name][0] == pytest.approx(expected), name


def test_intervals_cover() -> None:
    """The chain's value, by 300 samples of 120 patients: between 91 and 98 in a hundred."""
    rng = np.random.default_rng(9)
    hits = {"bca": 0, "percentile": 0, "t": 0}
    for _ in range(300):
        episodes = chain(*rng.choice(["end", "two", "four"], 120, p=[0.5, 0.375, 0.125]))
        ratios = weighted(episodes, GAMMA, log_weights(episodes))
        drawn = resample({"x": ratios}, episodes.patient, count=400, generator=rng)["x"]
        for method in hits:
            found = interval(ratios, episodes.patient, drawn, method=method)  # type: ignore[arg-type]
            hits[method] += found.low <= TRUE <= found.high
    assert all(0.91 <= hit / 300 <= 0.98 for hit in hits.values()), hits


def test_resamples_without_an_estimate_are_left_out() -> None:
    found = percentile(1.0, np.array([np.nan, 1.0, 2.0, 3.0]))
    assert (found.low, found.high) == pytest.approx((1.05, 2.95))
    assert np.isnan(percentile(1.0, np.array([np.nan])).low)
    assert np.isnan(t_interval(1.0, 0.1, 1).low)
    assert bca(1.0, np.ones(10), np.ones(5)).low == 1.0


def test_bounds_by_hand() -> None:
    values = np.array([0.0, 0.5, 1.0, 2.0])
    wide = np.sqrt(np.log(20.0) / 8.0)
    assert hoeffding(values, 2.0, 0.05) == pytest.approx(0.875 - 2.0 * wide)
    variance = values.var(ddof=1)
    expected = 0.875 - np.sqrt(2.0 * variance * np.log(40.0) / 4.0) - 7.0 * 2.0 * np.log(40.0) / 9.0
    assert empirical_bernstein(values, 2.0, 0.05) == pytest.approx(expected)
    # at risk .5 the band is .294: 1 - 0 counts nothing at the gap of 0, then .75, .5 and .25 less the band
    band = np.sqrt(np.log(2.0) / 8.0)
    assert anderson(values, 0.5) == pytest.approx(0.5 * (0.75 - band) + 0.5 * (0.5 - band) + 1.0 * max(0, 0.25 - band))


def test_lower_bounds_hold() -> None:
    """In 400 samples each fails at most as often as it may; and with many patients they close in."""
    rng = np.random.default_rng(10)
    wrong = np.zeros(3)
    for _ in range(400):
        episodes = chain(*rng.choice(["end", "two", "four"], 60, p=[0.5, 0.375, 0.125]))
        found = lower_bounds(episodes, GAMMA, low=0.0, high=2.0, cut=4.0, level=0.8)
        wrong += np.array([found.hoeffding, found.bernstein, found.anderson]) > TRUE
    assert (wrong / 400 <= 0.2).all(), wrong
    assert wrong[2] > 0  # nor is the tightest of them empty
    many = chain(*rng.choice(["end", "two", "four"], 40_000, p=[0.5, 0.375, 0.125]))
    found = lower_bounds(many, GAMMA, low=0.0, high=2.0, cut=4.0)
    assert min(found.hoeffding, found.bernstein, found.anderson) > TRUE - 0.1


def test_a_cut_lowers_the_bound_and_never_lifts_it() -> None:
    episodes = chain(*["end"] * 40, *["two"] * 30, *["four"] * 10)
    bounds = [lower_bounds(episodes, GAMMA, low=-1.0, high=2.0, cut=cut).anderson for cut in (1.0, 2.0, 4.0, 8.0)]
    assert bounds == sorted(bounds)
    assert bounds[-1] < importance(episodes, GAMMA, log_weights(episodes)).value()


def test_returns_beyond_their_bounds_are_an_error() -> None:
    with pytest.raises(ConfigError, match="do not hold"):
        lower_bounds(chain("four"), GAMMA, low=0.0, high=1.0, cut=4.0)
    with pytest.raises(ConfigError, match="at least .5"):
        lower_bounds(chain("four"), GAMMA, low=0.0, high=2.0, cut=4.0, level=0.3)


def test_what_rests_on_fits_alone_has_no_interval() -> None:
    """The spread of what a model foresees from stay to stay says nothing of how far the model is off."""
    ones = np.ones((40, 2))
    episodes = Episodes(
        ones * np.arange(40)[:, None], ones, ones / 2, ones / 2, ones > 0, np.arange(40), np.ones(40, bool),
        foreseen=np.linspace(0.0, 1.0, 40),
    )  # fmt: skip
    found = evaluate(episodes, 1.0, OpeConfig(draws=20))
    assert found["MODEL"].value == pytest.approx(0.5)
    assert (found["MODEL"].interval, found["MODEL"].gain, found["MODEL"].standard_error) == (None, None, None)
    assert "how much these err is unknown" in found["MODEL"].words()
    assert found["WIS"].interval is not None
    cut = evaluate(episodes._replace(target=ones * 0.7), 1.0, OpeConfig(draws=20, cut=1.5))
    assert cut["WIS"].truncation is not None
    assert cut["MODEL"].truncation is None  # no weights went into it
