"""When decisions fill, what a step of several bars does, and how episodes end."""

import numpy as np
import pytest

from tests.universe import FREE, market, play, random_closes, rewards, whole


def test_the_clock_decides_at_a_close_and_fills_at_the_next() -> None:
    """The price jumps from bar 6 to 7 alone. Whoever decides at 4 holds it through the jump, whoever at 6 does not."""
    close = np.full(40, 100.0)
    close[7:] = 150.0
    gains = {}
    for decided in range(3, 8):
        tape = play(whole(market(close, costs=FREE)), lambda bar, step, at=decided: [1.0 if bar >= at else 0.0])
        gains[decided] = rewards(tape).sum()
    assert gains == pytest.approx({3: np.log(1.5), 4: np.log(1.5), 5: np.log(1.5), 6: 0.0, 7: 0.0})


def test_filling_at_the_same_close_is_one_bar_earlier() -> None:
    close = np.full(40, 100.0)
    close[7:] = 150.0
    for decided, gain in ((6, np.log(1.5)), (7, 0.0)):
        feed = whole(market(close, costs=FREE, fill="same_close"))
        tape = play(feed, lambda bar, step, at=decided: [1.0 if bar >= at else 0.0])
        assert rewards(tape).sum() == pytest.approx(gain)


def test_an_open_is_where_orders_fill() -> None:
    """Bar 7 opens at 120 and closes at 150: an order of bar 6 earns 150/120 of it."""
    close = np.full(40, 100.0)
    close[7:] = 150.0
    start = close.copy()
    start[7] = 120.0
    feed = whole(market(close, costs=FREE, panels={"open": start[:, None]}))
    assert rewards(play(feed, lambda bar, step: [1.0 if bar >= 6 else 0.0])).sum() == pytest.approx(np.log(150 / 120))


def test_the_return_of_a_step_is_net_and_gross_of_costs() -> None:
    tape = play(whole(market(rebalance_every=3)), np.full(4, 0.25))
    for step in tape[1:]:
        info = step.info
        assert info["log_return"].shape == info["gross_log_return"].shape == (1, 3)
        assert info["log_return"].sum() == pytest.approx(step.reward[0], abs=1e-15)
        drag = (info["gross_log_return"] - info["log_return"]).sum()
        assert drag == pytest.approx(-np.log1p(-info["cost"][0]), abs=1e-15)


def test_the_end_of_the_data_truncates() -> None:
    tape = play(market(), np.full(4, 0.25))
    assert [bool(step.truncated[0]) for step in tape[-2:]] == [False, True]
    assert not tape[-1].terminated[0]
    assert tape[-1].info["bar"][0] == 199
    assert tape[-1].reward[0] != 0.0  # the last step earns like any other


def test_ruin_terminates() -> None:
    close = 100.0 * np.exp(-0.5 * np.arange(40.0))
    tape = play(whole(market(close, ruin=0.05)), np.array([1.0]))
    assert tape[-1].terminated[0]
    assert not tape[-1].truncated[0]
    assert tape[-1].info["ruined"][0]
    wealth = [float(step.info["wealth"][0]) for step in tape]
    assert wealth[-1] <= 0.05 * 1e6 < wealth[-2]


def test_ruin_within_a_step_of_several_bars_ends_it_there() -> None:
    close = 100.0 * np.exp(-0.5 * np.arange(40.0))
    tape = play(whole(market(close, ruin=0.05, rebalance_every=5)), np.array([1.0]))
    assert tape[-1].terminated[0]
    assert tape[-1].info["bar"][0] - tape[-2].info["bar"][0] < 5
    assert tape[-1].info["log_return"][0, -1] == 0.0
    assert rewards(tape).sum() == pytest.approx(np.log(tape[-1].info["wealth"][0] / 1e6))


