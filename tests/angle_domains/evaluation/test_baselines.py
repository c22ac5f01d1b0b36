"""What the baselines hold, against closed forms and optimality conditions."""

from dataclasses import replace

import numpy as np
import pytest

from angle_domains.evaluation import baselines
from angle_domains.evaluation.baselines import (
    BASELINES,
    baseline_paths,
    equal_weight,
    least_variance,
    minimum_variance,
    minimum_variance_shares,
)
from angle_domains.evaluation.rollout import PortfolioPath
from feeds.market.bars import Bars
from feeds.market.config import Actions, Costs
from feeds.market.feed import MarketFeed
from tests.portfolios import FREE, make_bars, make_feed, random_closes, wavy_closes

FEE = 0.002


def paths(feed: MarketFeed, split: str = "test") -> dict[str, PortfolioPath]:
    return {path.name: path for path in baseline_paths(feed, split=split)}


def held(feed: MarketFeed) -> np.ndarray:
    """Price relatives `[T-1, N]` from the first fill, the close after the first decision, to the end of the part."""
    part = feed.parts["test"]
    close = feed.bars.close[part.start + 1 : part.stop]
    return close[1:] / close[:-1]


def test_the_four_of_them_cover_the_same_bars() -> None:
    found = paths(make_feed(random_closes(150, 3)))
    assert list(found) == list(BASELINES) == ["equal weight", "buy and hold", "minimum variance", "cash"]
    assert len({path.timestamp.tobytes() for path in found.values()}) == 1


def test_equal_weight_is_the_product_of_mean_relatives() -> None:
    feed = make_feed(random_closes(150, 3))
    path = paths(feed)["equal weight"]
    assert path.log_return[0] == 0.0  # in cash up to the first fill
    np.testing.assert_allclose(path.returns[1:], held(feed).mean(1) - 1.0, atol=1e-12)


def test_buy_and_hold_is_the_mean_of_the_products() -> None:
    feed = make_feed(random_closes(150, 3))
    path = paths(feed)["buy and hold"]
    assert path.wealth[-1] == pytest.approx(held(feed).prod(0).mean(), rel=1e-12)
    assert path.turnover[0] == pytest.approx(1.0)
    assert (path.turnover[1:] == 0.0).all()
    np.testing.assert_allclose(path.cash, 0.0, atol=1e-12)


def test_buy_and_hold_pays_once() -> None:
    feed = make_feed(random_closes(150, 3), costs=Costs(commission=FEE, half_spread=0.0))
    path = paths(feed)["buy and hold"]
    # the weights are of what is left after the fee: x + fee * x = 1
    assert path.wealth[-1] == pytest.approx(held(feed).prod(0).mean() / (1.0 + FEE), rel=1e-5)
    assert path.cost[0] == pytest.approx(FEE / (1.0 + FEE), rel=1e-5)
    assert (path.cost[1:] == 0.0).all()


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("holding", [1, 3])
def test_buy_and_hold_never_trades_once_it_is_bought(every: int, holding: int) -> None:
    feed = make_feed(random_closes(200, 3), rebalance_every=every, holding=holding)
    path = paths(feed)["buy and hold"]
    assert (path.turnover[:holding] > 0.0).all()
    assert (path.turnover[holding:] == 0.0).all()
    assert path.cash[holding:].max() == pytest.approx(0.0, abs=1e-9)


def test_cash_earns_its_interest() -> None:
    feed = make_feed(random_closes(120, 2), costs=FREE.model_copy(update={"cash_rate": 0.0504}))
    path = paths(feed)["cash"]
    np.testing.assert_allclose(path.returns, 0.0002, atol=1e-12)  # 5.04 % over 252 bars
    assert not path.weights.any()


def test_least_variance_of_independent_assets_is_inverse_variance() -> None:
    np.testing.assert_allclose(least_variance(np.diag([1.0, 4.0, 2.0])), np.array([4.0, 1.0, 2.0]) / 7.0, rtol=1e-6)


