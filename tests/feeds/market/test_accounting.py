"""The books against closed forms: drift, costs on traded notional, financing, impact, ruin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from feeds.backend import backend
from feeds.errors import FeedError
from feeds.market.accounting import Bar, Portfolio, Terms, make_terms, portfolio_step
from feeds.market.config import Actions, Costs
from tests.universe import FREE, market, play, random_closes, rewards, whole

NOTHING = Bar()
FINITE = {"allow_nan": False, "allow_infinity": False}


def terms(**costs: Any) -> Terms:
    actions = costs.pop("actions", Actions())
    same_close = costs.pop("same_close", False)
    return make_terms(backend("cpu"), Costs(**costs), actions, periods=250.0, same_close=same_close)


def cash_only(amount: float = 1_000.0, assets: int = 2) -> Portfolio:
    return Portfolio(np.zeros((1, assets)), np.array([amount]))


def test_buy_and_hold_earns_the_mean_of_the_price_relatives() -> None:
    close = random_closes(120, 4)
    feed = whole(market(close, costs=FREE))
    nothing = np.full(4, np.nan)
    tape = play(feed, lambda bar, step: np.full(4, 0.25) if step == 0 else nothing)
    bought = int(tape[0].info["bar"][0]) + 1
    assert rewards(tape).sum() == pytest.approx(np.log((close[-1] / close[bought]).mean()), abs=1e-12)
    assert [float(step.info["turnover"][0]) for step in tape[2:]] == [0.0] * (len(tape) - 2)


def test_costs_on_update_days_only_are_those_of_the_first_trade() -> None:
    """A drifting portfolio that is left alone pays nothing, one that is restored pays at every bar."""
    close = random_closes(120, 4)
    left, restored = (
        play(whole(market(close)), lambda bar, step, keep=keep: np.full(4, np.nan if step and keep else 0.25))
        for keep in (True, False)
    )
    assert [float(step.info["cost"][0]) > 0.0 for step in left[1:]] == [True] + [False] * (len(left) - 2)
    assert all(float(step.info["cost"][0]) > 0.0 for step in restored[1:])


def test_a_constantly_rebalanced_portfolio_earns_the_product_of_mean_relatives() -> None:
    close = random_closes(120, 4)
    tape = play(whole(market(close, costs=FREE)), np.full(4, 0.25))
    bought = int(tape[0].info["bar"][0]) + 1
    mean_relatives = (close[bought + 1 :] / close[bought:-1]).mean(1)
    assert rewards(tape).sum() == pytest.approx(np.log(mean_relatives).sum(), abs=1e-12)


def test_a_constantly_rebalanced_portfolio_pays_for_the_notional_that_it_trades() -> None:
    close, rate = random_closes(120, 4), 0.002
    tape = play(whole(market(close, costs={"commission": 0.0015, "half_spread": 0.0005})), np.full(4, 0.25))
    weights, log_wealth = np.zeros(4), 0.0
    for bar in range(int(tape[0].info["bar"][0]) + 1, len(close)):
        grown = weights * close[bar] / close[bar - 1]
        growth = 1.0 - weights.sum() + grown.sum()
        left = 1.0
        for _ in range(60):  # the wealth left after costs, by brute force
            left = 1.0 - rate * np.abs(left * np.full(4, 0.25) - grown / growth).sum()
        log_wealth += np.log(growth * left)
        weights = np.full(4, 0.25)
    assert rewards(tape).sum() == pytest.approx(log_wealth, abs=1e-6)


def test_a_round_trip_costs_the_buy_and_the_sale() -> None:
    rate = 0.003
    here = terms(commission=0.001, half_spread=0.002)
    bought = portfolio_step(here, cash_only(), np.array([[1.0, 0.0]]), NOTHING)
    sold = portfolio_step(here, bought.portfolio, np.zeros((1, 2)), NOTHING)
    held = bought.portfolio.assets[0, 0]
    assert bought.cost[0] == pytest.approx(rate * held)
    assert sold.cost[0] == pytest.approx(rate * held)
    assert sold.wealth[0] == pytest.approx(1_000.0 - 2.0 * rate * held)
    assert sold.portfolio.cash[0] == pytest.approx(sold.wealth[0])


def test_weights_are_those_wanted_after_the_costs_of_reaching_them() -> None:
    here = terms(commission=0.002, half_spread=0.0)
    wanted = np.array([[0.6, 0.3]])
    traded = portfolio_step(here, Portfolio(np.array([[100.0, 800.0]]), np.array([100.0])), wanted, NOTHING)
    np.testing.assert_allclose(traded.portfolio.assets / traded.wealth[:, None], wanted, atol=4e-6)


def test_impact_needs_more_rounds_and_reaches_its_weights_too() -> None:
    here = terms(commission=0.001, half_spread=0.0, sqrt_impact=1.0, linear_impact=1.0)
    bar = Bar(None, None, None, None, np.full((1, 2), 1e-5), np.full((1, 2), 3e-4))
    traded = portfolio_step(here, cash_only(), np.array([[0.5, 0.5]]), bar)
    np.testing.assert_allclose(traded.portfolio.assets / traded.wealth[:, None], [[0.5, 0.5]], atol=1e-6)


def test_weights_drift_with_prices() -> None:
    held = Portfolio(np.array([[300.0, 300.0]]), np.array([400.0]))
    relatives = np.array([[1.1, 0.8]])
    traded = portfolio_step(terms(**FREE), held, np.zeros((1, 2)), Bar(relatives), np.ones((1, 2)))
    weights = np.array([0.3, 0.3])
    drifted = weights * relatives[0] / (1.0 + weights @ (relatives[0] - 1.0))
    np.testing.assert_allclose(traded.portfolio.assets[0] / traded.wealth[0], drifted, rtol=1e-14)


def test_a_short_position_gains_when_its_price_falls() -> None:
    held = Portfolio(np.array([[-500.0]]), np.array([1_500.0]))
    traded = portfolio_step(terms(**FREE), held, np.zeros((1, 1)), Bar(np.array([[0.9]])), np.ones((1, 1)))
    assert traded.wealth[0] == pytest.approx(1_050.0)
    assert traded.portfolio.assets[0, 0] / traded.wealth[0] == pytest.approx(-450.0 / 1_050.0)


def test_financing_accrues_for_each_bar() -> None:
    here = terms(**FREE, cash_rate=0.05, loan_rate=0.10, borrow_rate=0.025)
    rich, poor = Portfolio(np.array([[0.0]]), np.array([1_000.0])), Portfolio(np.array([[1_500.0]]), np.array([-500.0]))
    short = Portfolio(np.array([[-500.0]]), np.array([1_500.0]))
    for portfolio, gain in ((rich, 1_000 * 0.0002), (poor, -500 * 0.0004), (short, 1_500 * 0.0002 - 500 * 0.0001)):
        wealth = portfolio.cash + portfolio.assets.sum(1)
        keep = np.ones((1, 1))
        for _ in range(3):
            step = portfolio_step(here, portfolio, np.zeros((1, 1)), NOTHING, keep)
            assert step.wealth[0] - wealth[0] == pytest.approx(gain, rel=2e-3)
            portfolio, wealth = step.portfolio, step.wealth
    compounded = portfolio_step(here, rich, np.zeros((1, 1)), NOTHING)
    assert compounded.wealth[0] == pytest.approx(1_000.0 * (1.0 + 0.05 / 250.0), rel=1e-15)


def test_cash_interest_compounds_over_a_part() -> None:
    feed = whole(market(random_closes(60), costs={**FREE, "cash_rate": 0.0252}))
    tape = play(feed, np.zeros(4))
    assert rewards(tape).sum() == pytest.approx((len(tape) - 1) * np.log(1.0 + 0.0001), rel=1e-12)


def test_the_minimum_fee_is_charged_for_each_asset_that_trades() -> None:
    here = terms(commission=0.01, half_spread=0.0, minimum_fee=5.0)
    traded = portfolio_step(here, cash_only(10_000.0, 3), np.array([[0.5, 0.01, 0.0]]), NOTHING)
    held = traded.portfolio.assets[0]
    assert traded.cost[0] == pytest.approx(0.01 * held[0] + 5.0)  # 1 % of 100 would be less than the minimum
    idle = portfolio_step(here, traded.portfolio, np.zeros((1, 3)), NOTHING, np.ones((1, 3)))
    assert idle.cost[0] == 0.0


def test_impact_by_hand() -> None:
    """An order of 1,000 in a bar in which 100,000 were traded: a share of 0.01, whose root is 0.1."""
    close = np.full((40, 1), 50.0)
    close[1::2] *= np.exp(0.02)  # log returns of -0.02 and 0.02: volatility 0.02
    volume = 100_000.0 / close
    costs = {**FREE, "linear_impact": 0.5, "sqrt_impact": 1.0, "initial_wealth": 2_000.0}
    feed = whole(market(close, panels={"volume": volume}, costs=costs, fill="same_close"))
    state, _ = feed.reset(np.array([0]), split="test")
    _, step = feed.hold(state, np.array([[0.5]]))
    order = 2_000.0 * float(step.info["turnover"][0])  # 1,000 less half of its own cost of 7
    assert order == pytest.approx(996.5, abs=0.1)
    cost = order * (0.5 * order / 100_000.0 + 1.0 * 0.02 * np.sqrt(order / 100_000.0))
    assert 2_000.0 * float(step.info["cost"][0]) == pytest.approx(cost, rel=1e-9)


def test_impact_without_volume_is_refused() -> None:
    with pytest.raises(FeedError, match="no column 'volume'"):
        market(costs={"sqrt_impact": 0.1})


@pytest.mark.parametrize("name", ["commission", "half_spread", "linear_impact", "sqrt_impact", "minimum_fee"])
def test_higher_costs_leave_less_wealth(name: str) -> None:
    close = random_closes(80, 3)
    finals = []
    for level in (0.0, 1.0, 2.0, 5.0):
        value = level * (50.0 if name == "minimum_fee" else 0.001 if name in ("commission", "half_spread") else 0.05)
        feed = market(close, panels={"volume": np.full(close.shape, 1e5)}, costs={**FREE, name: value})
        generator = np.random.default_rng(3)
        tape = play(whole(feed), lambda bar, step, draw=generator: draw.dirichlet(np.ones(4))[:3])
        finals.append(float(tape[-1].info["wealth"][0]))
    assert all(np.diff(finals) < 0.0)


def test_a_loss_beyond_all_wealth_is_an_error_that_names_the_stream() -> None:
    """A position of 300 % that loses 40 %: 120 % of the wealth are gone, and no clamp hides it."""
    held = Portfolio(np.array([[0.0], [3_000.0]]), np.array([1_000.0, -2_000.0]))
    fall = Bar(np.array([[0.6], [0.6]]))
    with pytest.raises(FeedError, match=r"stream 1: wealth is -200 .*gross_cap"):
        portfolio_step(terms(**FREE), held, np.zeros((2, 1)), fall)


@pytest.mark.parametrize("settings_", [{}, {"fill": "same_close"}, {"rebalance_every": 4}])
def test_a_loss_beyond_all_wealth_is_an_error_in_the_feed(settings_: dict[str, Any]) -> None:
    close = np.array([100.0, 100.0, 100.0, 100.0, 60.0, 60.0, 60.0, 60.0] * 5)
    feed = whole(market(close, actions={"long_only": False, "gross_cap": 3.0, "net_cap": 3.0}, **settings_))
    with pytest.raises(FeedError, match="stream 0: wealth is -"):
        play(feed, np.array([3.0]))


def test_a_total_loss_is_an_error_not_a_logarithm_of_nothing() -> None:
    gone = Portfolio(np.array([[1_000.0]]), np.array([0.0]))
    with pytest.raises(FeedError, match="stream 0: wealth is 0"):
        portfolio_step(terms(**FREE), gone, np.zeros((1, 1)), Bar(np.array([[0.0]])))


def test_a_relative_that_is_not_a_number_is_an_error() -> None:
    held = Portfolio(np.array([[1_000.0]]), np.array([0.0]))
    for bad in (np.nan, np.inf):
        with np.errstate(invalid="ignore"), pytest.raises(FeedError, match="stream 0: wealth is nan"):
            portfolio_step(terms(**FREE), held, np.zeros((1, 1)), Bar(np.array([[bad]])))


def test_blocked_positions_are_carried_and_the_rest_stays_under_the_cap() -> None:
    held = Portfolio(np.array([[700.0, 100.0]]), np.array([200.0]))
    blocked = Bar(None, None, np.array([[0.0, 1.0]]), None, None, None)
    traded = portfolio_step(terms(**FREE), held, np.array([[0.0, 1.0]]), blocked)
    np.testing.assert_allclose(traded.portfolio.assets, [[700.0, 300.0]])
    assert traded.portfolio.cash[0] == pytest.approx(0.0, abs=1e-9)


def test_a_blocked_short_leaves_room_for_longs_under_the_net_cap() -> None:
    held = Portfolio(np.array([[-500.0, 0.0]]), np.array([1_500.0]))
    blocked = Bar(None, None, np.array([[0.0, 1.0]]), None, None, None)
    here = terms(**FREE, actions=Actions(long_only=False, gross_cap=2.0, net_cap=0.5))
    traded = portfolio_step(here, held, np.array([[0.5, 1.4]]), blocked)
    np.testing.assert_allclose(traded.portfolio.assets, [[-500.0, 1_000.0]])  # net 0.5


def test_a_blocked_short_counts_against_further_shorts() -> None:
    held = Portfolio(np.array([[-300.0, 0.0]]), np.array([1_300.0]))
    blocked = Bar(None, None, np.array([[0.0, 1.0]]), None, None, None)
    here = terms(**FREE, actions=Actions(long_only=False, gross_cap=2.0, net_cap=0.5))
    traded = portfolio_step(here, held, np.array([[0.0, -0.4]]), blocked)
    np.testing.assert_allclose(traded.portfolio.assets, [[-300.0, -200.0]])  # net -0.5


def test_a_blocked_position_takes_its_share_of_the_gross_cap() -> None:
    held = Portfolio(np.array([[700.0, 0.0]]), np.array([300.0]))
    blocked = Bar(None, None, np.array([[0.0, 1.0]]), None, None, None)
    here = terms(**FREE, actions=Actions(long_only=False, gross_cap=1.0, net_cap=1.0))
    traded = portfolio_step(here, held, np.array([[0.0, -0.8]]), blocked)
    np.testing.assert_allclose(traded.portfolio.assets, [[700.0, -300.0]])  # gross 1


@settings(max_examples=80)
@given(st.data())
def test_nothing_is_gained_or_lost_but_moves_interest_and_costs(data: st.DataObject) -> None:
    """Cash after = cash before + interest + payouts - bought + sold - costs, to rounding, whatever happens in a bar."""
    assets = data.draw(st.integers(1, 4))
    floats = lambda low, high, shape: data.draw(arrays(float, shape, elements=st.floats(low, high, **FINITE)))  # noqa: E731
    here = terms(
        commission=data.draw(st.floats(0.0, 0.01)),
        half_spread=data.draw(st.floats(0.0, 0.01)),
        minimum_fee=data.draw(st.sampled_from([0.0, 0.5])),
        cash_rate=data.draw(st.floats(-0.02, 0.1)),
        loan_rate=data.draw(st.floats(0.0, 0.2)),
        borrow_rate=data.draw(st.floats(0.0, 0.2)),
        linear_impact=1.0,
        actions=Actions(long_only=False, gross_cap=2.0, net_cap=1.0),
        same_close=data.draw(st.booleans()),
    )
    portfolio = Portfolio(floats(-300.0, 300.0, (3, assets)), floats(2_000.0, 4_000.0, 3))
    relatives, after = floats(0.8, 1.25, (3, assets)), floats(0.8, 1.25, (3, assets))
    flags = lambda: data.draw(arrays(bool, (3, assets))).astype(float)  # noqa: E731
    stays = np.ones((3, assets)) if here.financed_after else flags()  # what is paid out last can no longer be seen
    bar = Bar(relatives, after, flags(), stays, floats(0.0, 1e-6, (3, assets)), None)
    traded = portfolio_step(here, portfolio, floats(-0.4, 0.4, (3, assets)), bar)
    cash, cost = _by_hand(here, portfolio, bar, traded.portfolio.assets / after)
    np.testing.assert_allclose(traded.portfolio.cash, cash, rtol=1e-11)
    np.testing.assert_allclose(traded.cost, cost, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(traded.wealth, traded.portfolio.cash + traded.portfolio.assets.sum(1), rtol=1e-12)


def _by_hand(here: Terms, portfolio: Portfolio, bar: Bar, bought: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cash at the end and costs, from what was held before and `bought`, what was held after the trade."""

    def interest(assets: np.ndarray, cash: np.ndarray) -> np.ndarray:
        rate = np.where(cash > 0.0, here.cash_rate, here.loan_rate)
        return cash * rate + np.minimum(assets, 0.0).sum(1) * here.borrow_rate

    assets, cash = portfolio.assets, portfolio.cash
    if not here.financed_after:
        cash = cash + interest(assets, cash)
    assets = assets * bar.before
    cash = cash + (assets * (1.0 - bar.stays)).sum(1)
    assets = assets * bar.stays
    order = np.abs(bought - assets)
    fee = order * here.commission
    if here.minimum_fee:
        fee = np.where(order > 1e-9 * (cash + assets.sum(1))[:, None], np.maximum(fee, here.minimum_fee), 0.0)
    cost = (fee + order * here.half_spread + bar.linear * order**2).sum(1)
    cash = cash - (bought - assets).sum(1) - cost
    if here.financed_after:
        cash = cash + interest(bought, cash)
    return cash, cost