def test_tranches_hold_the_mean_of_the_last_targets() -> None:
    feed = whole(market(np.full((60, 2), 100.0), costs=FREE, holding=3))
    wanted = np.random.default_rng(0).dirichlet(np.ones(3), 60)[:, :2]
    tape = play(feed, lambda bar, step: wanted[step])
    padded = np.concatenate([np.zeros((2, 2)), wanted])
    block = feed.spec.block("pending")
    assert block is not None
    for step, seen in enumerate(tape[1:]):
        np.testing.assert_allclose(seen.info["weights"][0], padded[step : step + 3].mean(0), atol=1e-12)
        pending = seen.observation[0, block.start : block.stop]
        np.testing.assert_allclose(pending, padded[step + 1 : step + 3].sum(0) / 3, atol=1e-6)


def test_rebalancing_every_few_bars_trades_once_in_them() -> None:
    close = random_closes(60, 2)
    feed = whole(market(close, costs=FREE, rebalance_every=4))
    tape = play(feed, [0.5, 0.5])
    first = int(tape[0].info["bar"][0])
    bars = [int(step.info["bar"][0]) for step in tape]
    assert bars == [*range(first, 59, 4), 59]
    wealth, step = 1.0, 1
    for bought in range(first + 1, 60, 4):
        sold = min(bought + 4, 59)
        wealth *= (close[sold] / close[bought]).mean()
        if bars[step] > bought:
            at_close = (close[bars[step]] / close[bought]).mean()
            earned = wealth / (close[sold] / close[bought]).mean() * at_close
            assert tape[step].info["wealth"][0] == pytest.approx(earned * 1e6)
        step += 1


def test_the_last_step_of_several_bars_is_cut_at_the_end() -> None:
    feed = whole(market(random_closes(60), rebalance_every=7, costs={"cash_rate": 0.5}))
    tape = play(feed, np.full(4, 0.2))
    assert tape[-1].truncated[0]
    account = feed.spec.block("account")
    assert account is not None
    cash = tape[-1].observation[0, account.start]
    assert cash + tape[-1].info["weights"][0].sum() == pytest.approx(1.0, abs=1e-6)  # no interest after the end
    taken = int(tape[-1].info["bar"][0] - tape[-2].info["bar"][0])
    assert tape[-1].info["log_return"][0, taken:].tolist() == [0.0] * (7 - taken)
    assert (tape[-1].info["log_return"][0, :taken] != 0.0).all()


def test_interest_accrues_between_rebalances_too() -> None:
    """2.52 % a year on cash, 5.04 % on a loan, of 252 bars: each bar counts, decided in or not."""
    costs = {**FREE, "cash_rate": 0.0252, "loan_rate": 0.0504}
    actions = {"long_only": False, "gross_cap": 2.0, "net_cap": 2.0}
    feed = whole(market(np.full(40, 100.0), costs=costs, actions=actions, rebalance_every=4))
    state, _ = feed.reset(np.array([0, 1]), split="test")
    _, step = feed.hold(state, np.array([[0.0], [1.5]]))
    np.testing.assert_allclose(np.exp(step.info["log_return"][0]), 1.0001, rtol=1e-12)
    wealth, loan = 1.0001, 0.5 * 1.0001  # cash earns until the order fills at the close of the first bar
    for _ in range(3):
        wealth, loan = wealth - loan * 0.0002, loan * 1.0002
    assert step.info["wealth"][1] == pytest.approx(wealth * 1e6, rel=1e-12)


@pytest.mark.parametrize("fill", ["next_bar", "same_close"])
def test_a_delisting_between_rebalances_pays_in_its_bar(fill: str) -> None:
    """Half in an asset that pays a quarter: 0.5 + 0.5 * 0.25 = 0.625, and what was paid is cash from then on."""
    close = np.full((60, 2), 100.0)
    listed = np.ones((60, 2), bool)
    listed[7:, 0] = False
    panels = {"listed": listed, "tradable": listed}
    feed = whole(market(close, panels=panels, costs=FREE, recovery=0.25, fill=fill, rebalance_every=10))
    state, first = feed.reset(np.array([0]), split="test")
    _, step = feed.hold(state, np.array([[0.5, 0.5]]))
    paid = 7 - int(first.info["bar"][0]) - 1
    assert np.flatnonzero(step.info["log_return"][0]).tolist() == [paid]
    assert step.reward[0] == pytest.approx(np.log(0.625))
    assert step.info["weights"][0].tolist() == pytest.approx([0.0, 0.8])