def test_least_variance_sells_nothing_short() -> None:
    np.testing.assert_allclose(least_variance(np.array([[1.0, 1.8], [1.8, 4.0]])), [1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(least_variance(np.array([[1e-8]])), [1.0])


def test_least_variance_of_twins_is_that_of_one() -> None:
    weights = least_variance(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    assert weights[2] == pytest.approx(0.5, abs=1e-6)
    assert weights.sum() == pytest.approx(1.0)


def test_least_variance_meets_the_conditions_of_an_optimum() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        root = generator.normal(size=(8, 12)) * generator.uniform(0.5, 2.0, (8, 1)) * 1e-2
        covariance = root @ root.T
        weights = least_variance(covariance)
        slope = covariance @ weights
        variance = weights @ slope
        assert weights.sum() == pytest.approx(1.0)
        assert weights.min() >= 0.0
        np.testing.assert_allclose(slope[weights > 0.0], variance, rtol=1e-6)
        assert (slope >= variance * (1 - 1e-6)).all()


def test_minimum_variance_prefers_the_calm_asset() -> None:
    shares = minimum_variance_shares(make_bars(random_closes(300, 2) * [1, 1]), 299)
    assert shares.sum() == pytest.approx(1.0)
    steps = np.random.default_rng(0).normal(0.0, [0.004, 0.02], (300, 2))
    shares = minimum_variance_shares(make_bars(np.exp(np.cumsum(steps, 0))), 299)
    assert shares[0] > 0.9


def test_minimum_variance_knows_nothing_of_the_future() -> None:
    close = random_closes(300, 3)
    other = close.copy()
    other[201:] = random_closes(99, 3, seed=9, risk=0.2)
    np.testing.assert_array_equal(
        minimum_variance_shares(make_bars(close), 200), minimum_variance_shares(make_bars(other), 200)
    )


def test_minimum_variance_starts_even_while_history_is_short() -> None:
    bars = make_bars(random_closes(200, 4))
    np.testing.assert_array_equal(minimum_variance_shares(bars, 62), [0.25] * 4)
    assert minimum_variance_shares(bars, 63).std() > 0.0


def halted(close: np.ndarray, asset: int, begin: int, end: int) -> Bars:
    """The asset's price is carried and cannot be traded from `begin` to `end`."""
    close = close.copy()
    close[begin:end, asset] = close[begin - 1, asset]
    tradable = np.ones(close.shape, bool)
    tradable[begin:end, asset] = False
    return make_bars(close, tradable=tradable)


def test_a_halted_price_is_not_taken_for_a_safe_one() -> None:
    close = random_closes(300, 3)
    assert minimum_variance_shares(halted(close, 1, 150, 300), 299)[1] == 0.0
    assert minimum_variance_shares(halted(close, 1, 150, 290), 299)[1] == 0.0  # back, but most of the window is still
    assert minimum_variance_shares(halted(close, 1, 150, 160), 299)[1] > 0.0
    still = close.copy()
    still[:, 0] = 50.0  # traded every day at the same price
    assert minimum_variance_shares(make_bars(still), 299)[0] == 0.0


def test_only_listed_assets_are_held() -> None:
    close = random_closes(200, 3)
    close[:150, 2] = np.nan
    bars = make_bars(close)
    feed = make_feed(bars)
    np.testing.assert_allclose(equal_weight(feed)(149, 0), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(equal_weight(feed)(150, 0), [1 / 3] * 3)
    assert minimum_variance_shares(bars, 180)[2] == 0.0  # thirty bars are no history
    found = paths(feed)
    assert not found["buy and hold"].weights[:, 2].any()
    assert found["equal weight"].weights[-1, 2] == pytest.approx(1 / 3, abs=1e-9)


def test_a_delisted_asset_leaves() -> None:
    close = random_closes(200, 3)
    close[160:, 1] = close[159, 1]
    there = np.ones(close.shape, bool)
    there[160:, 1] = False
    found = paths(make_feed(make_bars(close, listed=there, tradable=there)))
    assert not found["equal weight"].weights[-1, 1]
    assert found["equal weight"].weights[-1].sum() == pytest.approx(1.0)
    assert found["buy and hold"].cash[-1] == pytest.approx(1 / 3, abs=0.1)  # paid out, not put to work again


def test_one_asset_is_enough() -> None:
    feed = make_feed(random_closes(300, 1))
    found = paths(feed)
    np.testing.assert_array_equal(found["equal weight"].log_return, found["minimum variance"].log_return)
    np.testing.assert_allclose(found["buy and hold"].log_return, found["equal weight"].log_return, atol=1e-12)


def test_the_covariance_of_a_wide_universe_takes_the_calmest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_WIDEST", 2)
    risk = np.array([0.03, 0.01, 0.02, 0.005])
    steps = np.random.default_rng(0).normal(0.0, risk, (300, 4))
    shares = minimum_variance_shares(make_bars(np.exp(np.cumsum(steps, 0))), 299)
    assert (shares > 0).tolist() == [False, True, False, True]


def test_estimates_are_kept_for_a_month(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plain = minimum_variance_shares

    def counted(bars: Bars, bar: int) -> np.ndarray:
        asked.append(bar)
        return plain(bars, bar)

    monkeypatch.setattr(baselines, "minimum_variance_shares", counted)
    targets = minimum_variance(make_feed(random_closes(300, 3)))
    for decision, bar in enumerate(range(180, 240, 2)):
        targets(bar, decision)
    assert asked == [180, 202, 224]


def test_baselines_keep_within_the_caps() -> None:
    feed = make_feed(random_closes(150, 4), actions=Actions(gross_cap=0.5, net_cap=0.8))
    for name in ("equal weight", "buy and hold", "minimum variance"):
        assert paths(feed)[name].weights[0].sum() == pytest.approx(0.5)


def test_baselines_pay_the_costs_of_the_feed() -> None:
    bars = make_bars(wavy_closes(200))
    free = paths(make_feed(bars))
    costly = paths(make_feed(bars, costs=Costs(commission=FEE, half_spread=FEE)))
    for name in ("equal weight", "buy and hold", "minimum variance"):
        assert costly[name].wealth[-1] < free[name].wealth[-1]
    assert costly["cash"].wealth[-1] == free["cash"].wealth[-1] == 1.0


def test_opens_are_used_where_the_data_have_them() -> None:
    bars = make_bars(random_closes(100, 2))
    bars = replace(bars, open=bars.close * 0.99)
    path = paths(make_feed(bars))["buy and hold"]
    assert path.returns[0] == pytest.approx(1 / 0.99 - 1.0)  # bought at the open, worth the close
