from typing import Any

import numpy as np
import pytest

from feeds.market.config import Costs, MarketConfig
from feeds.market.flow import Flow, impact, make_flow, payouts, relatives, tradable, volatility
from tests.universe import bars_of, random_closes


def flow(close: Any, settings: dict[str, Any] | None = None, **panels: Any) -> Flow:
    return make_flow(bars_of(close, **panels), MarketConfig(**(settings or {})))


def test_without_opens_a_bar_is_held_with_the_old_weights() -> None:
    here = flow([100.0, 110.0, 99.0])
    np.testing.assert_allclose(here.before, [[1.0], [1.1], [0.9]])
    assert here.after is None
    assert here.fills is None
    assert here.stays is None


def test_an_open_parts_the_bar() -> None:
    here = flow([100.0, 110.0, 99.0], open=np.array([[99.0], [104.5], [np.nan]]))
    np.testing.assert_allclose(here.before[1:], [[1.045], [0.9]])
    np.testing.assert_allclose(here.after[1:], [[110.0 / 104.5], [1.0]])
    np.testing.assert_allclose(here.before * here.after, here.whole)


def test_filling_at_the_same_close_leaves_the_whole_bar_to_the_new_weights() -> None:
    here = flow([100.0, 110.0, 99.0], {"fill": "same_close"})
    assert here.before is None
    np.testing.assert_allclose(here.after, here.whole)


def test_a_missing_price_moves_nothing() -> None:
    np.testing.assert_array_equal(relatives(np.array([[np.nan], [100.0], [120.0]])), [[1.0], [1.0], [1.2]])


def test_a_delisted_asset_pays_its_recovery_in_the_bar_after_its_last() -> None:
    listed = np.array([[True], [True], [False], [False]])
    panels = {"listed": listed, "tradable": listed}
    here = flow([100.0, 50.0, 50.0, 50.0], {"recovery": 0.4}, **panels)
    np.testing.assert_array_equal(payouts(listed)[:, 0], [False, False, True, False])
    np.testing.assert_allclose(here.whole[:, 0], [1.0, 0.5, 0.4, 1.0])
    np.testing.assert_allclose(here.stays[:, 0], [1.0, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(here.fills[:, 0], [1.0, 1.0, 0.0, 0.0])


def test_where_impact_is_charged_a_bar_without_volume_fills_nothing() -> None:
    bars = bars_of([10.0, 10.0, 10.0], volume=np.array([[5.0], [0.0], [np.nan]]))
    assert tradable(bars, Costs())[:, 0].tolist() == [True, True, True]
    assert tradable(bars, Costs(linear_impact=0.1))[:, 0].tolist() == [True, False, False]


def test_impact_scales_with_the_value_traded() -> None:
    close = random_closes(60, 2)
    bars = bars_of(close, volume=np.full(close.shape, 1e4))
    linear, root = impact(bars, Costs(linear_impact=0.3, sqrt_impact=0.7))
    np.testing.assert_allclose(linear, 0.3 / (close * 1e4))
    np.testing.assert_allclose(root, 0.7 * volatility(close) / np.sqrt(close * 1e4))


def test_volatility_is_that_of_the_last_twenty_returns() -> None:
    close = random_closes(60, 2)
    returns = np.diff(np.log(close), axis=0)
    np.testing.assert_allclose(volatility(close)[45], np.sqrt((returns[25:45] ** 2).mean(0)))
    np.testing.assert_allclose(volatility(close)[5], np.sqrt((returns[:5] ** 2).mean(0)))
    assert volatility(close)[0].tolist() == [0.0, 0.0]


def test_bars_before_listing_are_no_returns_of_zero() -> None:
    close = random_closes(60, 2)
    late = close.copy()
    late[:30, 1] = np.nan
    returns = np.diff(np.log(close[:, 1]))
    assert volatility(late)[:31, 1].tolist() == [0.0] * 31
    for bar in (31, 35, 50):
        np.testing.assert_allclose(volatility(late)[bar, 1], np.sqrt((returns[max(30, bar - 20) : bar] ** 2).mean()))
    np.testing.assert_array_equal(volatility(late)[:, 0], volatility(close)[:, 0])


@pytest.mark.parametrize("fill", ["next_bar", "same_close"])
def test_tables_know_nothing_of_later_bars(fill: str) -> None:
    close, later = random_closes(60, 2), random_closes(60, 2, seed=1)
    changed = np.concatenate([close[:30], later[30:]])
    volume = np.full(close.shape, 1e4)
    settings = {"fill": fill, "costs": {"sqrt_impact": 0.1, "linear_impact": 0.1}}
    first, second = (flow(prices, settings, volume=volume) for prices in (close, changed))
    for name in ("whole", "before", "after", "linear", "root"):
        if getattr(first, name) is not None:
            np.testing.assert_array_equal(getattr(first, name)[:30], getattr(second, name)[:30])
