"""Impact so strong that costs do not settle by iteration, and orders that nobody can pay."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from feeds.backend import backend
from feeds.errors import FeedError
from feeds.market.accounting import Bar, Portfolio, portfolio_step
from tests.feeds.market.test_accounting import FINITE, NOTHING, cash_only, terms
from tests.universe import FREE


@pytest.mark.parametrize("kind", ["cpu", "torch"])
@pytest.mark.parametrize("traded_value", [1e7, 1.2e5, 5e4, 1e3])
def test_strong_impact_leaves_what_solves_its_equation(traded_value: float, kind: str) -> None:
    """From cash x to all in one asset: left = x - c left^2 with c = 0.1 / value, whatever else is in the batch."""
    here = replace(terms(**FREE, linear_impact=0.1), backend=backend(kind))
    put, factor = here.backend.put, 0.1 / traded_value
    for cash in ([1e6], [1e6, 100.0]):
        streams = len(cash)
        bar = Bar(linear=put(np.full((streams, 1), factor)))
        portfolio = Portfolio(put(np.zeros((streams, 1))), put(np.array(cash)))
        traded = portfolio_step(here, portfolio, put(np.ones((streams, 1))), bar)
        left = (np.sqrt(1.0 + 4.0 * factor * 1e6) - 1.0) / (2.0 * factor)
        assert float(traded.portfolio.assets[0, 0]) == pytest.approx(left, rel=1e-6)
        assert float(traded.wealth[0]) == pytest.approx(left, rel=1e-6)
        assert float(traded.cost[0]) == pytest.approx(factor * float(traded.portfolio.assets[0, 0]) ** 2, rel=1e-12)


def test_a_stream_is_the_same_beside_one_whose_costs_do_not_settle() -> None:
    here = terms(commission=0.001, half_spread=0.0, linear_impact=0.1)
    held = Portfolio(np.zeros((2, 1)), np.array([1e6, 1e6]))
    both = portfolio_step(here, held, np.ones((2, 1)), Bar(linear=np.array([[1e-8], [1e-4]])))
    alone = portfolio_step(here, cash_only(1e6, 1), np.ones((1, 1)), Bar(linear=np.array([[1e-8]])))
    assert both.portfolio.assets[0, 0] == alone.portfolio.assets[0, 0]
    assert both.wealth[0] == alone.wealth[0]


def test_a_portfolio_that_need_not_be_sold_survives_impact_that_no_sale_would() -> None:
    """All wealth stands in an asset whose sale would cost twice as much; an order of 0.1 % of it is cheap."""
    here, bar = terms(**FREE, linear_impact=0.1), Bar(linear=np.full((2, 1), 2e-6))
    held = Portfolio(np.array([[1e6], [1e6]]), np.zeros(2))
    traded = portfolio_step(here, held, np.array([[1.0], [0.999]]), bar)
    assert traded.wealth.tolist() == pytest.approx([1e6, 1e6 - 2.0], rel=1e-7)


@settings(max_examples=60)
@given(st.data())
def test_costs_of_any_size_leave_the_weights_that_were_wanted(data: st.DataObject) -> None:
    floats = lambda low, high, shape: data.draw(arrays(float, shape, elements=st.floats(low, high, **FINITE)))  # noqa: E731
    fee = data.draw(st.sampled_from([0.0, 5.0]))
    here = terms(commission=0.001, minimum_fee=fee, linear_impact=1.0, sqrt_impact=1.0)
    targets = floats(0.0, 0.3, (2, 3))
    linear, root = 10.0 ** floats(-9.0, -1.0, (2, 3)), 10.0 ** floats(-6.0, -1.0, (2, 3))
    traded = portfolio_step(
        here,
        cash_only(1e6, 3)._replace(cash=np.full(2, 1e6), assets=np.zeros((2, 3))),
        targets,
        Bar(linear=linear, root=root),
    )
    np.testing.assert_allclose(traded.portfolio.assets, targets * traded.wealth[:, None], atol=5.0)
    np.testing.assert_allclose(traded.wealth, 1e6 - traded.cost)


def test_orders_that_nobody_can_pay_name_impact() -> None:
    held = Portfolio(np.array([[0.0], [1e6]]), np.array([1e6, 0.0]))
    strong = Bar(linear=np.full((2, 1), 2e-6))
    with pytest.raises(FeedError, match=r"stream 1: its orders cost more than its wealth of 1e\+06.*linear_impact"):
        portfolio_step(terms(**FREE, linear_impact=0.1), held, np.array([[0.5], [0.0]]), strong)
    with pytest.raises(FeedError, match=r"stream 0: .* wealth of 10, .*minimum_fee"):
        portfolio_step(terms(**FREE, minimum_fee=20.0), cash_only(10.0), np.array([[0.5, 0.0]]), NOTHING)
